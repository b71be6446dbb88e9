//! A kustomization file: what it refers to, and who refers to what.

use std::collections::{BTreeMap, BTreeSet};

use crate::declared::{Files, Text, folder_of, is_below, resolve};
use crate::document::Node;
use crate::refusal::Refusal;

/// Names of the file, in the order in which kustomize looks for them.
const NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// What changes objects in ways that are not followed.
const NOT_FOLLOWED: [&str; 5] = ["replacements", "transformers", "vars", "helmCharts", "configurations"];

/// A kustomization file.
#[derive(Debug, Clone)]
pub(crate) struct Kustomization<'a> {
    pub(crate) text: Text<'a>,
    pub(crate) folder: &'a str,
}

impl<'a> Kustomization<'a> {
    /// That of a folder, if it has one.
    pub(crate) fn of(files: &'a Files, folder: &str) -> Result<Option<Self>, Refusal> {
        let found = NAMES.iter().find_map(|name| {
            let path = resolve(folder, name)?;
            files.get_key_value(path.as_str())
        });
        let Some((file, text)) = found else { return Ok(None) };
        Ok(Some(Self { text: Text::of_file(file, text)?, folder: folder_of(file) }))
    }

    fn root(&self) -> Option<&Node> {
        self.text.documents.first()
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.root()?.get(key)
    }

    pub(crate) fn list(&self, key: &str) -> &[Node] {
        self.get(key).map_or(&[], Node::items)
    }

    pub(crate) fn string(&self, key: &str) -> &str {
        self.root().and_then(|root| root.text(key)).unwrap_or_default()
    }

    /// The place of the first thing in it whose effect is not followed.
    pub(crate) fn not_followed(&self) -> Option<(String, &'static str)> {
        NOT_FOLLOWED.iter().find_map(|key| self.get(key).map(|node| (self.text.place(node), *key)))
    }

    /// A path in it, from the root of the repository; `None` if it leads elsewhere.
    pub(crate) fn target(&self, entry: &str) -> Option<String> {
        let is_remote = entry.contains("://") || entry.contains("?ref=") || entry.starts_with("github.com/");
        if is_remote { None } else { resolve(self.folder, entry) }
    }

    /// Every file and folder that it names.
    fn references(&self) -> BTreeSet<String> {
        let mut entries: Vec<&str> = Vec::new();
        for key in ["resources", "bases", "components", "patchesStrategicMerge"] {
            entries
                .extend(self.list(key).iter().filter_map(Node::as_str).filter(|text| !text.contains('\n')));
        }
        for key in ["patches", "patchesJson6902"] {
            entries.extend(self.list(key).iter().filter_map(|patch| patch.text("path")));
        }
        entries.into_iter().filter_map(|entry| self.target(entry)).collect()
    }
}

/// Who refers to what: for each file and folder, the folders whose kustomization names it.
pub(crate) struct Uses {
    by: BTreeMap<String, BTreeSet<String>>,
}

impl Uses {
    /// Reads every kustomization of the repository. One that is no YAML refers to nothing.
    pub(crate) fn of(files: &Files) -> Self {
        let mut by: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for file in files.keys().filter(|file| NAMES.iter().any(|name| last(file) == *name)) {
            let folder = folder_of(file);
            by.entry(file.clone()).or_default().insert(folder.to_owned());
            let Ok(Some(kustomization)) = Kustomization::of(files, folder) else { continue };
            for target in kustomization.references() {
                by.entry(target).or_default().insert(folder.to_owned());
            }
        }
        Self { by }
    }

    /// Every folder that uses `what`, directly or through others.
    fn above(&self, what: &str) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        let mut open = vec![what];
        while let Some(next) = open.pop() {
            for folder in self.by.get(next).into_iter().flatten() {
                if found.insert(folder.as_str()) {
                    open.push(folder);
                }
            }
        }
        found
    }

    /// A folder that uses `file` and has nothing to do with `root`: objects of others would change, too. Flux and Argo CD
    /// take everything below a root that has no kustomization of its own (`is_plain`).
    pub(crate) fn elsewhere(&self, file: &str, root: &str, is_plain: bool) -> Option<String> {
        let is_root = |folder: &str| folder == root || (is_plain && is_below(folder, root));
        let above_root = self.above(root);
        let concerns_root = |folder: &str| {
            is_root(folder) || above_root.contains(folder) || self.above(folder).into_iter().any(is_root)
        };
        self.above(file).into_iter().find(|folder| !concerns_root(folder)).map(str::to_owned)
    }
}

fn last(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file)
}

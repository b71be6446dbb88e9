//! Follows kustomize from a folder to the scalars that make a field: what the outermost layer sets wins.
//!
//! Within one kustomization the order is that of kustomize itself: resources, components, generators, patches, replicas,
//! images. Names go inwards without the prefix and suffix that a layer adds.

use crate::change::{Change, ObjectId, joined};
use crate::declared::{
    Files, ImageSource, Produced, Site, Source, Text, folder_of, is_below, is_manifest, objects,
};
use crate::document::Node;
use crate::image::{Image, is_image};
use crate::kustomization::Kustomization;
use crate::patch;
use crate::plain::{self, Declared};
use crate::refusal::Refusal;

/// Layers at most.
const DEPTH: usize = 16;
/// Kinds whose replicas the field `replicas` of a kustomization sets.
const SCALED: [&str; 4] = ["Deployment", "StatefulSet", "ReplicaSet", "ReplicationController"];

/// What `folder` makes of the object.
///
/// # Errors
/// It is declared twice, or in a way that can't be followed.
pub(crate) fn in_folder(files: &Files, folder: &str, change: &Change) -> Result<Option<Declared>, Refusal> {
    Walk { files, change }.folder(folder, &change.object, false, 0)
}

struct Walk<'a> {
    files: &'a Files,
    change: &'a Change,
}

impl<'a> Walk<'a> {
    fn folder(
        &self,
        folder: &str,
        wanted: &ObjectId,
        any_namespace: bool,
        depth: usize,
    ) -> Result<Option<Declared>, Refusal> {
        match Kustomization::of(self.files, folder)? {
            Some(kustomization) => self.layer(&kustomization, wanted, any_namespace, depth),
            None => self.plain_folder(folder, wanted, any_namespace, depth),
        }
    }

    /// Every manifest below the folder; folders with a kustomization count as what that makes.
    fn plain_folder(
        &self,
        folder: &str,
        wanted: &ObjectId,
        any_namespace: bool,
        depth: usize,
    ) -> Result<Option<Declared>, Refusal> {
        let mut layers: Vec<&str> = Vec::new();
        for file in self.files.keys().filter(|file| is_below(file, folder)) {
            let inner = folder_of(file);
            let is_inside = |layer: &&str| inner == *layer || is_below(inner, layer);
            if !layers.iter().any(is_inside) && Kustomization::of(self.files, inner)?.is_some() {
                layers.push(inner);
            }
        }
        let in_layer = |file: &str| layers.iter().any(|layer| is_below(file, layer));
        let loose = self.files.keys().map(String::as_str);
        let loose = loose.filter(|file| is_manifest(file) && is_below(file, folder) && !in_layer(file));
        let mut found: Vec<Declared> = Vec::new();
        found.extend(plain::in_files(self.files, loose, wanted, any_namespace, &self.change.path)?);
        for layer in &layers {
            found.extend(self.folder(layer, wanted, any_namespace, depth + 1)?);
        }
        plain::one(found, wanted)
    }

    fn layer(
        &self,
        layer: &Kustomization<'a>,
        wanted: &ObjectId,
        any_namespace: bool,
        depth: usize,
    ) -> Result<Option<Declared>, Refusal> {
        if depth > DEPTH {
            let why = format!("is more than {DEPTH} layers deep");
            return Err(Refusal::NotFollowed { place: layer.text.file.to_owned(), why });
        }
        let namespace = layer.string("namespace");
        if !namespace.is_empty() && !any_namespace && namespace != wanted.namespace {
            return Ok(None);
        }
        let any_namespace = any_namespace || !namespace.is_empty();
        let stripped = wanted
            .name
            .strip_prefix(layer.string("namePrefix"))
            .and_then(|name| name.strip_suffix(layer.string("nameSuffix")));
        let inner = ObjectId { name: stripped.unwrap_or(&wanted.name).to_owned(), ..wanted.clone() };
        let mut found: Vec<Declared> = Vec::new();
        if stripped.is_some() {
            for entry in layer.list("resources").iter().chain(layer.list("bases")) {
                let Some(target) = entry.as_str().and_then(|entry| layer.target(entry)) else { continue };
                if self.files.contains_key(&target) {
                    let one = std::iter::once(target.as_str());
                    found.extend(plain::in_files(self.files, one, &inner, any_namespace, &self.change.path)?);
                } else if Kustomization::of(self.files, &target)?.is_some() {
                    found.extend(self.folder(&target, &inner, any_namespace, depth + 1)?);
                }
            }
        }
        let mut declared = plain::one(found, wanted)?;
        for entry in layer.list("components") {
            let Some(target) = entry.as_str().and_then(|entry| layer.target(entry)) else { continue };
            let Some(component) = Kustomization::of(self.files, &target)? else { continue };
            let own = self.layer(&component, &inner, any_namespace, depth + 1)?;
            declared = plain::one(declared.into_iter().chain(own).collect(), wanted)?;
            if let Some(declared) = &mut declared {
                self.transform(&component, &inner, wanted, declared)?;
            }
        }
        let generated = self.generated(layer, wanted)?;
        let mut declared = plain::one(declared.into_iter().chain(generated).collect(), wanted)?;
        if let Some(declared) = &mut declared {
            self.transform(layer, &inner, wanted, declared)?;
        }
        Ok(declared)
    }

    /// What the layer itself does to an object that is there.
    fn transform(
        &self,
        layer: &Kustomization<'a>,
        inner: &ObjectId,
        outer: &ObjectId,
        declared: &mut Declared,
    ) -> Result<(), Refusal> {
        if let Some((place, what)) = layer.not_followed() {
            return Err(Refusal::NotFollowed {
                place,
                why: format!("uses {what}, whose effect is not followed"),
            });
        }
        patch::apply(self.files, layer, inner, &self.change.path, declared)?;
        if self.change.path == ["spec", "replicas"] && SCALED.contains(&inner.kind.as_str()) {
            for entry in layer.list("replicas") {
                let name = entry.text("name");
                if (name == Some(&inner.name) || name == Some(&outer.name))
                    && let Some(count) = layer.text.produced(entry, &["count".to_owned()])?
                {
                    declared.field = Some(count);
                }
            }
        }
        if is_image(&self.change.path)
            && let Some(field) = &mut declared.field
        {
            for entry in layer.list("images") {
                image(layer, entry, field)?;
            }
        }
        Ok(())
    }

    /// A ConfigMap that the layer generates.
    fn generated(&self, layer: &Kustomization<'a>, wanted: &ObjectId) -> Result<Option<Declared>, Refusal> {
        if wanted.kind != "ConfigMap" {
            return Ok(None);
        }
        let yes = |node: Option<&Node>| node.and_then(|o| o.text("disableNameSuffixHash")) == Some("true");
        let without_hash = yes(layer.get("generatorOptions"));
        for entry in layer.list("configMapGenerator") {
            let Some(name) = entry.text("name") else { continue };
            let full = format!("{}{name}{}", layer.string("namePrefix"), layer.string("nameSuffix"));
            let fixed = without_hash || yes(entry.get("options"));
            let rest = wanted.name.strip_prefix(&full);
            let is_it = match rest {
                Some("") => true,
                Some(hash) => !fixed && hash.len() == 11 && hash.starts_with('-'),
                None => false,
            };
            if is_it {
                let field = self.literal(layer, entry)?;
                return Ok(Some(Declared {
                    place: layer.text.place(entry),
                    field,
                    indices: self.change.path.clone(),
                    has_generated_name: !fixed,
                }));
            }
        }
        Ok(None)
    }

    fn literal(&self, layer: &Kustomization<'a>, entry: &Node) -> Result<Option<Produced>, Refusal> {
        let [data, key] = self.change.path.as_slice() else { return Ok(None) };
        if data != "data" {
            return Ok(None);
        }
        let front = format!("{key}=");
        for literal in entry.get("literals").map_or(&[][..], Node::items) {
            let Some(value) = literal.as_str().and_then(|text| text.strip_prefix(&front)) else { continue };
            // kustomize takes quotes around a value off.
            if value.starts_with(['\'', '"']) {
                let why = "has quotes within the literal".to_owned();
                return Err(Refusal::NotFollowed { place: layer.text.place(literal), why });
            }
            let site = Site { front, ..layer.text.site(literal)? };
            return Ok(Some(Produced { value: value.into(), source: Source::Whole(site) }));
        }
        let named = |list: &str| entry.get(list).or_else(|| entry.get("env"));
        if let Some(node) = named("files").or_else(|| named("envs")) {
            let why = format!("takes {} from other files", joined(&self.change.path));
            return Err(Refusal::NotFollowed { place: layer.text.place(node), why });
        }
        Ok(None)
    }
}

/// Lets an entry of `images` act on an image.
fn image(layer: &Kustomization<'_>, entry: &Node, field: &mut Produced) -> Result<(), Refusal> {
    let Some(text) = field.value.as_str() else { return Ok(()) };
    let now = Image::parse(text);
    if entry.text("name") != Some(now.name.as_str()) {
        return Ok(());
    }
    if let Some(node) = entry.get("tagSuffix") {
        let why = "uses tagSuffix, whose effect is not followed".to_owned();
        return Err(Refusal::NotFollowed { place: layer.text.place(node), why });
    }
    let part = |key: &str| -> Result<Option<(String, Site)>, Refusal> {
        let Some(node) = entry.get(key) else { return Ok(None) };
        let site = layer.text.produced(entry, &[key.to_owned()])?;
        Ok(match site {
            Some(Produced { source: Source::Whole(site), .. }) => {
                Some((node.as_str().unwrap_or_default().to_owned(), site))
            }
            _ => None,
        })
    };
    let (new_name, new_tag, new_digest) = (part("newName")?, part("newTag")?, part("digest")?);
    let mut parts = match field.source.clone() {
        Source::Whole(whole) => {
            Box::new(ImageSource { whole, declared: now.clone(), name: None, tag: None, digest: None })
        }
        Source::Image(parts) => parts,
    };
    let mut made = now;
    if let Some((text, site)) = new_name {
        (made.name, parts.name) = (text, Some(site));
    }
    if let Some((text, site)) = new_tag {
        (made.tag, made.digest, parts.tag, parts.digest) = (Some(text), None, Some(site), None);
    }
    if let Some((text, site)) = new_digest {
        (made.digest, made.tag, parts.digest, parts.tag) = (Some(text), None, Some(site), None);
    }
    *field = Produced { value: made.to_string().into(), source: Source::Image(parts) };
    Ok(())
}

/// All HelmReleases of a name below a folder, with the text that holds them.
pub(crate) fn releases<'a>(files: &'a Files, folder: &str, name: &str) -> Vec<(Text<'a>, Node)> {
    let mut found = Vec::new();
    for (file, text) in files.iter().filter(|(file, _)| is_manifest(file) && is_below(file, folder)) {
        if !text.contains("HelmRelease") {
            continue;
        }
        let Ok(text) = Text::of_file(file, text) else { continue };
        let is_it = |document: &&Node| {
            document.text("kind") == Some("HelmRelease")
                && document.get("metadata").and_then(|m| m.text("name")) == Some(name)
        };
        let documents: Vec<Node> = objects(&text.documents).filter(is_it).cloned().collect();
        found.extend(documents.into_iter().map(|document| (text.clone(), document)));
    }
    found
}

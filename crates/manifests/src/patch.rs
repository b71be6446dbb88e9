//! Patches of a kustomization: strategic merge and JSON Patch (RFC 6902), in files or inline.

use regex::Regex;

use crate::change::{ObjectId, joined, steps};
use crate::declared::{Files, Text, is_object, objects};
use crate::document::{Kind, Node};
use crate::kustomization::Kustomization;
use crate::plain::Declared;
use crate::refusal::Refusal;

/// A patch of a kustomization.
struct Patch<'a> {
    text: Text<'a>,
    /// The selector of its objects.
    target: Option<Node>,
    /// Where the kustomization names it.
    place: String,
}

/// Lets every patch of `kustomization` act on what it declares of the object.
pub(crate) fn apply(
    files: &Files,
    kustomization: &Kustomization<'_>,
    object: &ObjectId,
    path: &[String],
    declared: &mut Declared,
) -> Result<(), Refusal> {
    for patch in patches(files, kustomization)? {
        for document in objects(&patch.text.documents) {
            let selected = match &patch.target {
                Some(target) => selects(target, object),
                None => is_object(document, object, true).then_some(Sure::Yes),
            };
            let Some(sure) = selected else { continue };
            let before = declared.field.clone();
            match &document.kind {
                Kind::List(operations) => json_patch(&patch, operations, path, declared)?,
                _ => merge(&patch, document, path, declared)?,
            }
            if sure == Sure::No && before != declared.field {
                return Err(Refusal::NotFollowed {
                    place: patch.place,
                    why: "selects its objects by labels or annotations".to_owned(),
                });
            }
        }
    }
    Ok(())
}

/// All patches in the order in which kustomize applies them.
fn patches<'a>(files: &'a Files, kustomization: &Kustomization<'a>) -> Result<Vec<Patch<'a>>, Refusal> {
    let mut found = Vec::new();
    for entry in kustomization.list("patchesStrategicMerge") {
        let is_inline = entry.as_str().is_some_and(|text| text.contains('\n'));
        let text =
            if is_inline { inline(files, kustomization, entry)? } else { file(files, kustomization, entry)? };
        found.push(Patch { text, target: None, place: kustomization.text.place(entry) });
    }
    for entry in kustomization.list("patches").iter().chain(kustomization.list("patchesJson6902")) {
        let text = match (entry.get("path"), entry.get("patch")) {
            (Some(path), _) => file(files, kustomization, path)?,
            (None, Some(patch)) => inline(files, kustomization, patch)?,
            (None, None) => continue,
        };
        found.push(Patch {
            text,
            target: entry.get("target").cloned(),
            place: kustomization.text.place(entry),
        });
    }
    Ok(found)
}

fn file<'a>(files: &'a Files, kustomization: &Kustomization<'_>, entry: &Node) -> Result<Text<'a>, Refusal> {
    let named = entry.as_str().and_then(|path| kustomization.target(path));
    match named.and_then(|path| files.get_key_value(path.as_str())) {
        Some((file, text)) => Text::of_file(file, text),
        None => Err(Refusal::NotFollowed {
            place: kustomization.text.place(entry),
            why: "names a patch that is not in the repository".to_owned(),
        }),
    }
}

fn inline<'a>(
    files: &'a Files,
    kustomization: &Kustomization<'a>,
    block: &Node,
) -> Result<Text<'a>, Refusal> {
    let file = kustomization.text.file;
    Text::of_block(file, files.get(file).map_or("", String::as_str), block)
}

/// Whether it is known that a selector takes the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sure {
    Yes,
    No,
}

fn selects(target: &Node, object: &ObjectId) -> Option<Sure> {
    let fits = |key: &str, value: &str| {
        target.text(key).filter(|pattern| !pattern.is_empty()).is_none_or(|pattern| {
            pattern == value
                || Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|regex| regex.is_match(value))
        })
    };
    let takes = fits("kind", &object.kind) && fits("name", &object.name) && fits("group", &object.group);
    let by_labels = target.get("labelSelector").is_some() || target.get("annotationSelector").is_some();
    takes.then_some(if by_labels { Sure::No } else { Sure::Yes })
}

fn merge(
    patch: &Patch<'_>,
    document: &Node,
    path: &[String],
    declared: &mut Declared,
) -> Result<(), Refusal> {
    // A directive on the way replaces or deletes what is there.
    for length in 0..path.len() {
        let node = path.get(..length).and_then(|front| document.find(front).ok().flatten());
        if let Some(directive) = node.and_then(|node| node.get("$patch")) {
            return Err(Refusal::NotFollowed {
                place: patch.text.place(directive),
                why: "uses a $patch directive".to_owned(),
            });
        }
    }
    if let Some(field) = patch.text.produced(document, path)? {
        declared.field = Some(field);
    }
    Ok(())
}

fn json_patch(
    patch: &Patch<'_>,
    operations: &[Node],
    path: &[String],
    declared: &mut Declared,
) -> Result<(), Refusal> {
    for operation in operations {
        let refuse =
            |why: &str| Refusal::NotFollowed { place: patch.text.place(operation), why: why.to_owned() };
        let (Some(op), Some(pointer)) = (operation.text("op"), operation.text("path")) else { continue };
        let pointer = steps(pointer);
        let own = &declared.indices;
        if op == "test" {
            continue;
        }
        if matches!(op, "move" | "copy") {
            let from = operation.text("from").map(steps).unwrap_or_default();
            if own.starts_with(&pointer) || own.starts_with(&from) {
                return Err(refuse("moves or copies the value"));
            }
            continue;
        }
        // A new or removed item before ours shifts its index.
        let parent = pointer.split_last().filter(|(last, _)| last.parse::<usize>().is_ok());
        let shifts = parent.is_some_and(|(_, parent)| own.starts_with(parent) && own.len() > parent.len())
            && (op == "remove" || op == "add");
        let names_item =
            parent.and_then(|(_, parent)| own.get(parent.len())).is_some_and(|s| s.parse::<usize>().is_ok());
        if shifts && names_item {
            return Err(refuse("adds or removes items of a list on the way to the value"));
        }
        if !own.starts_with(&pointer) {
            continue;
        }
        let rest = path.get(pointer.len()..).unwrap_or_default();
        match (op, operation.get("value")) {
            ("replace" | "add", Some(value)) => declared.field = patch.text.produced(value, rest)?,
            _ => return Err(refuse(&format!("takes {} away", joined(&pointer)))),
        }
    }
    Ok(())
}

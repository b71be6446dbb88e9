//! Values of Helm charts: inline in a HelmRelease, or in a values file.
//!
//! A chart's templates decide which value makes which field, and they are not followed. So either an annotation names the
//! value, or there is exactly one that is called what charts call it and has the old value.

use causeway_actions::git_change::VALUE_SOURCE;
use serde_json::Value;

use crate::change::{Change, joined, steps};
use crate::declared::{Files, Produced, Text, folder_of, is_below};
use crate::document::{Kind, Node};
use crate::image::{Image, is_image};
use crate::kustomize::releases;
use crate::refusal::Refusal;
use crate::scalar::makes;

/// One scalar and what it shall become.
pub(crate) struct Found {
    pub(crate) produced: Produced,
    pub(crate) to: Value,
}

/// The value that the annotation names.
///
/// # Errors
/// The file or the value is not there.
pub(crate) fn by_annotation(files: &Files, change: &Change, source: &str) -> Result<Found, Refusal> {
    let missing = |what: String| Refusal::NotDeclared {
        what: format!("{what}, which the annotation {VALUE_SOURCE} names"),
    };
    let Some((file, path)) = source.rsplit_once(':') else {
        return Err(missing(format!("there is no file and no value in {source}")));
    };
    let Some((file, text)) = files.get_key_value(file) else {
        return Err(missing(format!("there is no file {file}")));
    };
    let text = Text::of_file(file, text)?;
    for document in &text.documents {
        if let Some(produced) = text.produced(document, &steps(path))? {
            return Ok(part_of(change, produced));
        }
    }
    Err(missing(format!("{file} has no {path}")))
}

/// The annotated value may be the whole image, or its tag only.
fn part_of(change: &Change, produced: Produced) -> Found {
    if is_image(&change.path)
        && let (Some(from), Some(to)) = (change.from.as_str(), change.to.as_str())
    {
        let (from, to) = (Image::parse(from), Image::parse(to));
        let is_tag = |image: &Image| image.tag.as_deref().is_some_and(|tag| is_text(&produced.value, tag));
        if from.name == to.name && from.digest == to.digest && (is_tag(&from) || is_tag(&to)) {
            return Found { produced, to: to.tag.map_or(Value::Null, Value::from) };
        }
    }
    Found { produced, to: change.to.clone() }
}

fn is_text(value: &Value, text: &str) -> bool {
    value.as_str() == Some(text) || value.as_f64().is_some_and(|_| format!("{value}") == text)
}

/// The one value that could make the field; `None` if there is no release and no values file.
///
/// # Errors
/// None or several could make it.
pub(crate) fn by_name(files: &Files, folder: &str, change: &Change) -> Result<Option<Found>, Refusal> {
    let mut candidates: Vec<Found> = Vec::new();
    let mut looked: Vec<String> = Vec::new();
    if let Some(release) = &change.release {
        for (text, document) in releases(files, folder, release) {
            looked.push(text.place(&document));
            let values = document.get("spec").and_then(|spec| spec.get("values"));
            if let Some(values) = values {
                collect(&text, values, change, &mut candidates)?;
            }
        }
    }
    for (file, content) in files.iter().filter(|(file, _)| is_values_file(file, folder)) {
        let text = Text::of_file(file, content)?;
        looked.push(file.clone());
        for document in &text.documents {
            collect(&text, document, change, &mut candidates)?;
        }
    }
    if looked.is_empty() {
        return Ok(None);
    }
    let field = joined(&change.path);
    let advice = format!("say which one with the annotation {VALUE_SOURCE} on {}", change.object);
    match candidates.len() {
        1 => Ok(candidates.pop()),
        0 => Err(Refusal::NotDeclared {
            what: format!(
                "no value in {} is called like {field} and has {}: {advice}",
                looked.join(", "),
                change.from
            ),
        }),
        _ => Err(Refusal::Ambiguous {
            what: format!("the value of {field} ({advice})"),
            places: candidates.iter().map(|found| found.produced.place()).collect(),
        }),
    }
}

fn is_values_file(file: &str, folder: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file);
    let is_values = name.starts_with("values") && (name.ends_with(".yaml") || name.ends_with(".yml"));
    // Defaults of a chart are not what a release sets.
    is_values && is_below(file, folder) && !folder_of(file).split('/').any(|part| part == "charts")
}

/// Every scalar below `node` that could make the field.
fn collect(text: &Text<'_>, node: &Node, change: &Change, out: &mut Vec<Found>) -> Result<(), Refusal> {
    if node.anchored {
        return Ok(());
    }
    if let Kind::Map(entries) = &node.kind {
        for (key, value) in entries {
            let Some(name) = key.as_str() else { continue };
            if let Kind::Scalar { .. } = value.kind
                && let Some(to) = candidate(node, name, value, change)
                && let Some(produced) = text.produced(node, &[name.to_owned()])?
            {
                out.push(Found { produced, to });
            }
            collect(text, value, change, out)?;
        }
    }
    for item in node.items() {
        collect(text, item, change, out)?;
    }
    Ok(())
}

/// What the scalar called `key` would become, if it could make the field.
fn candidate(map: &Node, key: &str, value: &Node, change: &Change) -> Option<Value> {
    let found = value.value();
    if is_image(&change.path) {
        let (from, to) = (Image::parse(change.from.as_str()?), Image::parse(change.to.as_str()?));
        if key == "image" && found == change.from {
            return Some(change.to.clone());
        }
        let of_image = map.text("repository").or_else(|| map.text("name"))?;
        let named = from.name == of_image || from.name.ends_with(&format!("/{of_image}"));
        let same = from.name == to.name && from.digest == to.digest;
        let is_tag = key == "tag" && value.as_str() == from.tag.as_deref();
        return (named && same && is_tag).then(|| to.tag.map(Value::from)).flatten();
    }
    let last = change.path.last()?;
    let called = key == last || (change.path == ["spec", "replicas"] && key == "replicaCount");
    let is_amount = change.path.iter().any(|step| step == "resources");
    (called && makes(&found, &change.from, is_amount)).then(|| change.to.clone())
}

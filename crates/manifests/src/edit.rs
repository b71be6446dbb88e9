//! Edits the declared values of a set of fields.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::change::{Change, joined};
use crate::declared::{Files, ImageSource, Produced, Site, Source};
use crate::document::parse;
use crate::helm;
use crate::image::Image;
use crate::kustomization::{Kustomization, Uses};
use crate::kustomize;
use crate::refusal::Refusal;
use crate::scalar::{makes, written};

/// Files after an edit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edited {
    /// Changed files only; none if every field is declared with its new value already.
    pub files: Files,
    /// The change as text: each file's name, then its `-` and `+` lines. Without line numbers, so that a push that moves the
    /// lines leaves the text as it is.
    pub diff: String,
    /// Objects whose name is made from their content: the live one stays as it is, and a new one comes.
    pub renamed: BTreeSet<String>,
}

/// One scalar and its new text.
struct Write {
    site: Site,
    text: String,
}

/// Edits what the folder `root` declares, so that every field gets its new value. `root` is what Flux or Argo CD applies,
/// as a path from the root of the repository without a leading slash; empty for all of it. `files` are the text files of the
/// whole repository, so that what else uses a file is seen.
///
/// # Errors
/// A value is not found, not unique, not the old one, or can't be followed or written for sure.
pub fn edit(files: &Files, root: &str, changes: &[Change]) -> Result<Edited, Refusal> {
    let root = root.trim_matches('/').trim_start_matches("./");
    let root = if root == "." { "" } else { root };
    let uses = Uses::of(files);
    let is_plain = Kustomization::of(files, root)?.is_none();
    let (mut writes, mut renamed) = (Vec::<Write>::new(), BTreeSet::new());
    for change in changes {
        let (produced, to, is_generated) = find(files, root, change)?;
        if is_generated {
            renamed.insert(change.object.to_string());
        }
        let is_amount = change.path.iter().any(|step| step == "resources");
        if makes(&produced.value, &to, is_amount) {
            continue;
        }
        let from = if to == change.to { &change.from } else { &produced.value };
        if !makes(&produced.value, from, is_amount) {
            return Err(Refusal::OtherValue {
                place: produced.place(),
                found: produced.value.to_string(),
                wanted: change.from.to_string(),
            });
        }
        for (site, to) in parts(&produced, &to)? {
            if let Some(folder) = uses.elsewhere(&site.file, root, is_plain) {
                return Err(Refusal::Shared {
                    place: site.place(),
                    by: if folder.is_empty() { "the root".to_owned() } else { folder },
                    advice: "set the value in a layer of this environment first, such as `replicas`, `images` or a patch",
                });
            }
            writes.push(write(files, site, &to)?);
        }
    }
    apply(files, writes, renamed)
}

/// What makes the field, what that shall become, and whether the object's name is made from its content.
fn find(files: &Files, root: &str, change: &Change) -> Result<(Produced, Value, bool), Refusal> {
    if let Some(source) = &change.source {
        let found = helm::by_annotation(files, change, source)?;
        return Ok((found.produced, found.to, false));
    }
    if let Some(declared) = kustomize::in_folder(files, root, change)? {
        let Some(field) = declared.field else {
            let what =
                format!("{} declares {} without {}", declared.place, change.object, joined(&change.path));
            return Err(Refusal::NotDeclared { what });
        };
        return Ok((field, change.to.clone(), declared.has_generated_name));
    }
    match helm::by_name(files, root, change)? {
        Some(found) => Ok((found.produced, found.to, false)),
        None => {
            let place = if root.is_empty() { "the repository" } else { root };
            Err(Refusal::NotDeclared { what: format!("nothing in {place} declares {}", change.object) })
        }
    }
}

/// The scalars that have to change, and to what.
fn parts(produced: &Produced, to: &Value) -> Result<Vec<(Site, Value)>, Refusal> {
    let ImageSource { whole, declared, name, tag, digest } = match &produced.source {
        Source::Whole(site) => return Ok(vec![(site.clone(), to.clone())]),
        Source::Image(image) => image.as_ref(),
    };
    let now = Image::parse(produced.value.as_str().unwrap_or_default());
    let want = Image::parse(to.as_str().unwrap_or_default());
    let (mut out, mut base) = (Vec::new(), declared.clone());
    if now.name != want.name {
        match name {
            Some(site) => out.push((site.clone(), Value::from(want.name.clone()))),
            None => {
                // The entry finds its image by this name, and would lose it.
                let why = "changes the name by which `images` finds it".to_owned();
                return Err(Refusal::NotFollowed { place: whole.place(), why });
            }
        }
    }
    if now.tag != want.tag || now.digest != want.digest {
        match (tag, digest, &want) {
            (Some(site), None, Image { tag: Some(tag), digest: None, .. }) => {
                out.push((site.clone(), Value::from(tag.clone())));
            }
            (None, Some(site), Image { tag: None, digest: Some(digest), .. }) => {
                out.push((site.clone(), Value::from(digest.clone())));
            }
            (None, None, _) => (base.tag, base.digest) = (want.tag.clone(), want.digest.clone()),
            _ => {
                let why = "would have to switch between tag and digest".to_owned();
                return Err(Refusal::NotFollowed { place: produced.place(), why });
            }
        }
    }
    if base != *declared {
        out.push((whole.clone(), Value::from(base.to_string())));
    }
    Ok(out)
}

fn write(files: &Files, site: Site, to: &Value) -> Result<Write, Refusal> {
    let raw = files.get(&site.file).and_then(|text| text.get(site.span.clone())).unwrap_or_default();
    let refuse = |why: &str| Refusal::NotFollowed { place: site.place(), why: why.to_owned() };
    let to = match to {
        Value::String(text) if !site.front.is_empty() => Value::from(format!("{}{text}", site.front)),
        other if !site.front.is_empty() => Value::from(format!("{}{other}", site.front)),
        other => other.clone(),
    };
    let text = written(raw, site.style, &to).map_err(refuse)?;
    if site.nested && text.contains('\n') {
        return Err(refuse("would become several lines within a text"));
    }
    Ok(Write { site, text })
}

fn apply(files: &Files, writes: Vec<Write>, renamed: BTreeSet<String>) -> Result<Edited, Refusal> {
    let mut by_file: BTreeMap<String, Vec<Write>> = BTreeMap::new();
    for write in writes {
        let list = by_file.entry(write.site.file.clone()).or_default();
        match list.iter().find(|other| {
            other.site.span.start < write.site.span.end && write.site.span.start < other.site.span.end
        }) {
            // Two fields that one scalar makes, such as the image of two containers.
            Some(other) if other.text == write.text && other.site.span == write.site.span => {}
            Some(_) => {
                let why = "would get two values".to_owned();
                return Err(Refusal::NotFollowed { place: write.site.place(), why });
            }
            None => list.push(write),
        }
    }
    let mut edited = Edited { renamed, ..Edited::default() };
    for (file, mut writes) in by_file {
        let Some(before) = files.get(&file) else { continue };
        writes.sort_by_key(|write| std::cmp::Reverse(write.site.span.start));
        let mut after = before.clone();
        for write in &writes {
            after.replace_range(write.site.span.clone(), &write.text);
        }
        prove(&file, before, &after, writes.len())?;
        edited.diff.push_str(&diff(&file, before, &after));
        edited.files.insert(file, after);
    }
    Ok(edited)
}

/// Reads the file again: exactly as many values differ as were written. What this refuses is a fault of ours or of the
/// parser, and must not reach Git.
fn prove(file: &str, before: &str, after: &str, writes: usize) -> Result<(), Refusal> {
    let refuse = |why: String| Refusal::NotFollowed { place: file.to_owned(), why };
    let read = |text: &str| -> Result<Vec<Value>, String> {
        Ok(parse(text)?.iter().map(crate::document::Node::value).collect())
    };
    let old = read(before).map_err(refuse)?;
    let new = read(after).map_err(|why| refuse(format!("would not be YAML any more ({why})")))?;
    let found = differences(&Value::from(old), &Value::from(new));
    // Scalars within one block of text are one value of the file.
    if found == 0 || found > writes {
        return Err(refuse(format!("would change in {found} values, not in {writes}")));
    }
    Ok(())
}

/// How many scalars differ; a difference of shape counts as very many.
pub(crate) fn differences(a: &Value, b: &Value) -> usize {
    const MANY: usize = 1 << 20;
    match (a, b) {
        (Value::Object(a), Value::Object(b)) if a.len() == b.len() && a.keys().eq(b.keys()) => {
            a.iter().map(|(key, value)| differences(value, b.get(key).unwrap_or(&Value::Null))).sum()
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).map(|(a, b)| differences(a, b)).sum()
        }
        _ if a == b => 0,
        _ if a.is_object() || a.is_array() || b.is_object() || b.is_array() => MANY,
        _ => 1,
    }
}

/// The lines that differ.
fn diff(file: &str, before: &str, after: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let mut out = format!("{file}\n");
    let mut line = |sign: char, text: &str| {
        out.push(sign);
        out.push_str(&causeway_actions::diff::printable(text));
        out.push('\n');
    };
    if old.len() == new.len() {
        for (old, new) in old.iter().zip(&new).filter(|(old, new)| old != new) {
            line('-', old);
            line('+', new);
        }
        return out;
    }
    let front = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let most = old.len().min(new.len()) - front;
    let back = old.iter().rev().zip(new.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
    old.iter().take(old.len() - back).skip(front).for_each(|text| line('-', text));
    new.iter().take(new.len() - back).skip(front).for_each(|text| line('+', text));
    out
}

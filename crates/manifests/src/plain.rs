//! Plain manifests: every file of a folder that holds the object.

use crate::change::ObjectId;
use crate::declared::{Files, Produced, Text, is_object, objects};
use crate::document::Node;
use crate::refusal::Refusal;

/// An object as it is declared, and the field as far as the layers looked at so far make it.
#[derive(Debug, Clone)]
pub(crate) struct Declared {
    /// Where the object stands.
    pub(crate) place: String,
    /// The field, if it is named.
    pub(crate) field: Option<Produced>,
    /// The field's path with the indices that items of lists have where the object stands.
    pub(crate) indices: Vec<String>,
    /// Whether its live name ends in a hash of its content, so that an edit makes another object.
    pub(crate) has_generated_name: bool,
}

/// The object in one of `names`, if it is there.
///
/// # Errors
/// [`Refusal::Ambiguous`] if it is there twice.
pub(crate) fn in_files<'a>(
    files: &'a Files,
    names: impl Iterator<Item = &'a str>,
    wanted: &ObjectId,
    any_namespace: bool,
    path: &[String],
) -> Result<Option<Declared>, Refusal> {
    let mut found: Vec<Declared> = Vec::new();
    for name in names {
        let Some(text) = files.get(name) else { continue };
        // What does not hold the name can't hold the object; templates of charts are no YAML.
        if !text.contains(&wanted.name) {
            continue;
        }
        let text = Text::of_file(name, text)?;
        for document in objects(&text.documents).filter(|d| is_object(d, wanted, any_namespace)) {
            found.push(declared(&text, document, path)?);
        }
    }
    one(found, wanted)
}

/// The only one.
pub(crate) fn one(mut found: Vec<Declared>, wanted: &ObjectId) -> Result<Option<Declared>, Refusal> {
    if found.len() > 1 {
        let places = found.into_iter().map(|declared| declared.place).collect();
        return Err(Refusal::Ambiguous { what: wanted.to_string(), places });
    }
    Ok(found.pop())
}

pub(crate) fn declared(text: &Text<'_>, document: &Node, path: &[String]) -> Result<Declared, Refusal> {
    Ok(Declared {
        place: text.place(document),
        field: text.produced(document, path)?,
        indices: indices(document, path),
        has_generated_name: false,
    })
}

/// The path with the index of each item of a list in place of its name.
fn indices(document: &Node, path: &[String]) -> Vec<String> {
    let mut at = Some(document);
    path.iter()
        .map(|step| {
            let index = at.filter(|node| !node.items().is_empty()).and_then(|node| node.index_of(step));
            let next = match index {
                Some(index) => at.and_then(|node| node.items().get(index)),
                None => at.and_then(|node| node.get(step)),
            };
            at = next;
            index.map_or_else(|| step.clone(), |index| index.to_string())
        })
        .collect()
}

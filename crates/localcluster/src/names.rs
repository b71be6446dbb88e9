//! Names, labels and finalizers: what is well formed.

use serde_json::Value;

use crate::kind::{Kind, Origin};
use crate::prepare::meta;
use crate::status::Cause;

const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
/// What is said of a label's value that is not well formed.
pub(crate) const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// Appends five random letters, as the API server does for `generateName`.
pub(crate) fn generate(base: &str) -> String {
    const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    const MOST: usize = 58;
    let random = uuid::Uuid::new_v4();
    let tail: String = random
        .as_bytes()
        .iter()
        .take(5)
        .map(|b| char::from(LETTERS[usize::from(*b) % LETTERS.len()]))
        .collect();
    format!("{}{tail}", base.chars().take(MOST).collect::<String>())
}

fn is_label(text: &str, most: usize) -> bool {
    let bytes = text.as_bytes();
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    text.len() <= most
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
}

fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(|part| is_label(part, 253))
}

/// `[prefix/]name` with letters, digits, `-`, `_` and `.`.
fn is_qualified(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    prefix.is_none_or(is_subdomain) && !name.is_empty() && is_value(name)
}

/// Whether a text may be the value of a label.
pub(crate) fn is_value(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && edge(text.chars().next())
        && edge(text.chars().next_back())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// What is wrong with an object's metadata.
pub(crate) fn check_metadata(kind: &Kind, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let name = meta(object, "name");
    let short = kind.group.is_empty() && matches!(kind.plural.as_str(), "namespaces" | "services");
    if short && !is_label(name, 63) {
        causes.push(Cause::invalid(
            "metadata.name",
            &name.into(),
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
        ));
    } else if !is_subdomain(name) {
        causes.push(Cause::invalid(
            "metadata.name",
            &name.into(),
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        ));
    }
    for (key, value) in entries(object, "labels") {
        if !is_qualified(key) {
            causes.push(Cause::invalid("metadata.labels", &key.as_str().into(), QUALIFIED));
        }
        if value.as_str().is_some_and(|v| !is_value(v)) {
            causes.push(Cause::invalid("metadata.labels", value, LABEL_VALUE));
        }
    }
    for (key, _) in entries(object, "annotations").filter(|(key, _)| !is_qualified(&key.to_lowercase())) {
        causes.push(Cause::invalid("metadata.annotations", &key.as_str().into(), QUALIFIED));
    }
    let size: usize =
        entries(object, "annotations").map(|(k, v)| k.len() + v.as_str().map_or(0, str::len)).sum();
    if size > 256 * 1024 {
        causes.push(Cause {
            reason: "FieldValueTooLong",
            message: "Too long: may not be more than 262144 bytes".into(),
            field: "metadata.annotations".into(),
        });
    }
    for owner in object.pointer("/metadata/ownerReferences").and_then(Value::as_array).into_iter().flatten() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner.get(field).and_then(Value::as_str).is_none_or(str::is_empty) {
                let field = format!("metadata.ownerReferences.{field}");
                causes.push(Cause::invalid(field, &"".into(), "must not be empty"));
            }
        }
    }
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let controllers: Vec<String> = owners
        .into_iter()
        .flatten()
        .filter(|owner| owner["controller"] == true)
        .map(|owner| format!("{}/{}", meta_text(owner, "kind"), meta_text(owner, "name")))
        .collect();
    if let [first, second, ..] = controllers.as_slice() {
        let why = format!(
            "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {second}"
        );
        let owners = &object["metadata"]["ownerReferences"];
        causes.push(Cause::invalid("metadata.ownerReferences", owners, why));
    }
    for finalizer in finalizers(object) {
        if !is_qualified(finalizer) {
            causes.push(Cause::invalid("metadata.finalizers", &finalizer.into(), QUALIFIED));
        }
    }
    causes
}

fn meta_text<'a>(owner: &'a Value, field: &str) -> &'a str {
    owner.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Finalizers that may be taken for somebody else's.
pub(crate) fn warnings(object: &Value) -> Vec<String> {
    finalizers(object)
        .filter(|finalizer| !finalizer.contains('/') && !matches!(*finalizer, "orphan" | "foregroundDeletion"))
        .map(|finalizer| {
            format!("metadata.finalizers: {finalizer:?}: prefer a domain-qualified finalizer name to avoid accidental conflicts with other finalizer writers")
        })
        .collect()
}

/// An object that is being deleted gets no new finalizers.
pub(crate) fn check_finalizers(kind: &Kind, old: &Value, new: &Value) -> Vec<Cause> {
    if meta(old, "deletionTimestamp").is_empty() {
        return Vec::new();
    }
    let known: Vec<&str> = finalizers(old).collect();
    let fresh: Vec<String> =
        finalizers(new).filter(|f| !known.contains(f)).map(|finalizer| format!("{finalizer:?}")).collect();
    if fresh.is_empty() {
        return Vec::new();
    }
    let why = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
        fresh.join(", ")
    );
    // The API server checks the metadata of custom resources twice, and says so twice.
    let times = if kind.origin == Origin::Custom { 2 } else { 1 };
    vec![Cause::forbidden("metadata.finalizers", why); times]
}

pub(crate) fn finalizers(object: &Value) -> impl Iterator<Item = &str> {
    let list = object.pointer("/metadata/finalizers").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str)
}

fn entries<'a>(object: &'a Value, field: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    object.get("metadata").and_then(|m| m.get(field)).and_then(Value::as_object).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_fit() {
        let name = generate(&"x".repeat(80));
        assert_eq!(name.len(), 63);
        assert!(is_subdomain(&generate("run-")));
    }

    #[test]
    fn well_formed() {
        for (text, good) in
            [("a-b.c9", true), ("A", false), ("a_b", false), ("-a", false), ("", false), ("a..b", false)]
        {
            assert_eq!(is_subdomain(text), good, "{text}");
        }
        for (text, good) in
            [("app.kubernetes.io/name", true), ("Name_x", true), ("a/b/c", false), ("", false), ("x/", false)]
        {
            assert_eq!(is_qualified(text), good, "{text}");
        }
    }
}

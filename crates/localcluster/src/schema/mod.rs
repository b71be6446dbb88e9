//! The structural schema of a kind: pruning, defaults, validation and CEL rules, in the order of the API server.

mod cel;
mod check;
mod shape;

use serde_json::Value;

pub(crate) use cel::compile_errors;
pub(crate) use shape::whole_numbers;

use crate::status::Cause;

/// What to do with fields that the schema does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

/// Reasons that say that the object has not the shape that the rules are written for.
const BLOCKING: [&str; 5] = [
    "FieldValueNotSupported",
    "FieldValueRequired",
    "FieldValueTooLong",
    "FieldValueTooMany",
    "FieldValueTypeInvalid",
];
const UNCHECKED: &str = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";

/// A structural schema without references, and its compiled CEL rules.
#[derive(Debug)]
pub(crate) struct Schema {
    root: Value,
    rules: Option<kube::core::cel::CompiledSchema>,
}

impl Schema {
    /// Takes an OpenAPI v3 schema in which every reference is resolved.
    pub(crate) fn new(root: Value) -> Self {
        let rules = cel::has_rules(&root).then(|| kube::core::cel::compile_schema(&root));
        Self { root, rules }
    }

    pub(crate) fn root(&self) -> &Value {
        &self.root
    }

    /// Drops what the schema does not name and returns the paths of what was dropped.
    pub(crate) fn prune(&self, object: &mut Value) -> Vec<String> {
        let mut dropped = Vec::new();
        shape::prune(&self.root, object, "", &mut dropped);
        dropped
    }

    /// Does what decoding into a typed object does: drops `null` members and writes quantities as text.
    pub(crate) fn decode(&self, object: &mut Value) {
        shape::decode(&self.root, object);
    }

    /// Fills in the schema's defaults.
    pub(crate) fn default(&self, object: &mut Value) {
        shape::default(&self.root, object);
    }

    /// Checks types, bounds and formats.
    pub(crate) fn check(&self, object: &Value) -> Vec<Cause> {
        let mut causes = Vec::new();
        check::check(&self.root, object, "", &mut causes);
        causes
    }

    /// Checks the CEL rules; `old` makes transition rules apply. Rules may not be run on an object of the wrong shape:
    /// with such `found` causes the answer says that they were not.
    pub(crate) fn check_rules(&self, object: &Value, old: Option<&Value>, found: &[Cause]) -> Vec<Cause> {
        let mut causes = Vec::new();
        let Some(rules) = &self.rules else { return causes };
        if found.iter().any(|cause| BLOCKING.contains(&cause.reason)) {
            causes.push(Cause::invalid("<nil>", &Value::Null, UNCHECKED));
        } else {
            cel::evaluate(rules, object, old, &mut causes);
        }
        causes
    }
}

/// `parent.child`, or the child alone at the root.
pub(crate) fn join(path: &str, field: &str) -> String {
    if path.is_empty() {
        field.to_owned()
    } else if field.contains(['.', '/']) {
        format!("{path}[{field}]")
    } else {
        format!("{path}.{field}")
    }
}

pub(crate) fn flag(schema: &Value, name: &str) -> bool {
    schema.get(name).and_then(Value::as_bool) == Some(true)
}

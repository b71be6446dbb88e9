//! CEL rules of a schema (`x-kubernetes-validations`), evaluated by kube's CEL engine.

use kube::core::cel::{CompiledSchema, Validator};
use serde_json::Value;

use crate::status::Cause;

/// Whether any node of the schema has rules; a schema without any skips the evaluator.
pub(super) fn has_rules(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => map.contains_key("x-kubernetes-validations") || map.values().any(has_rules),
        Value::Array(items) => items.iter().any(has_rules),
        _ => false,
    }
}

/// Texts of the rules that do not compile, anywhere in the schema.
pub(crate) fn compile_errors(schema: &Value) -> Vec<String> {
    let mut errors = Vec::new();
    if has_rules(schema) {
        collect(&kube::core::cel::compile_schema(schema), &mut errors);
    }
    errors
}

fn collect(node: &CompiledSchema, errors: &mut Vec<String>) {
    errors.extend(node.compilation_errors().iter().map(|e| e.to_string()));
    for child in node.properties.values() {
        collect(child, errors);
    }
    for child in node.items.iter().chain(&node.additional_properties) {
        collect(child, errors);
    }
}

/// Runs the rules; those that name `oldSelf` run only with an old object.
pub(super) fn evaluate(rules: &CompiledSchema, object: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let Err(errors) = Validator::new().validate_compiled(rules, object, old) else { return };
    for error in errors {
        let reason = match error.reason.as_deref() {
            Some("FieldValueForbidden") => "FieldValueForbidden",
            Some("FieldValueRequired") => "FieldValueRequired",
            Some("FieldValueDuplicate") => "FieldValueDuplicate",
            _ => "FieldValueInvalid",
        };
        let field = if error.field_path.is_empty() { "<nil>".to_owned() } else { error.field_path.clone() };
        causes.push(match reason {
            "FieldValueForbidden" => Cause::forbidden(field, &error.message),
            "FieldValueRequired" => Cause::required(field, &error.message),
            "FieldValueDuplicate" => {
                Cause { reason, message: format!("Duplicate value: {}", error.message), field }
            }
            _ => Cause { reason, message: format!("Invalid value: {}", error.message), field },
        });
    }
}

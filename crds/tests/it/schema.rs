//! What every definition must have.

use causeway_crds::all_crds;
use serde_json::Value;

/// Visits every schema of a definition with its path.
fn visit(schema: &Value, path: &str, see: &mut dyn FnMut(&str, &Value)) {
    see(path, schema);
    for (name, child) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        visit(child, &format!("{path}.{name}"), see);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(child) = schema.get(key).filter(|child| child.is_object()) {
            visit(child, &format!("{path}[]"), see);
        }
    }
}

fn schemas() -> Vec<(String, Value)> {
    all_crds()
        .iter()
        .map(|crd| {
            let value = serde_json::to_value(crd).unwrap();
            (
                crd.spec.names.kind.clone(),
                value.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap().clone(),
            )
        })
        .collect()
}

#[test]
fn kinds_names_and_categories() {
    let mut names: Vec<String> = Vec::new();
    for crd in all_crds() {
        let spec = &crd.spec;
        assert_eq!(spec.group, causeway_crds::GROUP);
        assert_eq!(spec.versions[0].name, causeway_crds::VERSION);
        let categories = spec.names.categories.clone().unwrap();
        assert_eq!(categories[0], "causeway");
        assert!(["causeway-config", "causeway-ops"].contains(&categories[1].as_str()));
        names.extend(spec.names.short_names.clone().unwrap());
        assert!(
            spec.versions[0].additional_printer_columns.as_ref().unwrap().len() >= 4,
            "{}",
            spec.names.kind
        );
    }
    assert_eq!(names.join(" "), "lsrc msvc cbl cslo rbk rpol cgr cpause peak ntgt cinc crem cappr");
}

#[test]
fn schemas_are_structural_described_and_bounded() {
    for (kind, root) in schemas() {
        let mut bad = Vec::new();
        for part in ["spec", "status"] {
            let Some(schema) = root.pointer(&format!("/properties/{part}")) else { continue };
            visit(schema, &format!("{kind}.{part}"), &mut |path, schema| {
                for union in ["oneOf", "anyOf", "allOf", "not", "$ref"] {
                    if schema.get(union).is_some() && schema.get("x-kubernetes-int-or-string").is_none() {
                        bad.push(format!("{path}: {union}"));
                    }
                }
                if schema.get("x-kubernetes-preserve-unknown-fields").is_some() {
                    bad.push(format!("{path}: preserves unknown fields"));
                }
                let kind_of = schema.get("type").and_then(Value::as_str);
                if kind_of.is_none() {
                    bad.push(format!("{path}: has no type"));
                }
                // Conditions and label selectors are Kubernetes' own types.
                // Maps of attributes are bounded by their number.
                let foreign = [".conditions[]", "Selector", ".attributes[]"];
                if foreign.iter().any(|part| path.contains(part)) {
                    return;
                }
                if kind_of == Some("array") && schema.get("maxItems").is_none() {
                    bad.push(format!("{path}: list without maxItems"));
                }
                let free = schema.get("enum").is_none() && schema.get("format").is_none();
                if kind_of == Some("string") && free && schema.get("maxLength").is_none() {
                    bad.push(format!("{path}: text without maxLength"));
                }
                if !path.ends_with("[]") && schema.get("description").is_none() {
                    bad.push(format!("{path}: no description"));
                }
            });
        }
        assert!(bad.is_empty(), "{}", bad.join("\n"));
    }
}

#[test]
fn conditions_merge_by_type() {
    for (kind, root) in schemas() {
        let Some(conditions) = root.pointer("/properties/status/properties/conditions") else { continue };
        assert_eq!(conditions["x-kubernetes-list-type"], "map", "{kind}");
        assert_eq!(conditions["x-kubernetes-list-map-keys"][0], "type", "{kind}");
    }
}

#[test]
fn unions_carry_their_rule_wherever_they_stand() {
    let mut found = Vec::new();
    for (kind, root) in schemas() {
        visit(&root, &kind, &mut |path, schema| {
            let rules = schema.get("x-kubernetes-validations").and_then(Value::as_array);
            for rule in rules.into_iter().flatten() {
                if rule["message"]
                    .as_str()
                    .is_some_and(|m| m.contains("named by type") || m.contains("exactly when type is"))
                {
                    found.push(path.to_owned());
                }
            }
        });
    }
    for path in [
        "LogSource.spec",
        "LogSource.spec.steps[]",
        "Runbook.spec.steps[]",
        "Remediation.spec.mutations[]",
        "Remediation.spec.inverse.mutations[]",
        "Baseline.spec.series",
        "SLO.spec.indicator",
        "NotificationTarget.spec",
    ] {
        assert!(found.iter().any(|f| f == path), "{path} has no union rule: {found:?}");
    }
}

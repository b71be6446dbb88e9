//! Every YAML block in `docs/kinds` parses into its kind, loses no field, and keeps the CEL rules.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use causeway_crds::{
    Approval, Baseline, ClusterGuardrail, Incident, LogSource, MonitoredService, NotificationTarget, Pause,
    PeakEvent, Remediation, RemediationPolicy, Runbook, SLO,
};
use serde_json::Value;

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// YAML documents of `text`.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_str_multiple(text).unwrap()
}

/// YAML documents in the fenced blocks of a page.
fn blocks(page: &str) -> Vec<Value> {
    page.split("```yaml\n").skip(1).flat_map(|rest| documents(rest.split("```").next().unwrap())).collect()
}

/// The first example of a kind's page.
pub(crate) fn example(page: &str) -> Value {
    blocks(&std::fs::read_to_string(repository().join("docs/kinds").join(page)).unwrap()).remove(0)
}

/// Everything that `part` says, `whole` says too.
fn contains(whole: &Value, part: &Value, path: &str) -> Result<(), String> {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().try_for_each(|(key, value)| match whole.get(key) {
                Some(found) => contains(found, value, &format!("{path}.{key}")),
                // Empty lists and false are defaults, left out when written.
                None if value.as_array().is_some_and(Vec::is_empty) => Ok(()),
                None => Err(format!("{path}.{key} is unknown")),
            })
        }
        (Value::Array(whole), Value::Array(part)) if whole.len() == part.len() => whole
            .iter()
            .zip(part)
            .enumerate()
            .try_for_each(|(i, (w, p))| contains(w, p, &format!("{path}[{i}]"))),
        (whole, part) if whole == part => Ok(()),
        (whole, part) => Err(format!("{path}: {part} became {whole}")),
    }
}

/// Parses into the kind, checks that nothing is lost, and runs the CEL rules of creation (or of an update from `old`).
pub(crate) fn check(value: &Value, old: Option<&Value>) -> Result<(), String> {
    macro_rules! kinds {
        ($($kind:ident),+) => {
            match value["kind"].as_str().unwrap_or_default() {
                $(stringify!($kind) => {
                    let object: $kind = serde_json::from_value(value.clone()).map_err(|e| e.to_string())?;
                    let again = serde_json::to_value(&object).map_err(|e| e.to_string())?;
                    contains(&again, value, "")?;
                    let parsed: $kind = serde_json::from_value(again).map_err(|e| e.to_string())?;
                    if parsed != object {
                        return Err("changes on the way through JSON".into());
                    }
                    let result = match old {
                        None => object.validate_cel(),
                        Some(old) => object.validate_cel_update(&serde_json::from_value(old.clone()).unwrap()),
                    };
                    result.map_err(|errors| format!("{errors:?}"))
                })+
                // Built-in kinds stand beside ours in examples.
                "Secret" | "ServiceAccount" | "Role" | "RoleBinding" => Ok(()),
                other => Err(format!("unknown kind {other:?}")),
            }
        };
    }
    kinds!(
        LogSource,
        MonitoredService,
        Baseline,
        SLO,
        Runbook,
        RemediationPolicy,
        ClusterGuardrail,
        Pause,
        PeakEvent,
        NotificationTarget,
        Incident,
        Remediation,
        Approval
    )
}

#[test]
fn every_kind_has_a_page_whose_examples_hold() {
    let mut kinds = BTreeSet::new();
    for entry in std::fs::read_dir(repository().join("docs/kinds")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let page = std::fs::read_to_string(&path).unwrap();
        let examples = blocks(&page);
        assert!(!examples.is_empty(), "{path:?} has no example");
        for document in &examples {
            assert_eq!(check(document, None), Ok(()), "{path:?}");
            kinds.insert(document["kind"].as_str().unwrap().to_owned());
        }
    }
    for crd in causeway_crds::all_crds() {
        assert!(kinds.contains(&crd.spec.names.kind), "{} has no page in docs/kinds", crd.spec.names.kind);
    }
}

#[test]
fn pages_name_every_condition_that_the_kind_can_have() {
    let words: BTreeSet<&str> = causeway_crds::ConditionType::ALL.iter().map(|c| c.as_str()).collect();
    for crd in causeway_crds::all_crds() {
        let value = serde_json::to_value(&crd).unwrap();
        let Some(text) = value
            .pointer(
                "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/conditions/description",
            )
            .and_then(Value::as_str)
        else {
            continue;
        };
        let file: String = crd.spec.names.kind.chars().enumerate().fold(String::new(), |mut name, (i, c)| {
            if i > 0 && c.is_uppercase() && crd.spec.names.kind != "SLO" {
                name.push('-');
            }
            name.extend(c.to_lowercase());
            name
        });
        let page = std::fs::read_to_string(repository().join(format!("docs/kinds/{file}.md"))).unwrap();
        for word in text.trim_end_matches('.').split(", ") {
            assert!(words.contains(word), "{file}: {word} is no condition type");
            assert!(page.contains(&format!("`{word}`")), "{file}.md does not explain {word}");
        }
    }
}

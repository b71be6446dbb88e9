//! Checks that an object's status obeys the conventions that GitOps tools rely on. For tests of controllers.

use std::collections::HashSet;

use serde::Serialize;
use serde_json::Value;

use crate::conditions::{READY, RECONCILING, STALLED};

/// One broken convention.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The object has no status, or it can't be read as JSON.
    #[error("no status")]
    NoStatus,
    /// There is no `Ready`.
    #[error("condition Ready is missing")]
    ReadyMissing,
    /// The same type twice.
    #[error("condition {0} is there twice")]
    Duplicate(String),
    /// `Ready=True` beside `Reconciling` or `Stalled`.
    #[error("Ready is True beside {0}")]
    ReadyBesideAbnormal(String),
    /// Both `Reconciling` and `Stalled`.
    #[error("both Reconciling and Stalled are there")]
    ReconcilingAndStalled,
    /// `Reconciling` or `Stalled` with a status other than True; they have to be removed instead.
    #[error("{0} is there without being True")]
    AbnormalNotTrue(String),
    /// A status other than True, False, Unknown.
    #[error("condition {0} has the status {1:?}")]
    BadStatus(String, String),
    /// A type or reason that is empty, or not letters and digits beginning with a capital.
    #[error("condition {0} has the reason {1:?}, which is not CamelCase")]
    BadReason(String, String),
    /// A failure without a sentence.
    #[error("condition {0} is not True and has no message")]
    NoMessage(String),
    /// `lastTransitionTime` is missing.
    #[error("condition {0} has no lastTransitionTime")]
    NoTransitionTime(String),
    /// `status.observedGeneration` is missing although the object has a generation.
    #[error("status has no observedGeneration")]
    NoObservedGeneration,
    /// An observed generation from the future.
    #[error("{0} observed generation {1}, the object is at {2}")]
    ObservedFuture(String, i64, i64),
    /// `Ready=True` for another generation than `status.observedGeneration`.
    #[error("Ready is True for generation {0:?}, status observed {1}")]
    ReadyOfOtherGeneration(Option<i64>, i64),
    /// A condition without observedGeneration although the object has a generation.
    #[error("condition {0} has no observedGeneration")]
    ConditionWithoutGeneration(String),
}

/// All conventions that the object's status breaks; empty when it conforms.
///
/// Works on any object that serialises as `metadata` and `status.{observedGeneration, conditions}`.
pub fn check_conditions(object: &impl Serialize) -> Vec<Violation> {
    let Ok(object) = serde_json::to_value(object) else { return vec![Violation::NoStatus] };
    let status = &object["status"];
    if !status.is_object() {
        return vec![Violation::NoStatus];
    }
    let conditions: Vec<Seen<'_>> =
        status["conditions"].as_array().into_iter().flatten().map(Seen::new).collect();
    let mut found = Vec::new();
    check_types(&conditions, &mut found);
    for condition in &conditions {
        check_form(condition, &mut found);
    }
    if let Some(generation) = object["metadata"]["generation"].as_i64() {
        check_generations(&conditions, generation, status["observedGeneration"].as_i64(), &mut found);
    }
    found
}

struct Seen<'a> {
    name: &'a str,
    status: &'a str,
    reason: &'a str,
    message: &'a str,
    time: Option<&'a str>,
    generation: Option<i64>,
}

impl<'a> Seen<'a> {
    fn new(value: &'a Value) -> Self {
        let text = |key: &str| value[key].as_str().unwrap_or_default();
        Self {
            name: text("type"),
            status: text("status"),
            reason: text("reason"),
            message: text("message"),
            time: value["lastTransitionTime"].as_str(),
            generation: value["observedGeneration"].as_i64(),
        }
    }
}

fn check_types(conditions: &[Seen<'_>], found: &mut Vec<Violation>) {
    let mut names = HashSet::new();
    for condition in conditions {
        if !names.insert(condition.name) {
            found.push(Violation::Duplicate(condition.name.to_owned()));
        }
    }
    match conditions.iter().find(|condition| condition.name == READY) {
        None => found.push(Violation::ReadyMissing),
        Some(ready) if ready.status == "True" => {
            for name in [RECONCILING, STALLED].into_iter().filter(|name| names.contains(name)) {
                found.push(Violation::ReadyBesideAbnormal(name.to_owned()));
            }
        }
        Some(_) => {}
    }
    if names.contains(RECONCILING) && names.contains(STALLED) {
        found.push(Violation::ReconcilingAndStalled);
    }
}

fn check_form(condition: &Seen<'_>, found: &mut Vec<Violation>) {
    let name = || condition.name.to_owned();
    if !["True", "False", "Unknown"].contains(&condition.status) {
        found.push(Violation::BadStatus(name(), condition.status.to_owned()));
    }
    if [RECONCILING, STALLED].contains(&condition.name) && condition.status != "True" {
        found.push(Violation::AbnormalNotTrue(name()));
    }
    if !is_camel_case(condition.reason) || !is_camel_case(condition.name) {
        found.push(Violation::BadReason(name(), condition.reason.to_owned()));
    }
    if condition.status != "True" && condition.message.is_empty() {
        found.push(Violation::NoMessage(name()));
    }
    if condition.time.is_none() {
        found.push(Violation::NoTransitionTime(name()));
    }
}

fn check_generations(
    conditions: &[Seen<'_>],
    generation: i64,
    observed: Option<i64>,
    found: &mut Vec<Violation>,
) {
    match observed {
        None => found.push(Violation::NoObservedGeneration),
        Some(seen) if seen > generation => {
            found.push(Violation::ObservedFuture("status".to_owned(), seen, generation));
        }
        Some(_) => {}
    }
    for condition in conditions {
        match condition.generation {
            None => found.push(Violation::ConditionWithoutGeneration(condition.name.to_owned())),
            Some(seen) if seen > generation => {
                found.push(Violation::ObservedFuture(condition.name.to_owned(), seen, generation));
            }
            Some(_) => {}
        }
    }
    let ready = conditions.iter().find(|condition| condition.name == READY && condition.status == "True");
    if let (Some(ready), Some(observed)) = (ready, observed)
        && ready.generation != Some(observed)
    {
        found.push(Violation::ReadyOfOtherGeneration(ready.generation, observed));
    }
}

fn is_camel_case(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_uppercase())
        && text.chars().all(|c| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn condition(name: &str, status: &str) -> Value {
        json!({"type": name, "status": status, "reason": "Because", "message": "so",
               "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 2})
    }

    fn object(observed: i64, conditions: &[Value]) -> Value {
        json!({"metadata": {"generation": 2}, "status": {"observedGeneration": observed, "conditions": conditions}})
    }

    #[test]
    fn sound_objects_have_no_violation() {
        for conditions in [
            vec![condition("Ready", "True"), condition("BudgetHealthy", "False")],
            vec![condition("Ready", "Unknown"), condition("Reconciling", "True")],
            vec![condition("Ready", "False"), condition("Stalled", "True")],
        ] {
            assert_eq!(check_conditions(&object(2, &conditions)), []);
        }
    }

    #[test]
    fn each_broken_rule_is_named() {
        let mut wordless = condition("Ready", "False");
        wordless["message"] = json!("");
        let mut shouting = condition("Ready", "True");
        shouting["reason"] = json!("not-camel");
        let (ready, abnormal) = (condition("Ready", "True"), condition("Reconciling", "True"));
        let stalled = condition("Stalled", "True");
        let cases = [
            (json!({"metadata": {}}), Violation::NoStatus),
            (object(2, &[]), Violation::ReadyMissing),
            (object(2, &[ready.clone(), ready.clone()]), Violation::Duplicate("Ready".into())),
            (
                object(2, &[ready.clone(), abnormal.clone()]),
                Violation::ReadyBesideAbnormal("Reconciling".into()),
            ),
            (object(2, &[condition("Ready", "False"), abnormal, stalled]), Violation::ReconcilingAndStalled),
            (
                object(2, &[ready.clone(), condition("Stalled", "False")]),
                Violation::AbnormalNotTrue("Stalled".into()),
            ),
            (object(2, &[condition("Ready", "Maybe")]), Violation::BadStatus("Ready".into(), "Maybe".into())),
            (object(2, &[shouting]), Violation::BadReason("Ready".into(), "not-camel".into())),
            (object(2, &[wordless]), Violation::NoMessage("Ready".into())),
            (object(3, std::slice::from_ref(&ready)), Violation::ObservedFuture("status".into(), 3, 2)),
            (object(1, &[ready]), Violation::ReadyOfOtherGeneration(Some(2), 1)),
        ];
        for (object, violation) in cases {
            let found = check_conditions(&object);
            assert!(found.contains(&violation), "{violation} not in {found:?}");
        }
    }
}

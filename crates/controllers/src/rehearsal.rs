//! The tests inside of a Runbook: what it makes of recorded incidents, without a cluster.
//!
//! A bundle has what the cause was decided from, and the objects that a repair was planned on. The decision is made again,
//! the Runbook is chosen as a policy without requirements would, and it is planned on those objects.

use causeway_actions::TargetView;
use causeway_actions::view::target_ref;
use causeway_crds::runbook::{Expectation, RunbookTest};
use causeway_crds::view::runbook_view;
use causeway_crds::{Runbook, RunbookSpec};
use causeway_engine::{Bundle, Replay};
use causeway_remediate::{Autonomy, CauseView, Limits, PolicyView, Unreconciled, WhatIf, choose_runbook};
use kube::ResourceExt;
use serde::{Deserialize, Serialize};

use crate::incident::cause_kind;
use crate::plan::{self, Around};
use crate::target_view::{self, Target};

/// What planning looked at, as it is kept in a bundle.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) target: Target,
    pub(crate) view: TargetView,
}

impl Snapshot {
    /// As JSON text.
    pub(crate) fn to_text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

/// What came of one test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestOutcome {
    /// Name of the test.
    pub name: String,
    /// Passed, or why not.
    pub verdict: TestVerdict,
}

/// Whether a test passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TestVerdict {
    /// As expected.
    Passed,
    /// Otherwise than expected: what came instead.
    Failed(String),
    /// The bundle is not at hand.
    Missing,
}

/// What a Runbook made of an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Made {
    /// The planned difference.
    Planned(String),
    /// Not chosen, or not to be planned: one word, and a sentence.
    Refused(String, String),
}

/// What the schema of a Runbook can't check: parameters, expressions, and that the steps can be taken back.
///
/// # Errors
/// A sentence that names the step, the parameter or the expression.
pub fn check_runbook(spec: &RunbookSpec) -> Result<String, String> {
    plan::compile(spec)
}

/// Runs every test of `runbook`; `find` gives the bundle with a digest.
pub fn test_runbook(runbook: &Runbook, find: &dyn Fn(&str) -> Option<Vec<u8>>) -> Vec<TestOutcome> {
    let run = |test: &RunbookTest| {
        let verdict = match find(&test.bundle.digest) {
            None => TestVerdict::Missing,
            Some(bytes) => match make(runbook, &bytes).and_then(|made| compare(&test.expect, &made)) {
                Ok(()) => TestVerdict::Passed,
                Err(why) => TestVerdict::Failed(why),
            },
        };
        TestOutcome { name: test.name.clone(), verdict }
    };
    runbook.spec.tests.iter().map(run).collect()
}

fn make(runbook: &Runbook, bytes: &[u8]) -> Result<Made, String> {
    let bundle = Bundle::read(bytes).map_err(|error| error.to_string())?;
    let objects = bundle.objects.as_deref().ok_or(
        "the bundle has no objects: fetch it with `causeway bundle` after a repair of the incident was planned",
    )?;
    let snapshot: Snapshot = serde_json::from_str(objects)
        .map_err(|error| format!("the objects of the bundle can't be read: {error}"))?;
    let replay = bundle.replay().map_err(|error| error.to_string())?;
    made_of(runbook, &replay, &snapshot)
}

fn made_of(runbook: &Runbook, replay: &Replay, snapshot: &Snapshot) -> Result<Made, String> {
    let Snapshot { target, view } = snapshot;
    let draft = &replay.draft;
    let cause = CauseView {
        incident: "test/incident".to_owned(),
        id: draft.signature.clone(),
        kind: cause_kind(draft.cause.kind).as_str().to_owned(),
        confidence: draft.cause.confidence,
        margin: draft.margin,
        abstained: draft.abstained,
        evidence_digest: String::new(),
        target_group: target.api_version.split_once('/').map_or("", |(group, _)| group).to_owned(),
        target_kind: target.kind.clone(),
        target_namespace: target.namespace.clone(),
        target_name: target.name.clone(),
    };
    if let Err(rejections) =
        choose_runbook(&cause, &[runbook_view(runbook)], &[policy(&runbook.name_any())], &[])
    {
        let word = rejections.first().map_or("NoPolicy", |rejection| rejection.reason);
        return Ok(Made::Refused(
            word.to_owned(),
            format!("the cause is {} of {}", cause.kind, draft.cause.entity),
        ));
    }
    let around = Around {
        kind: cause.kind,
        entity: draft.cause.entity.clone(),
        confidence: cause.confidence,
        margin: cause.margin,
        running: 0,
    };
    let subject = target_view::subject(view, target).ok_or("the bundle does not have its target")?;
    target_ref(subject).map_err(|error| error.to_string())?;
    Ok(match plan::of(runbook, None, None, view, &around) {
        Ok(plan) => Made::Planned(plan.diff),
        Err(refusal) => Made::Refused(refusal.word(), refusal.to_string()),
    })
}

/// A policy that lists the runbook and asks for nothing.
fn policy(runbook: &str) -> PolicyView {
    PolicyView {
        name: "test".to_owned(),
        runbooks: vec![(runbook.to_owned(), Autonomy::Suggest)],
        suspended: false,
        min_confidence: 0.0,
        min_margin: 0.0,
        limits: Limits {
            actions_per_hour: 1,
            concurrent: 1,
            attempts_per_incident: 1,
            cooldown: std::time::Duration::ZERO,
            max_targets_percent: 100,
            keep_available_percent: 0,
        },
        approvals_needed: 1,
        approvals_expire_after: std::time::Duration::ZERO,
        windows: Vec::new(),
        earn: None,
        unreconciled: Unreconciled::Patch,
        what_if: WhatIf::Ignore,
    }
}

fn compare(expected: &Expectation, made: &Made) -> Result<(), String> {
    match (expected.selected, made) {
        (true, Made::Planned(diff)) => match expected.diff_contains.iter().find(|text| !diff.contains(*text))
        {
            None => Ok(()),
            Some(text) => Err(format!("the difference does not have {text:?}:\n{diff}")),
        },
        (true, Made::Refused(word, why)) => Err(format!("it is not selected: {word}, {why}")),
        (false, Made::Planned(diff)) => Err(format!("it is selected, and would do:\n{diff}")),
        (false, Made::Refused(word, why)) => match &expected.reason {
            Some(reason) if reason != word => {
                Err(format!("it is not selected for another reason: {word}, {why}"))
            }
            _ => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expect(selected: bool, reason: Option<&str>, diff: &[&str]) -> Expectation {
        Expectation {
            selected,
            reason: reason.map(str::to_owned),
            diff_contains: diff.iter().map(|text| (*text).to_owned()).collect(),
        }
    }

    #[test]
    fn compares_what_is_made_with_what_is_expected() {
        let planned = Made::Planned("+ replicas: 6\n".into());
        let refused = Made::Refused("OtherCause".into(), "the cause is BadConfig".into());
        for (expected, made, passes) in [
            (expect(true, None, &[]), &planned, true),
            (expect(true, None, &["replicas: 6"]), &planned, true),
            (expect(true, None, &["replicas: 7"]), &planned, false),
            (expect(true, None, &[]), &refused, false),
            (expect(false, None, &[]), &refused, true),
            (expect(false, Some("OtherCause"), &[]), &refused, true),
            (expect(false, Some("small"), &[]), &refused, false),
            (expect(false, None, &[]), &planned, false),
        ] {
            assert_eq!(compare(&expected, made).is_ok(), passes, "{expected:?} {made:?}");
        }
    }
}

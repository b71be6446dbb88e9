//! Runbook: checks it, gives its digest, runs its tests, and counts what its runs came to.

use std::collections::BTreeMap;

use causeway_crds::runbook::{RunRecord, RunbookStatus};
use causeway_crds::view::spec_digest;
use causeway_crds::{ConditionType, Outcome, Reason, Remediation, Runbook};
use causeway_kubekit::{Progress, Report, Statement, Truth};
use jiff::Timestamp;
use kube::ResourceExt;
use parking_lot::Mutex;

use crate::bundles::Bundles;
use crate::mirrors::Mirrors;
use crate::observing::Observer;
use crate::plan;
use crate::rehearsal::{TestOutcome, TestVerdict, test_runbook};

pub(crate) struct Runbooks {
    mirrors: Mirrors,
    bundles: Bundles,
    /// What came of the tests, by digest of the spec.
    tested: Mutex<BTreeMap<String, Vec<TestOutcome>>>,
}

impl Runbooks {
    pub(crate) fn new(mirrors: Mirrors, bundles: Bundles) -> Self {
        Self { mirrors, bundles, tested: Mutex::default() }
    }

    /// What the tests of this spec came to; `None` where there are none, or no recorded incidents to run them on.
    fn tests(&self, object: &Runbook) -> Option<Statement> {
        let digest = spec_digest(&object.spec).ok()?;
        let tested = self.tested.lock();
        let outcomes = tested.get(&digest)?;
        let kind = ConditionType::TestsPassed.as_str();
        let failed = outcomes.iter().find_map(|outcome| match &outcome.verdict {
            TestVerdict::Failed(why) => Some(format!("{}: {why}", outcome.name)),
            _ => None,
        });
        if let Some(why) = failed {
            return Some(Statement::new(kind, false, Reason::TestsFailed.as_str(), why));
        }
        let missing: Vec<&str> = outcomes
            .iter()
            .filter(|outcome| outcome.verdict == TestVerdict::Missing)
            .map(|outcome| outcome.name.as_str())
            .collect();
        Some(if missing.is_empty() {
            let passed = format!("{} tests passed", outcomes.len());
            Statement::new(kind, true, Reason::TestsPassed.as_str(), passed)
        } else {
            let message = format!(
                "no recorded incident with their digest is at hand: {}; give the operator their folder with --runbook-bundles",
                missing.join(", ")
            );
            Statement::new(kind, Truth::Unknown, Reason::BundleMissing.as_str(), message)
        })
    }
}

impl Observer for Runbooks {
    type Kind = Runbook;
    const NAME: &'static str = "runbook";

    async fn prepare(&self, object: &Runbook) {
        let Ok(digest) = spec_digest(&object.spec) else { return };
        if object.spec.tests.is_empty() || self.bundles.is_empty() || self.tested.lock().contains_key(&digest)
        {
            return;
        }
        let (runbook, bundles) = (object.clone(), self.bundles.clone());
        // Decisions are made again: that is work for a thread of its own.
        let run = move || test_runbook(&runbook, &|digest| bundles.find(digest));
        if let Ok(outcomes) = tokio::task::spawn_blocking(run).await {
            self.tested.lock().insert(digest, outcomes);
        }
    }

    fn report(&self, object: &Runbook, _now: Timestamp) -> Report<RunbookStatus> {
        let namespace = object.namespace().unwrap_or_default();
        let runs = self.mirrors.remediations.list_in(&namespace);
        let name = object.name_any();
        let record = record(runs.iter().map(AsRef::as_ref).filter(|run| run.spec.runbook_ref.name == name));
        let compiled = plan::compile(&object.spec);
        let status = RunbookStatus {
            digest: spec_digest(&object.spec).ok(),
            record: (record != RunRecord::default()).then_some(record),
            ..RunbookStatus::default()
        };
        let compiled_type = ConditionType::Compiled.as_str();
        match compiled {
            Err(problem) => {
                Report::new(status, Progress::stalled(Reason::InvalidSpec.as_str(), problem.clone()))
                    .condition(Statement::new(compiled_type, false, Reason::InvalidSpec.as_str(), problem))
            }
            Ok(steps) => {
                let message = if object.spec.suspend {
                    "Suspended: it is not planned".to_owned()
                } else {
                    format!("{steps}; a RemediationPolicy decides whether it is used")
                };
                let reason = if object.spec.suspend { Reason::Suspended } else { Reason::Reconciled };
                let compiled = Statement::new(compiled_type, true, Reason::Compiled.as_str(), steps);
                let report =
                    Report::new(status, Progress::ready(reason.as_str(), message)).condition(compiled);
                match self.tests(object) {
                    Some(tests) => report.condition(tests),
                    None => report,
                }
            }
        }
    }
}

fn record<'a>(runs: impl Iterator<Item = &'a Remediation>) -> RunRecord {
    let mut record = RunRecord::default();
    for status in runs.filter_map(|run| run.status.as_ref()).filter(|status| status.began_at.is_some()) {
        record.runs += 1;
        match status.outcome {
            Some(Outcome::Verified) => record.verified += 1,
            Some(Outcome::RolledBack) => record.rolled_back += 1,
            Some(Outcome::Inconclusive) => record.inconclusive += 1,
            _ => {}
        }
    }
    record
}

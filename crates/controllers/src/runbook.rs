//! Runbook: checks it, gives its digest, and counts what its runs came to.

use causeway_crds::runbook::{RunRecord, RunbookStatus};
use causeway_crds::view::spec_digest;
use causeway_crds::{ConditionType, Outcome, Reason, Remediation, Runbook};
use causeway_kubekit::{Progress, Report, Statement};
use jiff::Timestamp;
use kube::ResourceExt;

use crate::mirrors::Mirrors;
use crate::observing::Observer;
use crate::plan;

pub(crate) struct Runbooks(pub(crate) Mirrors);

impl Observer for Runbooks {
    type Kind = Runbook;
    const NAME: &'static str = "runbook";

    fn report(&self, object: &Runbook, _now: Timestamp) -> Report<RunbookStatus> {
        let namespace = object.namespace().unwrap_or_default();
        let runs = self.0.remediations.list_in(&namespace);
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
                Report::new(status, Progress::ready(reason.as_str(), message)).condition(Statement::new(
                    compiled_type,
                    true,
                    Reason::Compiled.as_str(),
                    steps,
                ))
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

//! What came of a demo run.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::run::phase;
use super::{DemoArguments, Victim};
use crate::otlp::Sent;
use crate::simulator::Verdict;

/// Figures and verdicts of one run. Times are data time.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Recording, or scenario.
    pub case: String,
    /// The same in words, with a participle at its end.
    pub title: String,
    /// An incident was opened during the fault.
    pub detected: bool,
    /// An incident was opened before the fault.
    pub false_alarm: bool,
    /// Seconds from the start of the fault to the detection.
    pub seconds_to_detect: Option<i64>,
    /// Named cause.
    pub cause: Option<String>,
    /// Class of the cause.
    pub cause_kind: Option<String>,
    /// How sure.
    pub confidence: Option<String>,
    /// The cause is the labelled one.
    pub cause_right: bool,
    /// Kinds of the evidence for it.
    pub evidence: BTreeSet<String>,
    /// What was done, oldest first: runbook, target, steps, phase, outcome.
    pub actions: Vec<Action>,
    /// The fault is gone and a repair was verified.
    pub repaired: bool,
    /// The repair that was verified is right about this cause; only of the shop.
    pub repair_right: Option<bool>,
    /// Seconds from the start of the fault to the verified end.
    pub seconds_to_repair: Option<i64>,
    /// Label, as the simulator tells at the end.
    pub verdict: Verdict,
    /// Records sent.
    pub sent: Sent,
    /// Log records counted by id in the lake, and how many of them twice.
    pub logs_stored: i64,
    /// Log records stored more than once.
    pub logs_doubled: i64,
    /// Times that the process was killed.
    pub crashes: u32,
    /// Mutations of workloads that were told, and those that the API server's audit log has; only after outages.
    pub mutations: Option<(usize, usize)>,
    /// Writes of roles at which they were killed, before and after.
    pub crash_points: Vec<String>,
    /// Peak memory of the process.
    pub peak_memory_mib: u64,
    /// Seconds of wall time.
    pub wall_seconds: u64,
    /// Slack messages posted and edited.
    pub slack: (u64, u64),
    /// What it cost; only of the shop.
    pub cost: Option<Cost>,
}

/// What an outage cost the shop, counted by its model.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// Orders lost since the cause was set.
    pub orders_lost: f64,
    /// Orders that the same seed loses in the same time when nobody does anything.
    pub orders_lost_without: f64,
    /// Value of an order, in euros.
    pub order_value: f64,
    /// Share of the orders that succeed at the end.
    pub success_at_end: f64,
    /// Visits of any kind that failed or took too long since the cause was set.
    pub visits_lost: f64,
    /// The same when nobody does anything.
    pub visits_lost_without: f64,
}

/// One Remediation.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Action {
    /// Runbook.
    pub runbook: String,
    /// What it does, such as `RolloutUndo`.
    pub action: String,
    /// Target.
    pub target: String,
    /// Actions of the runbook, and what each changes.
    pub steps: Vec<String>,
    /// Phase.
    pub phase: String,
    /// Outcome, or empty.
    pub outcome: String,
}

impl Action {
    /// From a Remediation.
    pub(super) fn of(remediation: &Value) -> Self {
        let text =
            |path: &str| remediation.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self {
            runbook: text("/spec/runbookRef/name"),
            action: text("/spec/actions/0"),
            steps: steps(remediation),
            target: format!("{}/{}", text("/spec/targets/0/kind"), text("/spec/targets/0/name")),
            phase: text("/status/phase"),
            outcome: text("/status/outcome"),
        }
    }
}

/// The type of each action, and the type of each mutation with the kind that it changes.
fn steps(remediation: &Value) -> Vec<String> {
    let list = |path: &str| remediation.pointer(path).and_then(Value::as_array).into_iter().flatten();
    let actions = list("/spec/actions")
        .map(|action| action.as_str().or_else(|| action["type"].as_str()).unwrap_or_default().to_owned());
    let mutations = list("/spec/mutations").map(|mutation| {
        let name = mutation["type"].as_str().unwrap_or_default();
        let mut member = name.to_owned();
        member.get_mut(..1).map(str::make_ascii_lowercase);
        let target = &mutation[&member]["target"];
        let part = |field: &str| target[field].as_str().unwrap_or_default();
        format!("{name} {}/{}", part("kind"), part("name"))
    });
    actions.chain(mutations).collect()
}

impl Summary {
    /// Takes over what the objects say; the verdict must be known.
    pub(super) fn tell(&mut self, incidents: &[Value], remediations: &[Value], fault_at: Timestamp) {
        self.actions = remediations.iter().map(Action::of).collect();
        if let Some(incident) = incidents.last() {
            let text = |path: &str| incident.pointer(path).and_then(Value::as_str).map(str::to_owned);
            if incident.pointer("/status/cause/abstained").and_then(Value::as_bool) != Some(true) {
                self.cause = text("/status/cause/entity");
            }
            self.cause_kind = text("/status/cause/kind");
            self.confidence = text("/status/cause/confidence");
            let evidence = incident.pointer("/status/evidence").and_then(Value::as_array);
            let kind = |item: &Value| item.get("type").and_then(Value::as_str).map(str::to_owned);
            self.evidence = evidence.into_iter().flatten().filter_map(kind).collect();
            let named = self.cause.as_deref().and_then(|c| c.rsplit('/').next());
            self.cause_right = named.is_some_and(|n| self.verdict.label.iter().any(|l| l == n));
        }
        let verified = remediations.iter().find(|r| phase(r) == "Succeeded");
        self.repaired = verified.is_some() && !self.verdict.fault_active;
        let timeline = verified.and_then(|r| r.pointer("/status/timeline")).and_then(Value::as_array);
        let last = timeline.and_then(|t| t.last()).and_then(|entry| entry.get("at")).and_then(Value::as_str);
        let at: Option<Timestamp> = last.and_then(|text| text.parse().ok());
        self.seconds_to_repair = at.map(|at| at.as_second() - fault_at.as_second());
    }

    /// Whether the run went as its arguments promise.
    pub(super) fn check(&self, arguments: &DemoArguments) -> Result<()> {
        if self.logs_stored != i64::try_from(self.sent.logs)? || self.logs_doubled != 0 {
            bail!(
                "{} log records were acknowledged, {} are stored, {} of them twice",
                self.sent.logs,
                self.logs_stored,
                self.logs_doubled
            );
        }
        if let Some((told, made)) = self.mutations
            && (told != made || !self.repaired)
        {
            bail!("{told} mutations were told, {made} were made, and repaired is {}", self.repaired);
        }
        for victim in &arguments.crash_points {
            let most = match victim {
                Victim::Executor => "PATCH deployments",
                Victim::Operator => "POST remediations",
            };
            if !self.crash_points.iter().any(|write| write == most) {
                bail!("{victim:?}: killed at {:?} only, not at {most}", self.crash_points);
            }
        }
        if arguments.bundle.is_some() {
            if self.actions.is_empty() {
                bail!(
                    "no repair was planned, so that there is nothing to write: {:?} {:?}",
                    self.cause_kind,
                    self.cause
                );
            }
            return Ok(());
        }
        if arguments.shop.is_some() {
            return self.check_shop(arguments);
        }
        if !self.detected {
            // A valid end: most recordings show no symptom at the entry point.
            return Ok(());
        }
        if arguments.no_repair {
            if self.actions.iter().any(|a| a.phase == "Succeeded") {
                bail!("something was repaired although nothing may be");
            }
            return Ok(());
        }
        if self.cause_right && !self.repaired {
            bail!("the cause is right, but the outage was not repaired");
        }
        Ok(())
    }

    /// A scenario of the shop ends with the right cause, the right repair, verified, and with less harm than without.
    fn check_shop(&self, arguments: &DemoArguments) -> Result<()> {
        if self.false_alarm {
            bail!("an incident was opened before anything was wrong");
        }
        if !self.detected || !self.cause_right {
            bail!("the cause that was named is {:?}, right is one of {:?}", self.cause, self.verdict.label);
        }
        let Some(cost) = self.cost else { bail!("nobody counted what it cost") };
        if arguments.no_repair {
            if self.actions.iter().any(|a| a.phase == "Succeeded") {
                bail!("something was repaired although nothing may be");
            }
            if cost.visits_lost < 1.0 {
                bail!("the cause cost nothing: {:.2} visits", cost.visits_lost);
            }
            let off = (cost.visits_lost - cost.visits_lost_without).abs();
            // Autoscalers of a real cluster look when they like.
            if arguments.kubeconfig.is_none() && off > 0.01 * cost.visits_lost {
                bail!(
                    "nothing was repaired, and {:.0} visits were lost instead of {:.0}",
                    cost.visits_lost,
                    cost.visits_lost_without
                );
            }
            return Ok(());
        }
        if !self.repaired || self.repair_right != Some(true) {
            bail!(
                "repaired is {}, by the right repair {:?}: {:?}",
                self.repaired,
                self.repair_right,
                self.actions
            );
        }
        if cost.visits_lost >= cost.visits_lost_without {
            bail!(
                "{:.0} visits were lost, {:.0} without a repair",
                cost.visits_lost,
                cost.visits_lost_without
            );
        }
        Ok(())
    }
}

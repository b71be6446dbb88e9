//! RemediationPolicy: what may be done, by whom, how often and how far.

use std::collections::BTreeMap;

use causeway_actions::Decimal;
use causeway_remediate::{Autonomy, DurationText, GitRule, Schedule, Unreconciled, WhatIf};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reference::LocalRef;

/// What may be done in a namespace: which runbooks in which order, how far Causeway goes by itself, and the limits.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "causeway.dev",
    version = "v1alpha1",
    kind = "RemediationPolicy",
    plural = "remediationpolicies",
    namespaced,
    status = "RemediationPolicyStatus",
    derive = "PartialEq",
    shortname = "rpol",
    category = "causeway",
    category = "causeway-config",
    cel,
    doc = "What may be done in a namespace: which runbooks in which order, how far Causeway goes by itself, and the limits. Without a policy nothing is planned; the executor acts only where the ServiceAccount causeway-fixer exists.",
    printcolumn(name = "Autonomy", type_ = "string", json_path = ".spec.autonomy"),
    printcolumn(name = "Effective", type_ = "string", json_path = ".status.effectiveAutonomy"),
    printcolumn(name = "Prefers", type_ = "string", json_path = ".spec.runbooks[0].name"),
    printcolumn(name = "Used/h", type_ = "integer", json_path = ".status.usedLastHour"),
    printcolumn(name = "Paused", type_ = "boolean", json_path = ".status.paused"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.autonomy != 'Auto' && !has(self.earn) && !self.runbooks.exists(r, has(r.autonomy) && r.autonomy == 'Auto') && (!has(self.windows) || !self.windows.exists(w, w.autonomy == 'Auto'))) || has(self.limits)")
    .message("autonomy Auto needs limits"))]
#[x_kube(validation = Rule::new("!has(self.earn) || self.earn.to == 'Auto'").message("earn.to must be Auto"))]
pub struct RemediationPolicySpec {
    /// Services that the policy is for, by the labels of their MonitoredService. Without it: every service here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_selector: Option<LabelSelector>,
    /// Runbooks that may be used; the first that fits is chosen.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub runbooks: Vec<PolicyRunbook>,
    /// Observe, Suggest, Approve or Auto. A ClusterGuardrail may lower it; without one it is at most Suggest.
    #[serde(default)]
    pub autonomy: Autonomy,
    /// How sure the diagnosis must be.
    #[serde(default)]
    pub require: Require,
    /// How much may be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<PolicyLimits>,
    /// How approvals work.
    #[serde(default)]
    pub approvals: ApprovalRule,
    /// What may be changed, by who keeps it.
    #[serde(default)]
    pub apply: ApplyRule,
    /// The repository of what Argo CD or Flux keeps: such fields are changed there. Without it they are left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_ops: Option<GitRule>,
    /// Promotion by evidence: a runbook goes further on a target where it has helped before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earn: Option<Earn>,
    /// Other autonomy at certain times of the week. Where several hold, the least counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub windows: Vec<Window>,
    /// Do nothing under this policy while true.
    #[serde(default)]
    pub suspend: bool,
}

/// A runbook that a policy allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRunbook {
    /// Name of the Runbook in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Autonomy for this runbook instead of the policy's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autonomy: Option<Autonomy>,
    /// Values of the runbook's parameters, within the bounds that the runbook sets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub parameters: BTreeMap<String, Decimal>,
}

/// What may be changed, by who keeps it. What another operator keeps is never changed; what Argo CD or Flux keeps is
/// changed in Git, see `gitOps`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplyRule {
    /// Fields that kubectl or helm has set and nobody puts back. Patch: change them, and say that the next release
    /// overwrites it. Refuse: leave them.
    #[serde(default)]
    pub unreconciled: Unreconciled,
    /// How long a direct change that has helped stays, such as `4h`. Then a new Remediation proposes to take it back, which
    /// waits while that would lower capacity that is needed. Without it: until somebody changes the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_for: Option<DurationText>,
}

/// Promotion by evidence. One run that did not help takes it away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Earn {
    /// What a runbook with autonomy Approve gets: Auto.
    pub to: Autonomy,
    /// Verified runs of the runbook on the target that it takes.
    #[schemars(range(min = 1, max = 100))]
    pub verified_runs: i32,
    /// Runs among the newest ones that may have been of no help.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10))]
    pub max_harmful: i32,
}

/// Other autonomy at certain times of the week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// Name, unique within the policy.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Days and hours, such as `Mon-Fri 08:00-18:00`. An end that is not after the begin is on the next day.
    pub schedule: Schedule,
    /// IANA name of the time zone, such as `Europe/Amsterdam`.
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,
    /// The autonomy then.
    pub autonomy: Autonomy,
}

/// How sure a diagnosis must be before anything is planned, and what is asked of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("double(self.minConfidence) >= 0.0 && double(self.minConfidence) <= 1.0 && double(self.minMargin) >= 0.0 && double(self.minMargin) <= 1.0")
    .message("minConfidence and minMargin must be between 0 and 1"))]
pub struct Require {
    /// Least confidence of the cause, between 0 and 1, a decimal string.
    #[serde(default = "four_fifths")]
    pub min_confidence: Decimal,
    /// Least distance to the next cause, between 0 and 1, a decimal string.
    #[serde(default = "one_fifth")]
    pub min_margin: Decimal,
    /// NoPredictedHarm refuses a repair that would do harm, as far as telemetry tells; Ignore only shows the prediction.
    #[serde(default)]
    pub what_if: WhatIf,
}

impl Default for Require {
    fn default() -> Self {
        Self { min_confidence: four_fifths(), min_margin: one_fifth(), what_if: WhatIf::default() }
    }
}

fn four_fifths() -> Decimal {
    Decimal::from_f64(0.8, 1)
}
fn one_fifth() -> Decimal {
    Decimal::from_f64(0.2, 1)
}

/// How much may be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyLimits {
    /// Remediations that change something, in any hour.
    #[serde(default = "six")]
    #[schemars(range(min = 1, max = 1000))]
    pub actions_per_hour: i32,
    /// Remediations that run at the same time.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 100))]
    pub concurrent: i32,
    /// Remediations for one incident; then people take over.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 20))]
    pub attempts_per_incident: i32,
    /// Rest of a target after a remediation.
    #[serde(default = "quarter")]
    pub cooldown: DurationText,
    /// Share of a service's workloads that may be touched at once, in percent.
    #[serde(default = "quarter_percent")]
    #[schemars(range(min = 1, max = 100))]
    pub max_targets_percent: i32,
    /// Share of a workload's replicas that must stay available, in percent.
    #[serde(default = "seventy")]
    #[schemars(range(min = 0, max = 100))]
    pub keep_available_percent: i32,
}

impl Default for PolicyLimits {
    fn default() -> Self {
        Self {
            actions_per_hour: 6,
            concurrent: 1,
            attempts_per_incident: 2,
            cooldown: quarter(),
            max_targets_percent: 25,
            keep_available_percent: 70,
        }
    }
}

fn six() -> i32 {
    6
}
fn one() -> i32 {
    1
}
fn two() -> i32 {
    2
}
fn quarter_percent() -> i32 {
    25
}
fn seventy() -> i32 {
    70
}
fn quarter() -> DurationText {
    DurationText::from_secs(900)
}

/// How approvals work. Who may approve is RBAC: the verb `approve` on remediations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalRule {
    /// People who must agree.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 5))]
    pub count: i32,
    /// How long a plan waits for them, and how long an Approval holds.
    #[serde(default = "quarter")]
    pub expire_after: DurationText,
    /// What happens when nobody decides. Close: nothing else. Escalate: the Incident is told anew, past filters and limits.
    #[serde(default)]
    pub on_expire: OnExpire,
}

/// What happens when nobody decides about a plan in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum OnExpire {
    /// The plan is closed.
    #[default]
    Close,
    /// The plan is closed, and the Incident is escalated.
    Escalate,
}

impl Default for ApprovalRule {
    fn default() -> Self {
        Self { count: 1, expire_after: quarter(), on_expire: OnExpire::default() }
    }
}

/// What the operator knows of the policy.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RemediationPolicyStatus {
    /// Generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What the guardrails leave of the autonomy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_autonomy: Option<Autonomy>,
    /// Remediations of the last hour that changed something.
    #[serde(default)]
    pub used_last_hour: i32,
    /// Whether a Pause holds here.
    #[serde(default)]
    pub paused: bool,
    /// Names of the windows that hold now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 63)))]
    pub windows: Vec<String>,
    /// Where a runbook stands on its way to what `earn` promises.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub earned: Vec<Earned>,
    /// Ready, GuardrailCompliant, BudgetAvailable, PermissionsSufficient.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// Where a runbook stands on one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Earned {
    /// Name of the Runbook.
    #[schemars(length(max = 253))]
    pub runbook: String,
    /// The target as Kind/name.
    #[schemars(length(max = 320))]
    pub target: String,
    /// Verified runs among the newest ones.
    pub verified: i32,
    /// Runs among them that were of no help.
    pub harmful: i32,
    /// The autonomy that this gives.
    pub autonomy: Autonomy,
}

impl RemediationPolicySpec {
    /// What the policy says of a runbook.
    pub fn listed(&self, runbook: &str) -> Option<&PolicyRunbook> {
        self.runbooks.iter().find(|listed| listed.name == runbook)
    }

    /// References to the runbooks, in order of preference.
    pub fn runbook_refs(&self) -> impl Iterator<Item = LocalRef> + '_ {
        self.runbooks.iter().map(|runbook| LocalRef { name: runbook.name.clone() })
    }
}

//! A Remediation with everything in order, and a small world that carries decisions out, for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use causeway_actions::{
    ActionKind, Decimal, FlagChange, FlagProperty, Inverse, Mutation, ScaleMutation, SecretKeyRef, TargetRef,
    plan_digest,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::applier::SKIP;
use crate::decision::Decision;
use crate::effect::{EffectSignal, EffectVerdict, PredictedEffect, SignalForecast};
use crate::ownership::OURS;
use crate::view::{
    ApprovalView, Claim, ClaimOrigin, Direction, GuardrailView, Limits, Observed, OtherRun, PolicyView,
    Progress, RemediationView, StepResult, StepState, SymptomView, Verification, VerifyRule, later,
};
use crate::vocabulary::{ApprovalDecision, Autonomy, Outcome, Phase, SymptomState};

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + seconds).unwrap()
}

pub(crate) fn target(name: &str) -> TargetRef {
    TargetRef {
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        namespace: "shop".into(),
        name: name.into(),
        uid: format!("uid-{name}"),
    }
}

pub(crate) fn scale(name: &str, from: i32, to: i32) -> Mutation {
    Mutation::Scale(ScaleMutation { target: target(name), from, to })
}

/// A flag that a server keeps, for the target `checkout`.
pub(crate) fn flag_change() -> FlagChange {
    FlagChange {
        target: target("checkout"),
        url_secret_ref: SecretKeyRef { name: "flags".into(), key: "url".into() },
        token_secret_ref: None,
        flag: "new-cart".into(),
        property: FlagProperty::DefaultVariant,
        from: "on".into(),
        to: "off".into(),
        without_e_tag: false,
    }
}

/// Two steps, both reversible.
pub(crate) fn view() -> RemediationView {
    let mutations = vec![scale("checkout", 2, 4), scale("pricing", 1, 3)];
    let inverse = Inverse::Mutations(vec![scale("pricing", 3, 1), scale("checkout", 4, 2)]);
    let digest = plan_digest(&mutations, &inverse);
    RemediationView {
        name: "checkout-7f3a-9".into(),
        namespace: "shop".into(),
        incident: "shop/checkout-7f3a".into(),
        policy: "default".into(),
        runbook: "scale".into(),
        cause_id: "cause-1".into(),
        evidence_digest: "evidence-1".into(),
        confidence: 0.9,
        margin: 0.4,
        actions: vec![ActionKind::Scale],
        targets: vec![target("checkout"), target("pricing")],
        shared_dependencies: vec!["db".into()],
        expires_at: at(900),
        plan_digest: digest.clone(),
        mutations,
        inverse,
        verify: VerifyRule { within: Duration::from_secs(600), hold: Duration::from_secs(300) },
        restores: None,
        predicted_effect: Some(effect(EffectVerdict::NoHarm).sealed(&digest)),
        progress: Progress { dry_run_digest: Some("dry-1".into()), ..Progress::default() },
    }
}

/// A prediction with this verdict, for no plan yet.
fn effect(verdict: EffectVerdict) -> PredictedEffect {
    let decimal = |value| Decimal::from_f64(value, 3);
    let forecast = SignalForecast {
        entity: "shop/checkout".into(),
        signal: EffectSignal::Latency,
        now: decimal(0.9),
        median: decimal(0.1),
        low: decimal(0.05),
        high: decimal(0.4),
    };
    let summary = "4 → 8 checkout replicas ask for 160 connections of db, which takes 200".into();
    PredictedEffect { verdict, summary, signals: vec![forecast], digest: String::new() }
}

/// The same plan, foretold to do harm.
pub(crate) fn harmful(view: RemediationView) -> RemediationView {
    let predicted_effect = Some(effect(EffectVerdict::Harm).sealed(&view.plan_digest));
    RemediationView { predicted_effect, ..view }
}

/// Gives the plan the digest that its mutations have now, and its prediction with it.
pub(crate) fn reseal(view: &mut RemediationView) {
    view.plan_digest = plan_digest(&view.mutations, &view.inverse);
    view.predicted_effect = view.predicted_effect.take().map(|effect| effect.sealed(&view.plan_digest));
}

pub(crate) fn policy() -> PolicyView {
    PolicyView {
        name: "default".into(),
        runbooks: vec![("scale".into(), Autonomy::Approve)],
        suspended: false,
        min_confidence: 0.8,
        min_margin: 0.2,
        limits: Limits {
            actions_per_hour: 6,
            concurrent: 1,
            attempts_per_incident: 2,
            cooldown: Duration::from_secs(900),
            max_targets_percent: 50,
            keep_available_percent: 70,
        },
        approvals_needed: 1,
        approvals_expire_after: Duration::from_secs(900),
        windows: Vec::new(),
        earn: None,
        unreconciled: crate::vocabulary::Unreconciled::Patch,
        what_if: crate::vocabulary::WhatIf::NoPredictedHarm,
    }
}

pub(crate) fn guardrail() -> GuardrailView {
    GuardrailView {
        max_autonomy: Autonomy::Auto,
        protected_namespaces: vec!["kube-system".into()],
        allowed_actions: Vec::new(),
        actions_per_hour: Some(30),
        concurrent_per_cluster: Some(3),
    }
}

pub(crate) fn approval(approver: &str) -> ApprovalView {
    ApprovalView {
        name: format!("by-{approver}"),
        remediation: "checkout-7f3a-9".into(),
        plan_digest: view().plan_digest,
        dry_run_digest: Some("dry-1".into()),
        decision: ApprovalDecision::Approve,
        approver: approver.into(),
        created_at: at(10),
        expires_at: None,
    }
}

pub(crate) fn live(name: &str, replicas: i32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"), "resourceVersion": "1", "generation": 1},
        "spec": {"replicas": replicas},
    })
}

/// Everything in favour, with an Approval.
pub(crate) fn observed() -> Observed {
    Observed {
        policy: Some(policy()),
        guardrails: vec![guardrail()],
        pauses: Vec::new(),
        peak_ceiling: None,
        peak: None,
        freeze: None,
        admission_since: Some(at(-10_000)),
        opted_in: BTreeSet::from(["shop".into()]),
        approvals: vec![approval("anna")],
        symptom: Some(SymptomView { state: SymptomState::Firing, clear_since: None, watermark: Some(at(0)) }),
        live: BTreeMap::from([
            ("uid-checkout".into(), live("checkout", 2)),
            ("uid-pricing".into(), live("pricing", 1)),
        ]),
        rebuilt_digest: Some(Ok(view().plan_digest)),
        hurting: None,
        others: Vec::new(),
        service_workloads: 4,
        claim_origin: ClaimOrigin::Found,
    }
}

/// A run of the past at the same incident, target, cause and evidence.
pub(crate) fn past(name: &str, action: ActionKind) -> OtherRun {
    OtherRun {
        name: name.into(),
        namespace: "shop".into(),
        incident: "shop/checkout-7f3a".into(),
        policy: "default".into(),
        runbook: "other".into(),
        cause_id: "cause-1".into(),
        evidence_digest: "evidence-1".into(),
        actions: vec![action],
        targets: vec![target("checkout")],
        shared_dependencies: Vec::new(),
        restores: None,
        approvals_used: Vec::new(),
        phase: Phase::RolledBack,
        outcome: Some(Outcome::RolledBack),
        began_at: Some(at(-20_000)),
        finished_at: Some(at(-19_000)),
    }
}

/// A run at another incident, target and cause.
pub(crate) fn elsewhere(name: &str) -> OtherRun {
    OtherRun {
        incident: "shop/other".into(),
        cause_id: "cause-2".into(),
        targets: vec![target("cart")],
        ..past(name, ActionKind::RolloutRestart)
    }
}

/// What the executor does with decisions, on one Remediation and its targets.
pub(crate) struct World {
    pub(crate) view: RemediationView,
    pub(crate) observed: Observed,
    /// Objects that are there and may not be read, by uid.
    pub(crate) hidden: BTreeMap<String, Value>,
    /// Mutations that reached a target, in order.
    pub(crate) made: Vec<(usize, Direction)>,
    /// Writes of objects.
    writes: usize,
}

/// What the API server, or the repository, says to a mutation.
enum Answer {
    Done,
    /// The target is not as it was when the step was claimed.
    Changed,
    Refused,
}

impl World {
    pub(crate) fn new(view: RemediationView, observed: Observed) -> Self {
        Self { view, observed, hidden: BTreeMap::new(), made: Vec::new(), writes: 0 }
    }

    /// Carries a decision out as far as `until_crash` allows; a crash loses what was not written.
    pub(crate) fn carry_out(&mut self, decision: &Decision, crash: Crash) {
        self.observed.claim_origin = ClaimOrigin::Found;
        let progress = &mut self.view.progress;
        match decision {
            Decision::Wait { .. } => {}
            Decision::DryRun => progress.dry_run_digest = Some("dry-1".into()),
            Decision::RequestApproval { .. } => progress.phase = Phase::AwaitingApproval,
            Decision::Claim { step, direction, approvals } => {
                let uid = self.view.mutation(*step, *direction).unwrap().target().uid.clone();
                let metadata = self.observed.live.get(&uid).map(|object| &object["metadata"]);
                let version = metadata.and_then(|metadata| metadata["resourceVersion"].as_str());
                let progress = &mut self.view.progress;
                progress.claim = Some(Claim {
                    step: *step,
                    direction: *direction,
                    resource_version: version.unwrap_or_default().into(),
                    generation: metadata.and_then(|metadata| metadata["generation"].as_i64()),
                });
                progress.approvals_used.clone_from(approvals);
                progress.phase = Phase::Applying;
                if crash != Crash::AfterClaim {
                    self.observed.claim_origin = ClaimOrigin::Fresh;
                }
            }
            Decision::Mutate { step, direction } => {
                let answer = match crash {
                    Crash::BeforeMutation => return,
                    Crash::Refused => Answer::Refused,
                    _ => self.mutate(*step, *direction),
                };
                match answer {
                    _ if crash == Crash::AfterMutation => {}
                    Answer::Changed => {}
                    Answer::Refused => self.record(*step, *direction, StepState::Failed),
                    Answer::Done if crash == Crash::Unclear => {
                        self.record(*step, *direction, StepState::Unknown);
                    }
                    Answer::Done => self.record(*step, *direction, StepState::Done),
                }
            }
            Decision::Find { step, direction, .. } => {
                let is_there = self.made.contains(&(*step, *direction));
                self.record(*step, *direction, if is_there { StepState::Done } else { StepState::Failed });
            }
            Decision::RecordResult { step, direction, state, .. } => self.record(*step, *direction, *state),
            Decision::Verify { started_at, data_from, deadline } => {
                progress.phase = Phase::Verifying;
                progress.verification = Some(Verification {
                    started_at: *started_at,
                    data_from: *data_from,
                    deadline: *deadline,
                });
            }
            Decision::Finish { phase, .. } => progress.phase = *phase,
        }
    }

    fn record(&mut self, step: usize, direction: Direction, state: StepState) {
        self.view.progress.results.push(StepResult { step, direction, state });
    }

    fn mutate(&mut self, step: usize, direction: Direction) -> Answer {
        let mutation = self.view.mutation(step, direction).cloned().unwrap();
        let target = mutation.target();
        if matches!(mutation, Mutation::GitChange(_)) {
            // A retry finds it.
            if !self.made.contains(&(step, direction)) {
                self.made.push((step, direction));
            }
            return Answer::Done;
        }
        let uid = &target.uid;
        let Some(object) = self.observed.live.get(uid).or_else(|| self.hidden.get(uid)) else {
            return Answer::Refused;
        };
        if !self.observed.opted_in.contains(&target.namespace) {
            return Answer::Refused;
        }
        let version = object["metadata"]["resourceVersion"].as_str();
        if version != self.view.progress.claim.as_ref().map(|claim| claim.resource_version.as_str()) {
            return Answer::Changed;
        }
        let mut changed = object.clone();
        match &mutation {
            Mutation::Scale(scale) => {
                if object["spec"]["replicas"] != scale.from {
                    return Answer::Changed;
                }
                changed["spec"]["replicas"] = Value::from(scale.to);
            }
            Mutation::JsonPatch(patch) => {
                if json_patch::patch(&mut changed, &patch.operations().unwrap()).is_err() {
                    return Answer::Refused;
                }
            }
            other => panic!("{other:?}"),
        }
        self.write(uid, changed, OURS);
        self.made.push((step, direction));
        Answer::Done
    }

    /// Somebody writes an object, as the API server takes it.
    pub(crate) fn write(&mut self, uid: &str, mut object: Value, manager: &str) {
        let place = if self.hidden.contains_key(uid) { &mut self.hidden } else { &mut self.observed.live };
        let before = place.remove(uid).unwrap();
        self.writes += 1;
        object["metadata"]["resourceVersion"] = Value::from(format!("after-{}", self.writes));
        if object["spec"] != before["spec"] {
            let generation = before["metadata"]["generation"].as_i64().unwrap() + 1;
            object["metadata"]["generation"] = Value::from(generation);
        }
        if let Some(entries) = object["metadata"]["managedFields"].as_array().cloned() {
            object["metadata"]["managedFields"] = manage(entries, manager, &before, &object);
        }
        place.insert(uid.to_owned(), object);
    }

    /// The data reaches `seconds`, with this symptom.
    pub(crate) fn data(&mut self, seconds: i64, state: SymptomState, clear_since: Option<i64>) {
        self.observed.symptom =
            Some(SymptomView { state, clear_since: clear_since.map(at), watermark: Some(at(seconds)) });
    }

    /// Runs until it waits or is over; returns the last decision.
    pub(crate) fn run(&mut self, now: Timestamp) -> Decision {
        for _ in 0..50 {
            let decision = crate::step(&self.view, &self.observed, now);
            self.carry_out(&decision, Crash::Never);
            if matches!(
                decision,
                Decision::Wait { .. } | Decision::RequestApproval { .. } | Decision::Finish { .. }
            ) {
                return decision;
            }
        }
        panic!("never comes to rest");
    }
}

/// The entries of managedFields after `manager` has written the fields that differ.
fn manage(entries: Vec<Value>, manager: &str, before: &Value, after: &Value) -> Value {
    let mut others = entries;
    let mut own = json!({});
    for path in [&["spec", "replicas"][..], &["spec", "suspend"], &["metadata", "annotations", SKIP]] {
        let of = |object: &Value| path.iter().try_fold(object, |at, key| at.get(*key)).cloned();
        if of(before) == of(after) {
            continue;
        }
        let keys: Vec<String> = path.iter().map(|key| format!("f:{key}")).collect();
        let (last, way) = keys.split_last().unwrap();
        for entry in &mut others {
            // A set of which nothing is left goes, too.
            for depth in (0..keys.len()).rev() {
                let set = keys[..depth].iter().try_fold(&mut entry["fieldsV1"], |at, key| at.get_mut(key));
                let Some(set) = set.and_then(Value::as_object_mut) else { continue };
                if depth + 1 == keys.len() || set.get(&keys[depth]) == Some(&json!({})) {
                    set.remove(&keys[depth]);
                }
            }
        }
        others.retain(|entry| entry["fieldsV1"] != json!({}));
        if of(after).is_some() {
            let set = way.iter().fold(&mut own, |at, key| &mut at[key]);
            set[last] = json!({});
        }
    }
    if own != json!({}) {
        others.push(json!({"manager": manager, "operation": "Update", "fieldsV1": own}));
    }
    Value::from(others)
}

/// What goes wrong while a decision is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    Never,
    /// The executor dies.
    AfterClaim,
    /// It dies, or is not answered, and nothing was changed.
    BeforeMutation,
    /// It dies, or is not answered, and the target was changed.
    AfterMutation,
    /// The mutation is refused.
    Refused,
    /// The mutation is made, and is never known to be.
    Unclear,
}

/// A moment after the plan's expiry.
pub(crate) fn too_late() -> Timestamp {
    later(view().expires_at, Duration::from_secs(1))
}

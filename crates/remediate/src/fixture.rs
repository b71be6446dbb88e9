//! A Remediation with everything in order, for tests.

pub(crate) mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use causeway_actions::{
    ActionKind, Decimal, FlagChange, FlagProperty, Inverse, Mutation, ScaleMutation, SecretKeyRef, TargetRef,
    plan_digest,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::effect::{EffectSignal, EffectVerdict, PredictedEffect, SignalForecast};
use crate::view::{
    ApprovalView, ClaimOrigin, GuardrailView, Limits, Observed, OtherRun, PolicyView, Progress,
    RemediationView, SymptomView, VerifyRule, later,
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

/// A moment after the plan's expiry.
pub(crate) fn too_late() -> Timestamp {
    later(view().expires_at, Duration::from_secs(1))
}

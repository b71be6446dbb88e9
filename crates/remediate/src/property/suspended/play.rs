//! One Remediation with what applies its targets, and all that may happen to them.

use std::collections::BTreeMap;

use causeway_actions::{GitMode, GitRepository, Inverse, Mutation, Plan, Risk};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::applier::{Applier, SKIP, applies, is_suspended, switched};
use crate::decision::Decision;
use crate::fixture::world::{Crash, World};
use crate::fixture::{at, live, observed, reseal, scale, view};
use crate::gitops::{GitRule, through_git};
use crate::step;
use crate::view::{Direction, PauseView, StepState};
use crate::vocabulary::{Autonomy, Phase, SymptomState};

/// Some of the things that [`Play::happens`] knows, to the first applier.
pub(super) const SUSPENDS: u8 = 2;
pub(super) const RESUMES: u8 = 4;
pub(super) const EDITS: u8 = 8;
pub(super) const ANNOTATES: u8 = 10;
pub(super) const SHOP_OPTS_OUT: u8 = 28;
pub(super) const POLICY_GOES: u8 = 42;
pub(super) const TIME_PASSES: u8 = 54;
pub(super) const CALM: u8 = u8::MAX;

/// A workload, what applies it, and the marks of that on the workload.
fn applied(kind: u8, name: &str) -> (Value, Value) {
    let mut workload = live(name, if name == "checkout" { 2 } else { 1 });
    let id = format!("shop_{name}_apps_Deployment");
    let resources = json!([{"group": "apps", "kind": "Deployment", "namespace": "shop", "name": name}]);
    let (manager, marks, api_version, kind, spec, status) = match kind {
        0 | 1 => (
            "kustomize-controller",
            json!({"labels": {"kustomize.toolkit.fluxcd.io/name": format!("apps-{name}"), "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}}),
            "kustomize.toolkit.fluxcd.io/v1",
            "Kustomization",
            if kind == 0 { json!({"path": "apps"}) } else { json!({"path": "apps", "suspend": false}) },
            json!({"inventory": {"entries": [{"id": id, "v": "v1"}]}}),
        ),
        2 => (
            "helm-controller",
            json!({"labels": {"helm.toolkit.fluxcd.io/name": format!("apps-{name}"), "helm.toolkit.fluxcd.io/namespace": "flux-system"}}),
            "helm.toolkit.fluxcd.io/v2",
            "HelmRelease",
            json!({"path": "apps"}),
            json!({"inventory": {"entries": [{"id": id, "v": "v1"}]}}),
        ),
        _ => (
            "argocd-controller",
            json!({"annotations": {"argocd.argoproj.io/tracking-id": format!("apps-{name}:apps/Deployment:shop/{name}")}}),
            "argoproj.io/v1alpha1",
            "Application",
            json!({"path": "apps", "destination": {"name": "in-cluster"}}),
            json!({"resources": resources}),
        ),
    };
    for (key, value) in marks.as_object().unwrap() {
        workload["metadata"][key] = value.clone();
    }
    workload["metadata"]["managedFields"] = json!([{"manager": manager, "operation": "Apply",
        "fieldsV1": {"f:spec": {"f:replicas": {}}}}]);
    let namespace = if kind == "Application" { "argocd" } else { "flux-system" };
    let applier = json!({"apiVersion": api_version, "kind": kind,
        "metadata": {"name": format!("apps-{name}"), "namespace": namespace, "uid": format!("uid-apps-{name}"),
            "resourceVersion": "1", "generation": 1,
            "managedFields": [{"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {"f:path": {}}}}]},
        "spec": spec, "status": status});
    (workload, applier)
}

fn rule(is_proposed: bool) -> GitRule {
    let repository = json!({"url": "https://git.example.com/shop/apps", "branch": "main",
        "provider": is_proposed.then_some("GitLab")});
    let repository: GitRepository = serde_json::from_value(repository).unwrap();
    let within = serde_json::from_value(json!("30m")).unwrap();
    GitRule { repository, mode: GitMode::SuspendPatchResume, within }
}

/// The plan that would be made of what can be seen.
fn plan(world: &World, rule: &GitRule) -> Result<Plan, String> {
    let seen = &world.observed.live;
    let (mut mutations, mut back) = (Vec::new(), Vec::new());
    for name in ["checkout", "pricing"] {
        let replicas =
            seen.get(&format!("uid-{name}")).and_then(|object| object["spec"]["replicas"].as_i64());
        let replicas =
            i32::try_from(replicas.ok_or("a target is gone")?).map_err(|error| error.to_string())?;
        mutations.push(scale(name, replicas, replicas + 2));
        back.insert(0, scale(name, replicas + 2, replicas));
    }
    let inverse = Inverse::Mutations(back);
    let plan = Plan { mutations, inverse, diff: String::new(), risk: Risk::Low, summary: String::new() };
    let applier = |wanted: &Applier| seen.values().find(|object| wanted.is(object));
    through_git(
        plan,
        |mutation| seen.get(&mutation.target().uid),
        applier,
        Some(rule),
        "shop/checkout-7f3a-9",
    )
    .map_err(|(_, message)| message)
}

/// Who has suspended what applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Us,
    SomebodyElse,
}

/// One Remediation, and who has suspended what.
pub(super) struct Play {
    pub(super) world: World,
    rule: GitRule,
    pub(super) suspended: BTreeMap<String, By>,
    seconds: i64,
}

impl Play {
    pub(super) fn new(kinds: (u8, u8), is_proposed: bool) -> Self {
        let mut observed = observed();
        for (kind, name) in [(kinds.0, "checkout"), (kinds.1, "pricing")] {
            for object in [applied(kind, name).0, applied(kind, name).1] {
                observed.live.insert(object["metadata"]["uid"].as_str().unwrap().to_owned(), object);
            }
        }
        observed.opted_in.extend(["flux-system", "argocd"].map(String::from));
        observed.policy.as_mut().unwrap().runbooks[0].1 = Autonomy::Auto;
        observed.service_workloads = 100;
        observed.approvals.clear();
        let mut world = World::new(view(), observed);
        let rule = rule(is_proposed);
        let plan = plan(&world, &rule).unwrap();
        world.view.mutations = plan.mutations;
        world.view.inverse = plan.inverse;
        for mutation in &world.view.mutations {
            if !world.view.targets.contains(mutation.target()) {
                world.view.targets.push(mutation.target().clone());
            }
        }
        reseal(&mut world.view);
        Self { world, rule, suspended: BTreeMap::new(), seconds: 60 }
    }

    /// What applies the first or the second target, also where it can't be read.
    fn appliers(&self) -> BTreeMap<String, Value> {
        let all = self.world.observed.live.iter().chain(&self.world.hidden);
        let is_one = |(_, object): &(&String, &Value)| object["metadata"]["namespace"] != "shop";
        all.filter(is_one).map(|(uid, object)| (uid.clone(), object.clone())).collect()
    }

    /// Something that nobody asked Causeway about.
    pub(super) fn happens(&mut self, event: u8) {
        let name = ["checkout", "pricing"][usize::from(event % 2)];
        let (target, applier) = (format!("uid-{name}"), format!("uid-apps-{name}"));
        let other = if event.is_multiple_of(2) { "flux-system" } else { "argocd" };
        let world = &mut self.world;
        let found = world.observed.live.get(&applier).or_else(|| world.hidden.get(&applier)).cloned();
        let is_argo = found.as_ref().is_some_and(|object| object["kind"] == "Application");
        match (event / 2, found) {
            (0 | 1, Some(mut object)) => {
                if !is_suspended(&object) {
                    self.suspended.insert(applier.clone(), By::SomebodyElse);
                }
                match is_argo {
                    true => object["metadata"]["annotations"][SKIP] = json!("true"),
                    false => object["spec"]["suspend"] = json!(true),
                }
                world.write(&applier, object, if event < 2 { "flux" } else { "kubectl-edit" });
            }
            (2 | 3, Some(mut object)) => {
                self.suspended.remove(&applier);
                let (at, key, off) = match is_argo {
                    true => (&mut object["metadata"]["annotations"], SKIP, json!("false")),
                    false => (&mut object["spec"], "suspend", json!(false)),
                };
                if event / 2 == 2 {
                    at.as_object_mut().map(|map| map.remove(key));
                } else {
                    at[key] = off;
                }
                world.write(&applier, object, "kubectl-edit");
            }
            (4, Some(mut object)) => {
                object["spec"]["path"] = json!(format!("elsewhere-{}", self.seconds));
                world.write(&applier, object, "kubectl-edit");
            }
            (5, Some(mut object)) => {
                object["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"] =
                    json!(self.seconds.to_string());
                world.write(&applier, object, "kubectl-annotate");
            }
            (6, Some(mut object)) => {
                object["status"]["observedGeneration"] = json!(self.seconds);
                world.write(&applier, object, "controller");
            }
            (7, Some(mut object)) => {
                object["status"] = json!({"inventory": {"entries": []}});
                world.write(&applier, object, "controller");
            }
            (8, Some(mut object)) => {
                object["status"] = applied(if is_argo { 3 } else { 0 }, name).1["status"].clone();
                world.write(&applier, object, "controller");
            }
            (9, Some(_)) => {
                world.observed.live.remove(&applier);
                world.hidden.remove(&applier);
                self.suspended.remove(&applier);
            }
            (10, Some(object)) => {
                world.observed.live.remove(&applier);
                world.hidden.insert(applier, object);
            }
            (11, Some(object)) => {
                world.hidden.remove(&applier);
                world.observed.live.insert(applier, object);
            }
            (12, _) => drop(world.observed.opted_in.remove(other)),
            (13, _) => drop(world.observed.opted_in.insert(other.to_owned())),
            (14, _) => drop(world.observed.opted_in.remove("shop")),
            (15, _) => drop(world.observed.opted_in.insert("shop".to_owned())),
            (16, _) => world.observed.guardrails[0].protected_namespaces.push(other.to_owned()),
            (17, _) => world.observed.guardrails[0].protected_namespaces.clear(),
            (18, _) => {
                world
                    .observed
                    .pauses
                    .push(PauseView { name: "p".into(), namespaces: vec![other.to_owned()] });
            }
            (19, _) => world.observed.pauses.clear(),
            (20, _) => {
                if let Some(mut object) = world.observed.live.get(&target).cloned() {
                    object["spec"]["replicas"] = json!(7 + event % 2);
                    world.write(&target, object, "kubectl-edit");
                }
            }
            (21, _) => world.observed.policy.as_mut().unwrap().runbooks.clear(),
            (22, _) => {
                world.observed.policy.as_mut().unwrap().runbooks = vec![("scale".into(), Autonomy::Auto)]
            }
            (23, _) => world.data(self.seconds, SymptomState::NoData, None),
            (24, _) => world.data(self.seconds, SymptomState::Firing, None),
            (25, _) => world.data(self.seconds, SymptomState::Clear, Some(self.seconds - 250)),
            (26, _) => self.seconds += 400,
            (27, _) => self.seconds += 2000,
            _ => self.seconds += 10,
        }
    }

    /// One turn of the executor. `between` happens after it has looked.
    pub(super) fn turn(&mut self, between: u8, crash: Crash) -> Result<Decision, TestCaseError> {
        let world = &mut self.world;
        let is_begun =
            world.view.progress.any(Direction::Apply, StepState::Done) || world.view.progress.is_undoing();
        world.observed.rebuilt_digest =
            (!is_begun).then(|| plan(world, &self.rule).map(|plan| plan.digest()));
        let decision = step(&world.view, &world.observed, at(self.seconds));
        if let Decision::Mutate { step, direction } = decision {
            let mutation = world.view.mutation(step, direction).unwrap();
            let target = mutation.target();
            let observed = &world.observed;
            prop_assert!(
                observed.opted_in.contains(&target.namespace),
                "{} did not opt in",
                target.namespace
            );
            let protected = &observed.guardrails[0].protected_namespaces;
            prop_assert!(!protected.contains(&target.namespace), "{} is protected", target.namespace);
            let namespaces = world.view.namespaces();
            let mut paused = observed.pauses.iter().flat_map(|pause| &pause.namespaces);
            prop_assert!(!paused.any(|namespace| namespaces.contains(namespace)), "paused");
            if switched(mutation) == Some(true) {
                let says = |object: &Value| {
                    ["checkout", "pricing"].iter().any(|name| applies(object, &crate::fixture::target(name)))
                };
                prop_assert!(
                    observed.live_of(mutation).is_some_and(says),
                    "{target} does not say that it applies"
                );
            }
        }
        // A claim has the version that was looked at, and an end tells what was looked at.
        let is_claim = matches!(decision, Decision::Claim { .. });
        if !is_claim && !matches!(decision, Decision::Finish { .. }) {
            self.happens(between);
        }
        let before = self.appliers();
        // A patch is made or it is not: only a repository may never tell.
        let in_git = match &decision {
            Decision::Mutate { step, direction } => {
                matches!(self.world.view.mutation(*step, *direction), Some(Mutation::GitChange(_)))
            }
            _ => false,
        };
        let crash = if crash == Crash::Unclear && !in_git { Crash::AfterMutation } else { crash };
        self.world.carry_out(&decision, crash);
        for (uid, now) in self.appliers() {
            self.compare(&uid, &before[&uid], &now)?;
        }
        if is_claim {
            self.happens(between);
        }
        let made = &self.world.made;
        let twice = made.iter().enumerate().any(|(index, one)| made[index + 1..].contains(one));
        prop_assert!(!twice, "made twice: {made:?}");
        Ok(decision)
    }

    /// What the executor did to what applies.
    fn compare(&mut self, uid: &str, before: &Value, now: &Value) -> Result<(), TestCaseError> {
        let by = self.suspended.get(uid).copied();
        match (is_suspended(before), is_suspended(now)) {
            (false, true) => drop(self.suspended.insert(uid.to_owned(), By::Us)),
            (true, false) => {
                prop_assert_eq!(by, Some(By::Us), "resumed what somebody else has suspended");
                self.suspended.remove(uid);
            }
            _ => prop_assert_eq!(before, now, "touched, and neither suspended nor resumed"),
        }
        let rest = |object: &Value| {
            let mut object = object.clone();
            object["metadata"]["annotations"].as_object_mut().map(|map| map.remove(SKIP));
            let annotations = object["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
            object["metadata"] = json!({"annotations": annotations});
            object["spec"].as_object_mut().unwrap().remove("suspend");
            object
        };
        prop_assert_eq!(rest(before), rest(now), "more than the switch was touched");
        Ok(())
    }

    /// What must hold when it is over.
    pub(super) fn over(&self, message: &str) -> Result<(), TestCaseError> {
        let told = message.split_once("still suspended by this repair: ").map_or("", |(_, told)| told);
        for (uid, object) in self.appliers() {
            let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
            let target = format!("{}/{namespace}/{name}", text("/kind"));
            let is_left = self.suspended.get(&uid) == Some(&By::Us);
            let is_told = told.contains(&target);
            prop_assert!(!is_left || is_told, "{} is left suspended, and it says: {}", target, message);
            let is_hidden = self.world.hidden.contains_key(&uid);
            prop_assert!(
                is_left || is_hidden || !is_told,
                "{} is not left suspended, and it says: {}",
                target,
                message
            );
        }
        Ok(())
    }

    /// Everything goes well from here: how it ends, and what was told of the steps on the way.
    pub(super) fn end(&mut self) -> (Phase, String, Vec<String>) {
        let mut told = Vec::new();
        for _ in 0..100 {
            self.happens(TIME_PASSES);
            match self.turn(CALM, Crash::Never).unwrap() {
                Decision::Finish { phase, message, .. } => {
                    self.over(&message).unwrap();
                    return (phase, message, told);
                }
                Decision::RecordResult { message, .. } => told.push(message),
                _ => {}
            }
        }
        panic!("it never ends: {:?}", self.world.view.progress);
    }
}

//! Turns changes of fields that Git declares into changes in Git.
//!
//! | `spec.gitOps.mode` | what becomes of such a step |
//! |---|---|
//! | none: no repository is named | it stays, and is refused as [`crate::ownership()`] says |
//! | `PullRequest`, `Commit` | a change in Git, and the wait until the live object shows it |
//! | `SuspendPatchResume` | what applies it is suspended, the step itself, the change in Git, resumed |
//!
//! Fields that Git does not name are changed directly, also where others of the same object are declared.

use causeway_actions::git_change::{AwaitFields, VALUE_SOURCE, declared_source, named_path};
use causeway_actions::view::annotation;
use causeway_actions::{
    FieldChange, GitChange, GitMode, GitRepository, Inverse, JsonPatch, Mutation, Plan, canonical_json,
    sha256_hex,
};
use json_patch::PatchOperation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::applier::{Applier, applier_of, applies, how_to_opt_in, is_suspended, switches};
use crate::duration::DurationText;
use crate::ownership::{Owner, owner_of, owner_of_field};
use crate::reason::Reason;

/// Where fields are declared that Argo CD or Flux keeps, and how they are changed there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.provider) || (has(self.mode) && self.mode != 'PullRequest')", "message": "mode PullRequest needs provider"},
]))]
pub struct GitRule {
    /// The repository.
    #[serde(flatten)]
    pub repository: GitRepository,
    /// How: by PullRequest, by Commit, or by SuspendPatchResume.
    #[serde(default)]
    pub mode: GitMode,
    /// How long a change may take from Git to the live object, people who merge included.
    #[serde(default = "half_an_hour")]
    pub within: DurationText,
}

fn half_an_hour() -> DurationText {
    DurationText::from_secs(1800)
}

/// The plan with every change of a field that Git declares turned into one that lasts; the plan as it is where nothing of
/// it is declared, or where no repository is named. `live` shows the objects before the plan, and `applier`
/// what applies them; `run` is namespace and name of the Remediation.
///
/// # Errors
/// [`Reason::GitOwned`] with a sentence, for a change that can't be made in Git.
pub fn through_git<'a>(
    plan: Plan,
    live: impl Fn(&Mutation) -> Option<&'a Value>,
    applier: impl Fn(&Applier) -> Option<&'a Value>,
    rule: Option<&GitRule>,
    run: &str,
) -> Result<Plan, (Reason, String)> {
    let Some(rule) = rule else { return Ok(plan) };
    let is_owned = |mutation: &Mutation| {
        live(mutation).is_some_and(|object| matches!(owner_of(mutation, object), Owner::Git(_)))
    };
    if !plan.mutations.iter().any(is_owned) {
        return Ok(plan);
    }
    let Inverse::Mutations(back) = &plan.inverse else {
        return Err(refuse("a change of what Git declares needs a way back".to_owned()));
    };
    let steps = Steps { rule, run, live: &live };
    let forth = steps.turned(&plan.mutations, &[])?;
    let back = steps.turned(back, &forth)?;
    let (mutations, inverse) = match rule.mode {
        GitMode::PullRequest | GitMode::Commit => (waiting(forth, rule), waiting(back, rule)),
        GitMode::SuspendPatchResume => suspended(&plan, forth, back, &live, &applier)?,
    };
    let place = format!("{}, branch {}", rule.repository.url, rule.repository.branch);
    Ok(Plan {
        mutations,
        inverse: Inverse::Mutations(inverse),
        diff: format!("in Git: {place}\n{}", plan.diff),
        risk: plan.risk,
        summary: format!("{}, through Git", plan.summary),
    })
}

fn refuse(message: String) -> (Reason, String) {
    (Reason::GitOwned, message)
}

struct Steps<'a, F> {
    rule: &'a GitRule,
    run: &'a str,
    live: &'a F,
}

impl<'a, F: Fn(&Mutation) -> Option<&'a Value>> Steps<'_, F> {
    /// Every mutation, those of declared fields as changes in Git. `forth` is what these take back.
    fn turned(&self, mutations: &[Mutation], forth: &[Mutation]) -> Result<Vec<Mutation>, (Reason, String)> {
        let mut out = Vec::new();
        for mutation in mutations {
            let Some(object) = (self.live)(mutation) else {
                out.push(mutation.clone());
                continue;
            };
            let (declared, rest) = split(mutation, object)?;
            out.extend(rest);
            if declared.is_empty() {
                continue;
            }
            if declared.len() > 16 {
                return Err(refuse(format!(
                    "{} fields of {} would change in Git, at most 16 may",
                    declared.len(),
                    mutation.target()
                )));
            }
            let target = mutation.target().clone();
            let reverts = forth.iter().find_map(|made| match made {
                Mutation::GitChange(change) if change.target == target => {
                    Some(change.idempotency_key.clone())
                }
                _ => None,
            });
            let seed = canonical_json(
                &json!({"run": self.run, "repository": self.rule.repository, "fields": declared, "reverts": reverts}),
            );
            let applier = applier_of(object);
            out.push(Mutation::GitChange(GitChange {
                target,
                repository: self.rule.repository.clone(),
                pull_request: match self.rule.mode {
                    GitMode::PullRequest => true,
                    GitMode::Commit => false,
                    GitMode::SuspendPatchResume => self.rule.repository.provider.is_some(),
                },
                merged_within_minutes: (self.rule.mode == GitMode::SuspendPatchResume)
                    .then(|| minutes(self.rule)),
                release: applier.filter(|applier| applier.kind == "HelmRelease").map(|applier| applier.name),
                fields: declared,
                idempotency_key: sha256_hex(seed.as_bytes()),
                reverts,
            }));
        }
        Ok(out)
    }
}

fn minutes(rule: &GitRule) -> i32 {
    i32::try_from(rule.within.get().as_secs().div_ceil(60)).unwrap_or(i32::MAX).clamp(1, 10_080)
}

/// The declared fields that a mutation changes, and the mutation of what is left.
fn split(
    mutation: &Mutation,
    live: &Value,
) -> Result<(Vec<FieldChange>, Option<Mutation>), (Reason, String)> {
    let source = |path: &str| annotation(live, VALUE_SOURCE).and_then(|text| declared_source(text, path));
    let owned = |pointer: &str| matches!(owner_of_field(pointer, live), Owner::Git(_));
    let change = |pointer: &str, from: &Value, to: &Value| {
        let path = named_path(pointer, live);
        let source = source(&path);
        FieldChange::new(path, from, to, source)
    };
    match mutation {
        Mutation::Scale(scale) if owned("/spec/replicas") => {
            Ok((vec![change("/spec/replicas", &scale.from.into(), &scale.to.into())], None))
        }
        Mutation::JsonPatch(patch) => {
            let unreadable = |_| refuse(format!("the change of {} is no JSON Patch", patch.target));
            let operations = patch.operations().map_err(unreadable)?;
            let (mut declared, mut rest) = (Vec::new(), Vec::new());
            for operation in &operations.0 {
                match operation {
                    PatchOperation::Test(test) if owned(test.path.as_str()) => {}
                    PatchOperation::Replace(replace) if owned(replace.path.as_str()) => {
                        let pointer = replace.path.as_str();
                        let old = operations.0.iter().find_map(|other| match other {
                            PatchOperation::Test(test) if test.path.as_str() == pointer => Some(&test.value),
                            _ => None,
                        });
                        let is_scalar =
                            |value: &Value| !value.is_object() && !value.is_array() && !value.is_null();
                        match old.filter(|old| is_scalar(old) && is_scalar(&replace.value)) {
                            Some(old) => declared.push(change(pointer, old, &replace.value)),
                            None => {
                                let path = named_path(pointer, live);
                                return Err(refuse(format!(
                                    "{path} of {} is declared in Git as more than one value: change it there by hand",
                                    patch.target
                                )));
                            }
                        }
                    }
                    PatchOperation::Add(add) if owned(add.path.as_str()) => {
                        return Err(refuse(new_or_gone(add.path.as_str(), live, patch)));
                    }
                    PatchOperation::Remove(remove) if owned(remove.path.as_str()) => {
                        return Err(refuse(new_or_gone(remove.path.as_str(), live, patch)));
                    }
                    other => rest.push(other.clone()),
                }
            }
            if declared.is_empty() {
                return Ok((declared, Some(mutation.clone())));
            }
            let writes = rest.iter().any(|operation| !matches!(operation, PatchOperation::Test(_)));
            let rest = writes
                .then(|| serde_json::to_string(&rest).ok())
                .flatten()
                .map(|text| Mutation::JsonPatch(JsonPatch { target: patch.target.clone(), patch: text }));
            Ok((declared, rest))
        }
        other => Ok((Vec::new(), Some(other.clone()))),
    }
}

fn new_or_gone(pointer: &str, live: &Value, patch: &JsonPatch) -> String {
    let path = named_path(pointer, live);
    format!(
        "{path} of {} would be added to or taken from what Git declares: change it there by hand",
        patch.target
    )
}

/// After each change in Git the wait for it.
fn waiting(steps: Vec<Mutation>, rule: &GitRule) -> Vec<Mutation> {
    let mut out = Vec::new();
    for step in steps {
        let wait = match &step {
            Mutation::GitChange(change) => Some(Mutation::AwaitFields(AwaitFields {
                target: change.target.clone(),
                fields: change.fields.clone(),
                within_minutes: minutes(rule),
            })),
            _ => None,
        };
        out.push(step);
        out.extend(wait);
    }
    out
}

/// Suspend, the plan as it was, the changes in Git, resume. And the same around the way back, so that nothing is put back
/// before Git has it; what is still suspended then stays so.
fn suspended<'a>(
    plan: &Plan,
    forth: Vec<Mutation>,
    back: Vec<Mutation>,
    live: &impl Fn(&Mutation) -> Option<&'a Value>,
    find: &impl Fn(&Applier) -> Option<&'a Value>,
) -> Result<(Vec<Mutation>, Vec<Mutation>), (Reason, String)> {
    let in_git = |steps: Vec<Mutation>| {
        steps.into_iter().filter(|step| matches!(step, Mutation::GitChange(_))).collect::<Vec<_>>()
    };
    let (forth, back) = (in_git(forth), in_git(back));
    let mut appliers = Vec::new();
    let (mut suspend, mut resume) = (Vec::new(), Vec::new());
    let (mut suspend_again, mut resume_again) = (Vec::new(), Vec::new());
    for step in &forth {
        let target = step.target();
        let Some(applier) = live(step).and_then(applier_of) else {
            return Err(refuse(format!("it is not known what applies {target}: it can't be suspended")));
        };
        let is_elsewhere = applier.namespace != target.namespace;
        let Some(object) = find(&applier) else {
            let how = if is_elsewhere { how_to_opt_in(&applier.namespace) } else { "check it".to_owned() };
            return Err(refuse(format!("{applier} does not exist, or Causeway may not read it: {how}")));
        };
        if is_elsewhere && !applies(object, target) {
            return Err(refuse(format!(
                "{applier} does not say in its status that it applies {target} in this cluster: in another namespace it is suspended only if it does"
            )));
        }
        if appliers.contains(&applier) {
            continue;
        }
        if is_suspended(object) {
            return Err(refuse(format!("{applier} is suspended by somebody else")));
        }
        let odd = |error| refuse(format!("{applier}: {error}"));
        let (off, on, resumed) = switches(object).map_err(odd)?;
        let (off_again, on_again, _) = switches(&resumed).map_err(odd)?;
        suspend.push(off);
        resume.push(on);
        suspend_again.push(off_again);
        resume_again.push(on_again);
        appliers.push(applier);
    }
    let Inverse::Mutations(own_back) = &plan.inverse else { return Ok((Vec::new(), Vec::new())) };
    let all = suspend.into_iter().chain(plan.mutations.iter().cloned()).chain(forth).chain(resume);
    let all_back = suspend_again.into_iter().chain(own_back.iter().cloned()).chain(back).chain(resume_again);
    Ok((all.collect(), all_back.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_actions::{Risk, ScaleMutation, diff, plan_digest};

    fn rule(mode: GitMode) -> GitRule {
        let rule = json!({"url": "https://git.example.com/shop/apps", "branch": "main", "path": "apps", "provider": "GitLab", "mode": mode});
        serde_json::from_value(rule).unwrap()
    }

    /// A Deployment of which Flux keeps the replicas and one image.
    fn web() -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop", "uid": "uid-web",
                "labels": {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "shop"},
                "annotations": {"causeway.dev/value-source": "/spec/replicas=apps/values.yaml:/web/replicas"},
                "managedFields": [{"manager": "kustomize-controller", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {},
                    "f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {".": {}, "f:name": {}, "f:image": {}}}}}}}}]},
            "spec": {"replicas": 2, "paused": false, "template": {"spec": {"containers": [
                {"name": "proxy", "image": "p:1"}, {"name": "web", "image": "w:1"}]}}},
        })
    }

    fn kustomization(spec: Value) -> Value {
        json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": {"name": "apps", "namespace": "shop", "uid": "uid-apps"}, "spec": spec})
    }

    fn plan(mutations: Vec<Mutation>, back: Vec<Mutation>) -> Plan {
        Plan {
            mutations,
            inverse: Inverse::Mutations(back),
            diff: "diff\n".into(),
            risk: Risk::Low,
            summary: "Scale".into(),
        }
    }

    fn scale() -> Plan {
        let step =
            |from, to| Mutation::Scale(ScaleMutation { target: crate::fixture::target("web"), from, to });
        plan(vec![step(2, 4)], vec![step(4, 2)])
    }

    fn patch(change: impl Fn(&mut Value)) -> Plan {
        let (before, mut after) = (web(), web());
        change(&mut after);
        let patch = |a: &Value, b: &Value| {
            let patch = Value::Array(diff::operations(a, b)).to_string();
            Mutation::JsonPatch(JsonPatch { target: crate::fixture::target("web"), patch })
        };
        plan(vec![patch(&before, &after)], vec![patch(&after, &before)])
    }

    fn through(plan: Plan, mode: GitMode, applier: Option<Value>) -> Result<Plan, (Reason, String)> {
        let web = web();
        // Lives as long as the test.
        through_git(
            plan,
            |m| (m.target().uid == "uid-web").then_some(&web),
            |_| applier.as_ref(),
            Some(&rule(mode)),
            "shop/r-1",
        )
    }

    fn kinds(mutations: &[Mutation]) -> Vec<String> {
        mutations
            .iter()
            .map(|m| serde_json::to_value(m).unwrap()["type"].as_str().unwrap().to_owned())
            .collect()
    }

    fn back(plan: &Plan) -> &[Mutation] {
        let Inverse::Mutations(back) = &plan.inverse else { panic!("{plan:?}") };
        back
    }

    #[test]
    fn a_declared_field_becomes_a_change_in_git_and_a_wait() {
        let turned = through(scale(), GitMode::PullRequest, None).unwrap();
        assert_eq!(kinds(&turned.mutations), ["GitChange", "AwaitFields"]);
        assert_eq!(kinds(back(&turned)), ["GitChange", "AwaitFields"]);
        let (Mutation::GitChange(forth), Mutation::GitChange(revert)) =
            (&turned.mutations[0], &back(&turned)[0])
        else {
            panic!()
        };
        assert_eq!(
            forth.fields,
            [FieldChange::new(
                "/spec/replicas".into(),
                &json!(2),
                &json!(4),
                Some("apps/values.yaml:/web/replicas".into())
            )]
        );
        assert_eq!(revert.fields[0], forth.fields[0].reversed());
        assert_eq!(revert.reverts.as_ref(), Some(&forth.idempotency_key));
        assert_ne!(revert.idempotency_key, forth.idempotency_key);
        assert!(forth.pull_request && forth.reverts.is_none() && forth.merged_within_minutes.is_none());
        assert!(
            turned.summary.ends_with(", through Git")
                && turned.diff.starts_with("in Git: https://git.example.com")
        );
        let again = through(scale(), GitMode::PullRequest, None).unwrap();
        assert_eq!(again.digest(), turned.digest(), "equal inputs give equal plans");
        assert_ne!(through(scale(), GitMode::Commit, None).unwrap().digest(), turned.digest());
        assert_eq!(plan_digest(&turned.mutations, &turned.inverse), turned.digest());
    }

    #[test]
    fn what_git_does_not_name_is_changed_directly() {
        let both = patch(|web| {
            web["spec"]["paused"] = json!(true);
            web["spec"]["template"]["spec"]["containers"][1]["image"] = json!("w:0");
        });
        let turned = through(both, GitMode::Commit, None).unwrap();
        assert_eq!(kinds(&turned.mutations), ["JsonPatch", "GitChange", "AwaitFields"]);
        let (Mutation::JsonPatch(rest), Mutation::GitChange(change)) =
            (&turned.mutations[0], &turned.mutations[1])
        else {
            panic!()
        };
        assert!(
            rest.patch.contains("/spec/paused")
                && !rest.patch.contains("replace\",\"path\":\"/spec/template")
        );
        assert_eq!(change.fields[0].path, "/spec/template/spec/containers/name=web/image");
        assert!(!change.pull_request);
        let proxy = patch(|web| web["spec"]["template"]["spec"]["containers"][0]["image"] = json!("p:2"));
        assert_eq!(through(proxy.clone(), GitMode::Commit, None).unwrap(), proxy);
        assert_eq!(through_git(scale(), |_| None, |_| None, None, "r").unwrap(), scale());
    }

    #[test]
    fn what_can_not_be_declared_otherwise_is_refused() {
        let gone = patch(|web| {
            web["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap().truncate(1);
        });
        let (reason, message) = through(gone, GitMode::Commit, None).unwrap_err();
        assert_eq!(reason, Reason::GitOwned);
        assert!(message.contains("/spec/template/spec/containers of Deployment/shop/web is declared in Git as more than one value"), "{message}");
        let removed = patch(|web| drop(web["spec"].as_object_mut().unwrap().remove("replicas")));
        let (_, message) = through(removed, GitMode::Commit, None).unwrap_err();
        assert!(
            message.contains("/spec/replicas of Deployment/shop/web would be added to or taken from"),
            "{message}"
        );
    }

    #[test]
    fn suspending_goes_around_the_plan_and_around_its_way_back() {
        let mode = GitMode::SuspendPatchResume;
        let turned = through(scale(), mode, Some(kustomization(json!({})))).unwrap();
        let shape = ["JsonPatch", "Scale", "GitChange", "JsonPatch"];
        assert_eq!(
            (kinds(&turned.mutations), kinds(back(&turned))),
            (shape.map(String::from).to_vec(), shape.map(String::from).to_vec())
        );
        let web = web();
        assert!(crate::applier::suspends(&turned.mutations, &web));
        assert!(!crate::applier::suspends(&turned.mutations[1..], &web), "to resume is not to suspend");
        let live = |m: &Mutation| (m.target().uid == "uid-web").then_some(&web);
        let allowed =
            crate::ownership::ownership(&turned.mutations, live, crate::vocabulary::Unreconciled::Refuse);
        assert_eq!(allowed, Ok(Vec::new()));
        let Mutation::GitChange(change) = &turned.mutations[2] else { panic!() };
        assert_eq!((change.pull_request, change.merged_within_minutes), (true, Some(30)));
        for (applier, why) in [
            (None, "Kustomization shop/apps does not exist, or Causeway may not read it: check it"),
            (Some(kustomization(json!({"suspend": true}))), "is suspended by somebody else"),
        ] {
            let (_, message) = through(scale(), mode, applier).unwrap_err();
            assert!(message.contains(why), "{message}");
        }
    }

    #[test]
    fn what_applies_from_another_namespace_has_to_say_so() {
        let mut web = web();
        web["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/namespace"] = json!("flux-system");
        let through = |applier: Option<Value>| {
            let find = |wanted: &Applier| applier.as_ref().filter(|object| wanted.is(object));
            let live = |m: &Mutation| (m.target().uid == "uid-web").then_some(&web);
            through_git(scale(), live, find, Some(&rule(GitMode::SuspendPatchResume)), "shop/r-1")
        };
        let applier = |namespace: &str, id: &str| {
            let mut object = kustomization(json!({}));
            object["metadata"]["namespace"] = json!(namespace);
            object["status"] = json!({"inventory": {"entries": [{"id": id, "v": "v1"}]}});
            Some(object)
        };
        let turned = through(applier("flux-system", "shop_web_apps_Deployment")).unwrap();
        assert_eq!(turned.mutations[0].target().to_string(), "Kustomization/flux-system/apps");
        let (_, message) = through(applier("flux-system", "cart_web_apps_Deployment")).unwrap_err();
        assert!(
            message.contains("does not say in its status that it applies Deployment/shop/web"),
            "{message}"
        );
        // One of the same name elsewhere is another one.
        let (_, message) = through(applier("shop", "shop_web_apps_Deployment")).unwrap_err();
        assert!(message.contains("make in flux-system the ServiceAccount causeway-fixer"), "{message}");
    }
}

//! Runs a Job that the tenant has written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::diff::printable;
use crate::digest::{canonical_json, sha256_hex};
use crate::inverse::Inverse;
use crate::mutation::{JobMutation, Mutation};
use crate::plan::{Action, Plan, PlanError, Risk};
use crate::view::{Reads, TargetView, annotation, target_ref};

/// `"true"` on a suspended Job says that Runbooks may run it.
pub const RUNNABLE: &str = "causeway.dev/runbook-job";
/// Annotation of a Job that was made: the run that made it.
pub const RUN: &str = "causeway.dev/run";
/// Annotation of a Job that was made: its template.
pub const TEMPLATE: &str = "causeway.dev/job-template";

/// Longest run of a Job whose template does not say, in seconds.
const DEADLINE: i64 = 3600;
/// How long a finished Job is kept when its template does not say, in seconds.
const KEPT: i64 = 86_400;
/// What the Job controller writes into a template by itself.
const CONTROLLER_LABELS: [&str; 4] =
    ["controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"];

/// Makes a Job from a suspended Job of the same namespace that is annotated `causeway.dev/runbook-job: "true"`. What it does
/// is not known to Causeway, so that it can't be taken back and always needs an approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunJob {
    /// Name of the suspended Job.
    #[schemars(length(min = 1, max = 63))]
    pub template: String,
}

impl Action for RunJob {
    const RISK: Risk = Risk::High;
    const REVERSIBLE: bool = false;

    fn plan(&self, view: &TargetView) -> Result<Plan, PlanError> {
        let template = view.named("Job", &self.template)?;
        let target = target_ref(template)?;
        if annotation(template, RUNNABLE) != Some("true") {
            return Err(PlanError::Unsafe(format!("the Job is not annotated {RUNNABLE}: \"true\"")));
        }
        if template.pointer("/spec/suspend").and_then(Value::as_bool) != Some(true) {
            return Err(PlanError::Unsafe("the Job is no template: set spec.suspend: true".into()));
        }
        let run = view.run.clone();
        let name = job_name(&target.name, &run);
        let job = canonical_json(&json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": name, "namespace": target.namespace,
                "annotations": {RUN: run, TEMPLATE: target.name}},
            "spec": spec(template)?,
        }));
        if job.len() > 16_384 {
            return Err(PlanError::BadParameters("the Job is larger than 16 KiB"));
        }
        let images: Vec<&str> = template
            .pointer("/spec/template/spec/containers")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|container| container.get("image").and_then(Value::as_str))
            .collect();
        Ok(Plan {
            diff: format!("Job/{}/{name}\n+ made from {target}, images: {}\n", target.namespace, printable(&images.join(", "))),
            summary: format!("Run {target} as Job {name}"),
            mutations: vec![Mutation::CreateJob(JobMutation { target, name, job, run })],
            inverse: Inverse::None,
            risk: Risk::High,
        })
    }

    fn reads(&self) -> Vec<Reads> {
        vec![Reads::Object { api_version: "batch/v1", kind: "Job", name: self.template.clone() }]
    }
}

/// The template's name, cut, and eight digits of the run: equal for every retry of the run, and for no other.
fn job_name(template: &str, run: &str) -> String {
    let digest = sha256_hex(run.as_bytes());
    let front: String = template.chars().take(54).collect();
    format!("{}-{}", front.trim_end_matches(['-', '.']), &digest[7..15])
}

/// The template's spec without what its own controller wrote, with bounds on run time and on how long it is kept.
fn spec(template: &Value) -> Result<Value, PlanError> {
    let mut spec = template.get("spec").cloned().ok_or(PlanError::Malformed { what: "spec" })?;
    let fields = spec.as_object_mut().ok_or(PlanError::Malformed { what: "spec" })?;
    for own in ["suspend", "selector", "manualSelector"] {
        fields.shift_remove(own);
    }
    fields.entry("activeDeadlineSeconds").or_insert(Value::from(DEADLINE));
    fields.entry("ttlSecondsAfterFinished").or_insert(Value::from(KEPT));
    if let Some(labels) = spec.pointer_mut("/template/metadata/labels").and_then(Value::as_object_mut) {
        labels.retain(|key, _| !CONTROLLER_LABELS.contains(&key.as_str()));
    }
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn view() -> TargetView {
        let template = json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": "vacuum", "namespace": "shop", "uid": "job-1", "annotations": {RUNNABLE: "true"}},
            "spec": {"suspend": true, "backoffLimit": 1, "selector": {"matchLabels": {"controller-uid": "x"}},
                "template": {"metadata": {"labels": {"app": "vacuum", "controller-uid": "x", "job-name": "vacuum"}},
                    "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "shop/vacuum:1"}]}}},
        });
        TargetView { extra: vec![template], ..fixture::view() }
    }

    #[test]
    fn makes_a_job_that_can_not_be_made_twice() {
        let action = RunJob { template: "vacuum".into() };
        let plan = action.plan(&view()).unwrap();
        let Mutation::CreateJob(made) = &plan.mutations[0] else { panic!("{plan:?}") };
        assert_eq!(made.name.len(), "vacuum-".len() + 8);
        let job: Value = serde_json::from_str(&made.job).unwrap();
        assert_eq!(job["spec"]["template"]["metadata"]["labels"], json!({"app": "vacuum"}));
        assert_eq!(job["spec"].get("suspend"), None);
        assert_eq!(job["spec"].get("selector"), None);
        assert_eq!((&job["spec"]["activeDeadlineSeconds"], &job["spec"]["backoffLimit"]), (&json!(3600), &json!(1)));
        assert_eq!(plan.inverse, Inverse::None);
        assert_eq!(action.plan(&view()).unwrap().digest(), plan.digest());
        let other = TargetView { run: "another".into(), ..view() };
        assert_ne!(action.plan(&other).unwrap().digest(), plan.digest());
        assert!(job_name(&"x".repeat(63), "r").len() <= 63);
    }

    #[test]
    fn runs_only_what_its_owner_has_marked() {
        for (pointer, value) in [
            ("/metadata/annotations", json!({})),
            ("/spec/suspend", json!(false)),
        ] {
            let mut view = view();
            *view.extra[0].pointer_mut(pointer).unwrap() = value;
            let error = RunJob { template: "vacuum".into() }.plan(&view).unwrap_err();
            assert_eq!(error.category(), "Unsafe", "{pointer}");
        }
        let missing = RunJob { template: "other".into() }.plan(&view()).unwrap_err();
        assert_eq!(missing.category(), "TargetMissing");
    }
}

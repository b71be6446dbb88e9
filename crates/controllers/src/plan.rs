//! Makes the plan of a runbook, the same way when it is planned, when it is made anew before it is carried out, and when it
//! is tested on a recorded incident.

use std::collections::BTreeMap;

use causeway_actions::{ActionSpec, Decimal, Inverse, Mutation, Plan, PlanError, TargetView, plan_sequence};
use causeway_crds::remediation_policy::PolicyRunbook;
use causeway_crds::runbook::{Rollback, RunbookSpec};
use causeway_crds::{RemediationPolicy, RemediationSpec, Runbook, Via};
use causeway_remediate::{
    Applier, DurationText, Facts, GitRule, Precondition, PreconditionError, Reason, through_git,
};
use serde_json::{Value, json};

use crate::text::bounded;

/// What is known of the cause and of the cluster when a plan is made.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Around {
    /// Class of the cause.
    pub(crate) kind: String,
    /// What it happened in.
    pub(crate) entity: String,
    /// How sure, 0 to 1.
    pub(crate) confidence: f64,
    /// Distance to the next candidate, 0 to 1.
    pub(crate) margin: f64,
    /// Other repairs that have begun and are not over.
    pub(crate) running: usize,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum Refusal {
    /// A step can't be planned.
    #[error("{0}")]
    Plan(#[from] PlanError),
    /// A precondition does not hold, can't be evaluated, or does not compile.
    #[error("precondition {name}: {message}")]
    Precondition { name: String, message: String },
    /// A parameter is unknown or outside of its bounds.
    #[error("{0}")]
    Parameter(String),
    /// Git declares what would be changed, and it can't be changed there.
    #[error("{reason}: {message}")]
    Git { reason: Reason, message: String },
}

impl Refusal {
    /// One word: that of the plan, or the name of the precondition.
    pub(crate) fn word(&self) -> String {
        match self {
            Self::Plan(error) => error.category().to_owned(),
            Self::Precondition { name, .. } => name.clone(),
            Self::Parameter(_) => "BadParameters".to_owned(),
            Self::Git { reason, .. } => reason.as_str().to_owned(),
        }
    }
}

/// The plan of all steps, with the parameters as the policy sets them, if its preconditions hold. What Git declares is
/// changed there, if the policy names the repository.
///
/// # Errors
/// The first thing that speaks against it.
pub(crate) fn of(
    runbook: &Runbook,
    policy: Option<&PolicyRunbook>,
    git: Option<&GitRule>,
    view: &TargetView,
    around: &Around,
) -> Result<Plan, Refusal> {
    let spec = &runbook.spec;
    let params = parameters(spec, policy)?;
    let facts = Facts {
        target: view.subject().cloned().unwrap_or(Value::Null),
        hpa: view.hpa.clone().unwrap_or(Value::Null),
        cause: json!({"kind": around.kind, "entity": around.entity, "confidence": around.confidence, "margin": around.margin}),
        cluster: json!({"runningRepairs": around.running}),
        params,
    };
    for precondition in &spec.preconditions {
        let refuse = |message: String| Refusal::Precondition { name: precondition.name.clone(), message };
        match Precondition::compile(&precondition.expr).and_then(|compiled| compiled.holds(&facts)) {
            Ok(true) => {}
            Ok(false) => {
                return Err(refuse(
                    precondition.message.clone().unwrap_or_else(|| "it does not hold".to_owned()),
                ));
            }
            Err(PreconditionError::Compile(why)) => {
                return Err(refuse(format!("no usable expression: {why}")));
            }
            Err(PreconditionError::Evaluate(why)) => {
                return Err(refuse(format!("can't be evaluated: {why}")));
            }
        }
    }
    let actions: Vec<ActionSpec> =
        spec.steps.iter().map(|step| step.action.with_parameters(&facts.params)).collect::<Result<_, _>>()?;
    let mut plan = plan_sequence(&actions, view)?;
    if spec.rollback == Rollback::None {
        plan.inverse = Inverse::None;
    }
    let namespace = plan.mutations.first().map(|mutation| mutation.target().namespace.clone());
    let run = format!("{}/{}", namespace.unwrap_or_default(), view.run);
    let applier = |applier: &Applier| view.extra.iter().find(|object| applier.is(object));
    through_git(plan, |mutation| live(view, mutation), applier, git, &run)
        .map_err(|(reason, message)| Refusal::Git { reason, message })
}

/// By which way a plan changes things.
pub(crate) fn via(plan: &Plan) -> Via {
    let has = |is_it: fn(&Mutation) -> bool| plan.mutations.iter().any(is_it);
    if has(|mutation| matches!(mutation, Mutation::GitChange(_))) {
        Via::Git
    } else if has(|mutation| matches!(mutation, Mutation::Webhook(_) | Mutation::FlagChange(_))) {
        Via::Webhook
    } else {
        Via::Patch
    }
}

/// How long what a plan changes stays, as the policy says, where that can be taken back by itself.
pub(crate) fn lease(policy: Option<&RemediationPolicy>, plan: &Plan) -> Option<DurationText> {
    let told = policy.and_then(|policy| policy.spec.apply.lease_for.clone());
    told.filter(|_| has_lease(plan))
}

/// Whether a plan can be taken back by itself: patches and flags can. What Git has is Git's, and a call has no way back.
fn has_lease(plan: &Plan) -> bool {
    let stays = |mutation: &Mutation| matches!(mutation, Mutation::GitChange(_) | Mutation::Webhook(_));
    matches!(plan.inverse, Inverse::Mutations(_)) && !plan.mutations.iter().any(stays)
}

/// What a Remediation says where the policy asks for a lease, and the plan leaves something behind and has none.
pub(crate) fn without_lease(policy: Option<&RemediationPolicy>, plan: &Plan) -> Option<String> {
    let asked = policy?.spec.apply.lease_for.as_ref()?.get();
    let is_said = !has_lease(plan) && plan.inverse != Inverse::NotNeeded;
    is_said.then(|| {
        format!("apply.leaseFor of the policy ({asked:?}) does not count: what Git has, or has no way back, stays until somebody takes it back")
    })
}

/// The difference of a plan as a Remediation shows it.
pub(crate) fn plan_diff(plan: &Plan) -> String {
    bounded(&plan.diff, 16_384)
}

/// Values of all parameters.
fn parameters(
    spec: &RunbookSpec,
    policy: Option<&PolicyRunbook>,
) -> Result<BTreeMap<String, Decimal>, Refusal> {
    let mut set = policy.map(|policy| policy.parameters.clone()).unwrap_or_default();
    let mut values = BTreeMap::new();
    for parameter in &spec.parameters {
        let value = set.remove(&parameter.name).unwrap_or_else(|| parameter.default.clone());
        let (least, most) = (parameter.minimum.to_f64(), parameter.maximum.to_f64());
        if !(least..=most).contains(&value.to_f64()) {
            return Err(Refusal::Parameter(format!(
                "parameter {} would be {value}, allowed is {} to {}",
                parameter.name, parameter.minimum, parameter.maximum
            )));
        }
        values.insert(parameter.name.clone(), value);
    }
    match set.keys().next() {
        Some(name) => Err(Refusal::Parameter(format!("the Runbook has no parameter {name}"))),
        None => Ok(values),
    }
}

/// What the schema of a runbook can't check.
///
/// # Errors
/// A sentence that names the step, the parameter or the expression.
pub(crate) fn compile(spec: &RunbookSpec) -> Result<String, String> {
    let params = parameters(spec, None).map_err(|refusal| refusal.to_string())?;
    for precondition in &spec.preconditions {
        if let Err(error) = Precondition::compile(&precondition.expr) {
            return Err(format!("precondition {} ({}): {error}", precondition.name, precondition.expr));
        }
    }
    for step in &spec.steps {
        if spec.rollback == Rollback::Inverse && !step.action.reversible() {
            return Err(format!(
                "step {} ({}) can't be taken back: set spec.rollback to None",
                step.name,
                step.action.kind()
            ));
        }
        if let Err(error) = step.action.with_parameters(&params) {
            return Err(format!("step {} ({}): {error}", step.name, step.action.kind()));
        }
    }
    let names: Vec<&str> = spec.steps.iter().map(|step| step.action.kind().as_str()).collect();
    Ok(format!("Steps: {}", names.join(", ")))
}

/// What takes a repair back: the inverse of its plan, and the plan as the inverse of that. `None` if it has no way back by
/// mutations.
pub(crate) fn restoring(spec: &RemediationSpec) -> Option<(Vec<Mutation>, Inverse)> {
    let Inverse::Mutations(back) = &spec.inverse else { return None };
    let changes = |mutation: &&Mutation| {
        matches!(mutation, Mutation::JsonPatch(_) | Mutation::Scale(_) | Mutation::FlagChange(_))
    };
    let forth: Vec<Mutation> = spec.mutations.iter().rev().filter(changes).cloned().collect();
    (!forth.is_empty()).then(|| (back.clone(), Inverse::Mutations(forth)))
}

/// The live object of the view that a mutation touches.
pub(crate) fn live<'a>(view: &'a TargetView, mutation: &Mutation) -> Option<&'a Value> {
    let uid = mutation.target().uid.as_str();
    [&view.workload, &view.config_map, &view.hpa, &view.node]
        .into_iter()
        .flatten()
        .chain(&view.extra)
        .chain(&view.pods)
        .find(|object| object.pointer("/metadata/uid").and_then(Value::as_str) == Some(uid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn runbook(change: impl Fn(&mut Value)) -> Runbook {
        let mut object = json!({
            "apiVersion": "causeway.dev/v1alpha1", "kind": "Runbook", "metadata": {"name": "grow"},
            "spec": {
                "summary": "grow", "appliesTo": {"causes": ["Saturation"], "targets": [{"group": "apps", "kind": "Deployment"}]},
                "parameters": [{"name": "factor", "default": "2", "minimum": "1.1", "maximum": "3"}],
                "preconditions": [{"name": "small", "expr": "target.spec.replicas * params.factor <= 10.0", "message": "too many already"}],
                "steps": [{"name": "grow", "type": "Scale", "scale": {"factor": "params.factor", "min": 1, "max": 50}}],
                "verify": {"within": "5m", "hold": "2m"},
            },
        });
        change(&mut object["spec"]);
        serde_json::from_value(object).unwrap()
    }

    fn view(replicas: i32) -> TargetView {
        TargetView {
            workload: Some(json!({"apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "web", "namespace": "shop", "uid": "u"}, "spec": {"replicas": replicas}})),
            ..TargetView::empty("r", "2026-11-27T20:00:00Z".parse().unwrap())
        }
    }

    fn around() -> Around {
        Around {
            kind: "Saturation".into(),
            entity: "shop/web".into(),
            confidence: 0.9,
            margin: 0.4,
            running: 0,
        }
    }

    fn plan(runbook: &Runbook, factor: Option<&str>, replicas: i32) -> Result<Plan, Refusal> {
        let policy = factor.map(|factor| PolicyRunbook {
            name: "grow".into(),
            autonomy: None,
            parameters: BTreeMap::from([("factor".into(), Decimal::parse(factor).unwrap())]),
        });
        of(runbook, policy.as_ref(), None, &view(replicas), &around())
    }

    #[test]
    fn parameters_come_from_the_policy_within_bounds() {
        let book = runbook(|_| ());
        assert!(plan(&book, None, 3).unwrap().summary.ends_with("from 3 to 6 replicas"));
        assert!(plan(&book, Some("3"), 3).unwrap().summary.ends_with("from 3 to 9 replicas"));
        let refusal = plan(&book, Some("4"), 2).unwrap_err();
        assert_eq!(refusal.to_string(), "parameter factor would be 4, allowed is 1.1 to 3");
        let none = runbook(|spec| spec["parameters"] = json!([]));
        assert_eq!(plan(&none, Some("2"), 2).unwrap_err().word(), "BadParameters");
    }

    #[test]
    fn preconditions_refuse_by_name() {
        let refusal = plan(&runbook(|_| ()), None, 8).unwrap_err();
        assert_eq!(refusal.word(), "small");
        assert_eq!(refusal.to_string(), "precondition small: too many already");
        let broken = runbook(|spec| spec["preconditions"][0]["expr"] = json!("target.spec.nothing > 1"));
        assert_eq!(plan(&broken, None, 3).unwrap_err().word(), "small");
    }

    #[test]
    fn compiling_names_what_is_wrong() {
        assert_eq!(compile(&runbook(|_| ()).spec).unwrap(), "Steps: Scale");
        let wrong =
            compile(&runbook(|spec| spec["preconditions"][0]["expr"] = json!("target. >")).spec).unwrap_err();
        assert!(wrong.starts_with("precondition small (target. >): "), "{wrong}");
        let unknown =
            compile(&runbook(|spec| spec["steps"][0]["scale"]["factor"] = json!("params.speed")).spec)
                .unwrap_err();
        assert!(unknown.contains("the parameter speed has no value"), "{unknown}");
    }
}

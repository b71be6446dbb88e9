//! The admission rules that make an Approval worth something, and those of change freezes, as ValidatingAdmissionPolicies.

use k8s_openapi::api::admissionregistration::v1::{
    MatchResources, NamedRuleWithOperations, ParamKind, ParamRef, ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding, ValidatingAdmissionPolicyBindingSpec, ValidatingAdmissionPolicySpec,
    Validation, Variable,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use causeway_remediate::FreezeMode;

use crate::{GROUP, VERSION};

/// Account by which repairs are made, in every namespace that has it.
const FIXER: &str = "causeway-fixer";

/// A policy and the binding that puts it in force; both have the same name.
#[derive(Clone, Debug, PartialEq)]
pub struct AdmissionRule {
    /// What is checked.
    pub policy: ValidatingAdmissionPolicy,
    /// Where: everywhere.
    pub binding: ValidatingAdmissionPolicyBinding,
}

/// The rules for an operator that writes as the user `operator`:
///
/// - only it creates Remediations;
/// - an Approval is given in one's own name, by a user with the verb `approve` on the Remediation.
///
/// Every field that an API server would fill in is set, so that what it keeps equals what is here.
#[must_use]
pub fn admission_rules(operator: &str) -> Vec<AdmissionRule> {
    let user = operator.replace('\\', "\\\\").replace('\'', "\\'");
    vec![
        rule(
            "causeway-remediations",
            "remediations",
            vec![validation(
                format!("request.userInfo.username == '{user}'"),
                "only the operator creates Remediations: create or change a Runbook and a RemediationPolicy",
            )],
        ),
        rule(
            "causeway-approvals",
            "approvals",
            vec![
                validation(
                    "object.spec.approver == request.userInfo.username".to_owned(),
                    "spec.approver must be the user who creates the Approval: see kubectl auth whoami",
                ),
                validation(
                    format!(
                        "authorizer.group('{GROUP}').resource('remediations').namespace(object.metadata.namespace)\
                         .name(object.spec.remediationRef.name).check('approve').allowed()"
                    ),
                    "you may not approve this Remediation: a Role must grant you the verb approve on remediations",
                ),
            ],
        ),
    ]
}

/// The rules that hold changes back while the change freeze of a PeakEvent holds, one for each mode. They look at pod
/// templates of workloads and at ConfigMaps, in the namespaces and for the time that the status of the event names.
///
/// Not held back are: replicas and restarts, for which the same version goes on; Kubernetes itself; repairs, which the executor
/// judges; what a workload writes into ConfigMaps of its own namespace; and objects with one of the annotations that the event
/// names. A freeze that can't be read holds nothing back.
///
/// Every field that an API server would fill in is set, so that what it keeps equals what is here.
#[must_use]
pub fn freeze_rules() -> Vec<AdmissionRule> {
    [FreezeMode::Warn, FreezeMode::Deny].map(freeze_rule).to_vec()
}

fn freeze_rule(mode: FreezeMode) -> AdmissionRule {
    let name = format!("causeway-freeze-{}", mode.as_str().to_lowercase());
    let rules = |group: &str, operations: &[&str], resources: &[&str]| NamedRuleWithOperations {
        api_groups: Some(vec![group.to_owned()]),
        api_versions: Some(vec!["v1".to_owned()]),
        operations: Some(operations.iter().map(|&text| text.to_owned()).collect()),
        resources: Some(resources.iter().map(|&text| text.to_owned()).collect()),
        resource_names: None,
        scope: Some("*".to_owned()),
    };
    let mut rule = bound(
        &name,
        vec![
            rules("apps", &["CREATE", "UPDATE", "DELETE"], &["deployments", "statefulsets", "daemonsets"]),
            rules("", &["UPDATE", "DELETE"], &["configmaps"]),
        ],
        vec![Validation {
            expression: "!variables.holds || variables.passes || variables.isExempt || variables.isSame".to_owned(),
            message: Some("a PeakEvent freezes changes of what runs here".to_owned()),
            message_expression: Some(
                "'PeakEvent ' + params.metadata.name + ' freezes changes of what runs in ' + request.namespace + \
                 (has(params.spec.changeFreeze.except) ? '; in an emergency annotate the object with ' + \
                 params.spec.changeFreeze.except[0] : '')"
                    .to_owned(),
            ),
            reason: None,
        }],
    );
    if let Some(spec) = &mut rule.policy.spec {
        // A freeze is no reason to stop a cluster whose rules can't be evaluated.
        spec.failure_policy = Some("Ignore".to_owned());
        spec.param_kind = Some(ParamKind {
            api_version: Some(format!("{GROUP}/{VERSION}")),
            kind: Some("PeakEvent".to_owned()),
        });
        let variable = |(name, expression): (&str, String)| Variable { name: name.to_owned(), expression };
        spec.variables = Some(freeze_variables(mode).map(variable).to_vec());
    }
    if let Some(spec) = &mut rule.binding.spec {
        spec.validation_actions = Some(vec![mode.as_str().to_owned()]);
        spec.param_ref = Some(ParamRef {
            selector: Some(LabelSelector::default()),
            parameter_not_found_action: Some("Allow".to_owned()),
            ..ParamRef::default()
        });
    }
    rule
}

fn freeze_variables(mode: FreezeMode) -> [(&'static str, String); 7] {
    let data = |field: &str| {
        let of = |object: &str| format!("(has({object}.{field}) ? {object}.{field} : {{}})");
        format!("{} == {}", of("variables.after"), of("variables.before"))
    };
    [
        (
            "holds",
            format!(
                "!(has(params.spec.suspend) && params.spec.suspend) && \
                 has(params.spec.changeFreeze) && params.spec.changeFreeze.mode == '{mode}' && has(params.status) && \
                 has(params.status.freeze) && params.status.freeze.state == 'Holding' && \
                 has(params.status.freeze.namespaces) && request.namespace in params.status.freeze.namespaces"
            ),
        ),
        ("after", "dyn(request.operation == 'DELETE' ? oldObject : object)".to_owned()),
        ("before", "dyn(request.operation == 'CREATE' ? object : oldObject)".to_owned()),
        ("isConfig", "request.resource.resource == 'configmaps'".to_owned()),
        (
            "passes",
            format!(
                "request.userInfo.username == 'system:serviceaccount:' + request.namespace + ':{FIXER}' || \
                 request.userInfo.username.startsWith('system:serviceaccount:kube-system:') || \
                 request.userInfo.username.startsWith('system:kube-') || \
                 (variables.isConfig && request.userInfo.username.startsWith('system:serviceaccount:' + \
                 request.namespace + ':'))"
            ),
        ),
        (
            "isExempt",
            "has(params.spec.changeFreeze.except) && has(variables.after.metadata.annotations) && \
             params.spec.changeFreeze.except.exists(key, key in variables.after.metadata.annotations)"
                .to_owned(),
        ),
        (
            "isSame",
            format!(
                "request.operation == 'UPDATE' && (variables.isConfig ? ({} && {}) : \
                 variables.after.spec.template.spec == variables.before.spec.template.spec)",
                data("data"),
                data("binaryData")
            ),
        ),
    ]
}

fn validation(expression: String, message: &str) -> Validation {
    Validation { expression, message: Some(message.to_owned()), message_expression: None, reason: None }
}

fn rule(name: &str, resource: &str, validations: Vec<Validation>) -> AdmissionRule {
    let one = |text: &str| Some(vec![text.to_owned()]);
    let matched = NamedRuleWithOperations {
        api_groups: one(GROUP),
        api_versions: one(VERSION),
        operations: one("CREATE"),
        resources: one(resource),
        resource_names: None,
        scope: Some("*".to_owned()),
    };
    bound(name, vec![matched], validations)
}

/// A policy about what `matched` names, in force everywhere.
fn bound(name: &str, matched: Vec<NamedRuleWithOperations>, validations: Vec<Validation>) -> AdmissionRule {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    AdmissionRule {
        policy: ValidatingAdmissionPolicy {
            metadata: metadata.clone(),
            spec: Some(ValidatingAdmissionPolicySpec {
                failure_policy: Some("Fail".to_owned()),
                match_constraints: Some(MatchResources {
                    match_policy: Some("Equivalent".to_owned()),
                    namespace_selector: Some(LabelSelector::default()),
                    object_selector: Some(LabelSelector::default()),
                    resource_rules: Some(matched),
                    exclude_resource_rules: None,
                }),
                validations: Some(validations),
                ..ValidatingAdmissionPolicySpec::default()
            }),
            status: None,
        },
        binding: ValidatingAdmissionPolicyBinding {
            metadata,
            spec: Some(ValidatingAdmissionPolicyBindingSpec {
                policy_name: Some(name.to_owned()),
                validation_actions: Some(vec!["Deny".to_owned()]),
                match_resources: None,
                param_ref: None,
            }),
        },
    }
}

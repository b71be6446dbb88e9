//! The admission rules that make an Approval worth something, as ValidatingAdmissionPolicies.

use k8s_openapi::api::admissionregistration::v1::{
    MatchResources, NamedRuleWithOperations, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
    ValidatingAdmissionPolicyBindingSpec, ValidatingAdmissionPolicySpec, Validation,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use crate::{GROUP, VERSION};

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

fn validation(expression: String, message: &str) -> Validation {
    Validation { expression, message: Some(message.to_owned()), message_expression: None, reason: None }
}

fn rule(name: &str, resource: &str, validations: Vec<Validation>) -> AdmissionRule {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    let one = |text: &str| Some(vec![text.to_owned()]);
    let matched = NamedRuleWithOperations {
        api_groups: one(GROUP),
        api_versions: one(VERSION),
        operations: one("CREATE"),
        resources: one(resource),
        resource_names: None,
        scope: Some("*".to_owned()),
    };
    AdmissionRule {
        policy: ValidatingAdmissionPolicy {
            metadata: metadata.clone(),
            spec: Some(ValidatingAdmissionPolicySpec {
                failure_policy: Some("Fail".to_owned()),
                match_constraints: Some(MatchResources {
                    match_policy: Some("Equivalent".to_owned()),
                    namespace_selector: Some(LabelSelector::default()),
                    object_selector: Some(LabelSelector::default()),
                    resource_rules: Some(vec![matched]),
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
                validation_actions: one("Deny"),
                match_resources: None,
                param_ref: None,
            }),
        },
    }
}

//! The rules that the chart ships as ValidatingAdmissionPolicies, for the Kubernetes API in this process.

use causeway_localcluster::{Admission, Denied, Review, Verb};
use serde_json::Value;

/// Name under which the controllers write.
pub(crate) const OPERATOR: &str = "system:serviceaccount:causeway-system:causeway-operator";

/// Only the operator creates Remediations; an Approval is given in one's own name.
pub(crate) struct Rules;

impl Admission for Rules {
    fn review(&self, review: &Review<'_>) -> Result<(), Denied> {
        if review.group != "causeway.dev" || review.verb != Verb::Create || review.subresource.is_some() {
            return Ok(());
        }
        let deny = |policy: &str, message: String| Err(Denied { policy: policy.to_owned(), message });
        match review.resource {
            "remediations" if review.user.name != OPERATOR => deny(
                "causeway-remediations",
                format!("only the operator creates Remediations, {} may not", review.user.name),
            ),
            "approvals" => {
                let approver =
                    review.object.and_then(|o| o.pointer("/spec/approver")).and_then(Value::as_str);
                if approver == Some(review.user.name.as_str()) {
                    Ok(())
                } else {
                    deny(
                        "causeway-approvals",
                        format!(
                            "spec.approver must be {}, the user who creates the Approval",
                            review.user.name
                        ),
                    )
                }
            }
            _ => Ok(()),
        }
    }
}

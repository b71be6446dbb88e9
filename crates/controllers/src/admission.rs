//! Since when the admission rules stand as shipped.

use causeway_crds::admission::{AdmissionRule, admission_rules};
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Api, Client};

use crate::error::ControllerError;

/// What keeps the admission rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// The API server is part of this process, and so are its rules.
    BuiltIn,
    /// Policies in the cluster, for an operator that writes as this user.
    Policies {
        /// User name.
        operator: String,
    },
}

impl Admission {
    /// When the youngest of the rules was made; `None` when one is absent or differs from what is shipped.
    pub(crate) async fn since(&self, client: &Client) -> Result<Option<Timestamp>, ControllerError> {
        let Self::Policies { operator } = self else { return Ok(Some(Timestamp::UNIX_EPOCH)) };
        let policies: Api<ValidatingAdmissionPolicy> = Api::all(client.clone());
        let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client.clone());
        let mut since = Timestamp::UNIX_EPOCH;
        for AdmissionRule { policy, binding } in admission_rules(operator) {
            let name = policy.metadata.name.as_deref().unwrap_or_default();
            let live = policies.get_opt(name).await.map_err(reading)?.filter(|live| live.spec == policy.spec);
            let bound =
                bindings.get_opt(name).await.map_err(reading)?.filter(|live| live.spec == binding.spec);
            let (Some(live), Some(bound)) = (live, bound) else { return Ok(None) };
            for made in [created(&live.metadata), created(&bound.metadata)] {
                since = since.max(made);
            }
        }
        Ok(Some(since))
    }
}

fn reading(source: kube::Error) -> ControllerError {
    let what = "reading the ValidatingAdmissionPolicies of Causeway".to_owned();
    ControllerError::Api { what, source: Box::new(source) }
}

/// When an API object was made, by the API server; the end of time when that is not told.
pub(crate) fn created(metadata: &ObjectMeta) -> Timestamp {
    metadata.creation_timestamp.as_ref().map_or(Timestamp::MAX, |time| time.0)
}

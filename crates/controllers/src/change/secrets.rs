//! Which Secrets this process may watch: those that a tenant's Role names, and no others are asked for.

use std::collections::HashSet;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Client;
use kube::api::{Api, PostParams};

/// Answers of the API server.
pub(super) struct Readable {
    client: Client,
    /// Namespace and name. A refusal is not remembered, because a Role may come later.
    allowed: HashSet<(String, String)>,
}

impl Readable {
    pub(super) fn new(client: Client) -> Self {
        Self { client, allowed: HashSet::new() }
    }

    /// Whether a Secret may be watched. A failure to ask is a no: the next change of the workload asks again.
    pub(super) async fn may_watch(&mut self, namespace: &str, name: &str) -> bool {
        let key = (namespace.to_owned(), name.to_owned());
        if self.allowed.contains(&key) {
            return true;
        }
        let attributes = ResourceAttributes {
            namespace: Some(key.0.clone()),
            name: Some(key.1.clone()),
            resource: Some("secrets".to_owned()),
            verb: Some("watch".to_owned()),
            ..ResourceAttributes::default()
        };
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(attributes),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let api: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let answer = api.create(&PostParams::default(), &review).await;
        let is_allowed = answer.is_ok_and(|review| review.status.is_some_and(|status| status.allowed));
        if is_allowed {
            self.allowed.insert(key);
        }
        is_allowed
    }
}

//! The rules that the chart ships as ValidatingAdmissionPolicies, for the Kubernetes API in this process.

use std::collections::BTreeMap;

use causeway_controllers::FIXER;
use causeway_crds::peak_event::FreezeState;
use causeway_crds::{FreezeMode, PeakEvent};
use causeway_localcluster::{Admission, Denied, DryRun, Review, Verb};
use kube::ResourceExt;
use parking_lot::Mutex;
use serde_json::Value;

/// Name under which the controllers write.
pub(crate) const OPERATOR: &str = "system:serviceaccount:causeway-system:causeway-operator";

/// Only the operator creates Remediations; an Approval is given in one's own name; change freezes hold.
#[derive(Default)]
pub(crate) struct Rules {
    /// PeakEvents with a change freeze, as they were written last.
    freezes: Mutex<BTreeMap<String, PeakEvent>>,
}

impl Rules {
    /// Takes an event that was stored before this process began.
    pub(crate) fn remember(&self, event: PeakEvent) {
        if event.spec.change_freeze.is_some() {
            self.freezes.lock().insert(event.name_any(), event);
        }
    }

    /// Notes what becomes of the events.
    fn note(&self, review: &Review<'_>) {
        self.freezes.lock().remove(review.name);
        let event = review.object.and_then(|object| serde_json::from_value::<PeakEvent>(object.clone()).ok());
        if let Some(event) = event {
            self.remember(event);
        }
    }

    /// As `causeway_crds::admission::freeze_rules`; what these would only warn of passes.
    fn frozen(&self, review: &Review<'_>) -> Result<(), Denied> {
        let is_config = review.resource == "configmaps";
        let is_change = match review.verb {
            Verb::Create => !is_config,
            Verb::Delete => true,
            Verb::Update if is_config => ["/data", "/binaryData"].iter().any(|at| differs(review, at)),
            Verb::Update => differs(review, "/spec/template/spec"),
        };
        let namespace = review.namespace.unwrap_or_default();
        let account = format!("system:serviceaccount:{namespace}:");
        let user = review.user.name.as_str();
        let passes = user.strip_prefix(&account).is_some_and(|name| is_config || name == FIXER);
        if !is_change || passes {
            return Ok(());
        }
        let annotations =
            review.object.or(review.old).and_then(|object| object.pointer("/metadata/annotations"));
        for event in self.freezes.lock().values() {
            let (Some(freeze), Some(status)) =
                (&event.spec.change_freeze, event.status.as_ref().and_then(|status| status.freeze.as_ref()))
            else {
                continue;
            };
            let holds = freeze.mode == FreezeMode::Deny
                && !event.spec.suspend
                && status.state == FreezeState::Holding
                && status.namespaces.iter().any(|frozen| frozen == namespace);
            let is_exempt =
                freeze.except.iter().any(|key| annotations.is_some_and(|all| all.get(key).is_some()));
            if holds && !is_exempt {
                let message =
                    format!("PeakEvent {} freezes changes of what runs in {namespace}", event.name_any());
                return Err(Denied { policy: "causeway-freeze-deny".to_owned(), message });
            }
        }
        Ok(())
    }
}

fn differs(review: &Review<'_>, at: &str) -> bool {
    let of = |object: Option<&Value>| object.and_then(|object| object.pointer(at)).cloned();
    of(review.object) != of(review.old)
}

impl Admission for Rules {
    fn review(&self, review: &Review<'_>) -> Result<(), Denied> {
        match (review.group, review.resource) {
            ("apps", "deployments" | "statefulsets" | "daemonsets") | ("", "configmaps")
                if review.subresource.is_none() =>
            {
                return self.frozen(review);
            }
            ("causeway.dev", "peakevents") if review.dry_run == DryRun::No => self.note(review),
            _ => {}
        }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use causeway_localcluster::{LocalCluster, Options, Storage, User};
    use jiff::Timestamp;
    use k8s_openapi::api::apps::v1::Deployment;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::{Api, Patch, PatchParams, PostParams};
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_freeze_holds_as_the_policies_of_the_chart_have_it() {
        let rules = Arc::new(Rules::default());
        let cluster = LocalCluster::open(Options {
            storage: Storage::Memory,
            crds: causeway_crds::all_crds(),
            users: vec![User::new("admin")],
            admission: vec![rules.clone()],
            now: Arc::new(Timestamp::now),
        })
        .unwrap();
        let admin = cluster.client("admin");
        let deployments = Api::<Deployment>::default_namespaced(admin.clone());
        let web = json!({"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {
            "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "shop/web:1"}]}}}});
        deployments.create(&PostParams::default(), &serde_json::from_value(web).unwrap()).await.unwrap();
        let configs = Api::<ConfigMap>::default_namespaced(admin.clone());
        let rates = json!({"metadata": {"name": "rates"}, "data": {"NL": "0.21"}});
        configs.create(&PostParams::default(), &serde_json::from_value(rates).unwrap()).await.unwrap();
        let peaks = Api::<PeakEvent>::all(admin);
        let event = json!({"apiVersion": "causeway.dev/v1alpha1", "kind": "PeakEvent", "metadata": {"name": "sale"},
            "spec": {"window": {"start": "2026-11-27T06:00:00", "end": "2026-11-30T23:59:00"},
                "changeFreeze": {"mode": "Deny", "except": ["causeway.dev/emergency"]}}});
        peaks.create(&PostParams::default(), &serde_json::from_value(event).unwrap()).await.unwrap();
        let state = async |state: &str| {
            let status = json!({"status": {"freeze": {"state": state, "namespaces": ["default"]}}});
            peaks.patch_status("sale", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
        };
        let dry = PatchParams { dry_run: true, ..PatchParams::default() };
        let image = |annotations: Value| {
            Patch::Strategic(json!({"metadata": {"annotations": annotations}, "spec": {"template": {"spec": {
                "containers": [{"name": "main", "image": "shop/web:2"}]}}}}))
        };
        let data = Patch::Merge(json!({"data": {"NL": "2.1"}}));
        deployments.patch("web", &dry, &image(json!({}))).await.unwrap();
        state("Holding").await;
        let refusal = deployments.patch("web", &dry, &image(json!({}))).await.unwrap_err().to_string();
        assert!(refusal.contains("PeakEvent sale freezes changes of what runs in default"), "{refusal}");
        assert!(configs.patch("rates", &dry, &data).await.is_err());
        deployments.patch("web", &dry, &image(json!({"causeway.dev/emergency": "INC-7"}))).await.unwrap();
        let scaled = Patch::Merge(json!({"spec": {"replicas": 3}}));
        deployments.patch("web", &dry, &scaled).await.unwrap();
        let account = |name: &str| cluster.client(format!("system:serviceaccount:default:{name}"));
        let fixer = Api::<Deployment>::default_namespaced(account(FIXER));
        fixer.patch("web", &dry, &image(json!({}))).await.unwrap();
        let workload = account("web");
        Api::<ConfigMap>::default_namespaced(workload.clone()).patch("rates", &dry, &data).await.unwrap();
        assert!(
            Api::<Deployment>::default_namespaced(workload)
                .patch("web", &dry, &image(json!({})))
                .await
                .is_err()
        );
        // A process that starts anew knows it from the store.
        let fresh = Rules::default();
        fresh.remember(peaks.get("sale").await.unwrap());
        assert_eq!(fresh.freezes.lock().len(), 1);
        let suspend = async |suspend: bool| {
            let spec = Patch::Merge(json!({"spec": {"suspend": suspend}}));
            peaks.patch("sale", &PatchParams::default(), &spec).await.unwrap();
        };
        suspend(true).await;
        deployments.patch("web", &dry, &image(json!({}))).await.unwrap();
        suspend(false).await;
        assert!(deployments.patch("web", &dry, &image(json!({}))).await.is_err());
        state("Over").await;
        deployments.patch("web", &dry, &image(json!({}))).await.unwrap();
        peaks.delete("sale", &kube::api::DeleteParams::default()).await.unwrap();
        assert!(rules.freezes.lock().is_empty());
    }
}

//! The same controllers on a real API server, operator and executor by ServiceAccounts of their own: its RBAC and its
//! admission decide what these can do.

use causeway_controllers::run_executor;
use causeway_crds::admission::admission_rules;
use causeway_crds::{
    Approval, ClusterGuardrail, Outcome, Phase, Remediation, RemediationPolicy, RemediationStatus, Runbook,
};
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde_json::{Value, json};

use crate::accounts::{
    ALONE, Fixer, OPERATOR, PATIENCE, client, create, define, opt_in, real_cluster, remove, system,
};
use crate::operator::{Operator, context};
use crate::world::{SHOP, incident};

const RUN: &str = "gateway-3fa9c1-1";

/// A shop on a real API server, whose repairs need what `autonomy` says.
struct Rig {
    admin: Client,
    operator: Operator,
    _folder: tempfile::TempDir,
}

impl Rig {
    /// The fixer may do what `verbs` says with Deployments.
    async fn start(kubeconfig: Value, autonomy: &str, verbs: &[&str]) -> Self {
        let admin = client(&kubeconfig).await;
        define(&admin).await;
        remove(&admin, &[SHOP]).await;
        system(&admin).await;
        opt_in(&admin, SHOP, Fixer::Deployments(verbs), &[]).await;
        let folder = tempfile::tempdir().unwrap();
        declare(&admin, autonomy).await;
        let operator = Operator::start(&admin, &kubeconfig, folder.path()).await;
        let executor = context(&admin, &kubeconfig, "causeway-executor", &operator.activity).await;
        tokio::spawn(run_executor(executor, operator.stop.clone()));
        operator.tell(incident(Timestamp::now()));
        Self { admin, operator, _folder: folder }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.admin.clone(), SHOP)
    }

    /// Waits until the Remediation is as wanted.
    async fn until(&self, what: &str, good: impl Fn(&RemediationStatus) -> bool) -> Remediation {
        let runs = self.api::<Remediation>();
        let begun = std::time::Instant::now();
        loop {
            let found = runs.get_opt(RUN).await.unwrap();
            let status = found.as_ref().and_then(|run| run.status.clone()).unwrap_or_default();
            if let Some(run) = found.filter(|_| good(&status)) {
                return run;
            }
            assert!(begun.elapsed() < PATIENCE, "{what}: {status:#?}");
            tokio::task::yield_now().await;
        }
    }

    async fn restarted(&self) -> bool {
        let deployment = self.api::<Deployment>().get("web").await.unwrap();
        let metadata = deployment.spec.and_then(|spec| spec.template.metadata);
        metadata
            .and_then(|metadata| metadata.annotations)
            .is_some_and(|all| all.contains_key("kubectl.kubernetes.io/restartedAt"))
    }

    async fn end(self) {
        self.operator.stop().await;
        remove(&self.admin, &[SHOP]).await;
    }
}

async fn declare(admin: &Client, autonomy: &str) {
    create(
        &Api::<Deployment>::namespaced(admin.clone(), SHOP),
        json!({"metadata": {"name": "web"}, "spec": {
            "replicas": 4, "selector": {"matchLabels": {"app": "web"}}, "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "main", "image": "shop/web:1"}]}}}}),
    )
    .await;
    create(
        &Api::<ClusterGuardrail>::all(admin.clone()),
        json!({"metadata": {"name": "default"}, "spec": {"maxAutonomy": "Auto"}}),
    )
    .await;
    create(&Api::<Runbook>::namespaced(admin.clone(), SHOP), json!({"metadata": {"name": "restart"}, "spec": {
            "summary": "restart", "appliesTo": {"causes": ["FaultyInstance"], "targets": [{"group": "apps", "kind": "Deployment"}]},
            "steps": [{"name": "restart", "type": "RolloutRestart", "rolloutRestart": {}}],
            "verify": {"within": "5m", "hold": "2m"}, "rollback": "Inverse", "risk": "Low"}})).await;
    create(
        &Api::<RemediationPolicy>::namespaced(admin.clone(), SHOP),
        json!({"metadata": {"name": "policy"}, "spec": {
            "runbooks": [{"name": "restart"}], "autonomy": autonomy, "limits": {"cooldown": "1m"}}}),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_permission_a_repair_is_refused_and_names_the_missing_verb() {
    let Some(kubeconfig) = real_cluster("a fixer without permission on a real API server") else { return };
    let _alone = ALONE.lock().await;
    let rig = Rig::start(kubeconfig, "Auto", &["get"]).await;
    let run = rig.until("refused", |status| status.phase.is_final()).await;
    let status = run.status.unwrap();
    assert_eq!(
        (status.phase, status.outcome),
        (Phase::Refused, Some(Outcome::Refused)),
        "{:?}",
        status.message
    );
    let message = status.message.unwrap_or_default();
    for part in ["patch", "deployments", "causeway-fixer"] {
        assert!(message.contains(part), "{part} is missing in: {message}");
    }
    assert!(!rig.restarted().await);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_counts_only_while_the_admission_rules_stand_since_before_it() {
    let Some(kubeconfig) = real_cluster("approvals without admission rules on a real API server") else {
        return;
    };
    let _alone = ALONE.lock().await;
    let rig = Rig::start(kubeconfig, "Approve", &["get", "patch"]).await;
    let run = rig.until("waits", |status| status.phase == Phase::AwaitingApproval).await;
    let shown = run.status.unwrap().dry_run.unwrap();
    let approvals = rig.api::<Approval>();
    let approval = |name: &str, approver: &str| {
        json!({"metadata": {"name": name}, "spec": {
            "remediationRef": {"name": RUN, "planDigest": run.spec.plan_digest}, "decision": "Approve",
            "approver": approver, "dryRunDigest": shown.digest}})
    };
    let typed = |mut object: Value| -> Approval {
        object["apiVersion"] = "causeway.dev/v1alpha1".into();
        object["kind"] = "Approval".into();
        serde_json::from_value(object).unwrap()
    };
    // The API server needs a moment until it keeps to new rules.
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let begun = std::time::Instant::now();
    while approvals.create(&dry, &typed(approval("forged", "anna"))).await.is_ok() {
        assert!(begun.elapsed() < PATIENCE, "the rules are not kept to");
        tokio::task::yield_now().await;
    }
    let forged = approvals.create(&PostParams::default(), &typed(approval("forged", "anna"))).await;
    let refusal = forged.unwrap_err().to_string();
    assert!(refusal.contains("spec.approver must be the user who creates the Approval"), "{refusal}");

    // With the rule gone, the API server takes it.
    let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(rig.admin.clone());
    bindings.delete("causeway-approvals", &DeleteParams::default()).await.unwrap();
    let begun = std::time::Instant::now();
    while let Err(error) = approvals.create(&PostParams::default(), &typed(approval("forged", "anna"))).await
    {
        assert!(begun.elapsed() < PATIENCE, "{error}");
        tokio::task::yield_now().await;
    }
    let run = rig.until("capped", |status| status.reason.as_deref() == Some("SuggestOnly")).await;
    assert!(run.status.unwrap().approvals.is_empty());
    // The rule stands again, and is younger than the Approval.
    let rule = admission_rules(OPERATOR)
        .into_iter()
        .find(|rule| rule.binding.name_any() == "causeway-approvals")
        .unwrap();
    let approved = approvals.get("forged").await.unwrap().creation_timestamp();
    // The API server's times have whole seconds.
    while bindings.create(&PostParams::default(), &rule.binding).await.unwrap().creation_timestamp()
        <= approved
    {
        bindings.delete("causeway-approvals", &DeleteParams::default()).await.unwrap();
    }
    let runs = rig.api::<Remediation>();
    // Something to look again for.
    runs.patch(
        RUN,
        &PatchParams::default(),
        &Patch::Merge(json!({"metadata": {"labels": {"look": "again"}}})),
    )
    .await
    .unwrap();
    let run = rig
        .until("waits again", |status| {
            status.phase == Phase::AwaitingApproval && status.reason.as_deref() != Some("SuggestOnly")
        })
        .await;
    assert!(run.status.unwrap().approvals.is_empty());
    assert!(!rig.restarted().await);
    assert_eq!(runs.list(&ListParams::default()).await.unwrap().items.len(), 1);
    rig.end().await;
}

//! The same controllers on a real API server, operator and executor by ServiceAccounts of their own: its RBAC and its
//! admission decide what these can do.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use causeway_controllers::{Admission, Context, Git, IncidentFeed, OperatorParts, Ports, run, run_executor};
use causeway_crds::admission::admission_rules;
use causeway_crds::{
    Approval, ClusterGuardrail, Outcome, Phase, Remediation, RemediationPolicy, RemediationStatus, Runbook,
};
use causeway_kubekit::{Activity, Clock, ControllerMetrics};
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::Kubeconfig;
use kube::{Api, Client, Config, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::world::{FakeAudit, FakeEngine, FakeGateway, SHOP, incident, notifications};

/// Held by a test whose controllers work on all objects of the real control plane.
pub(crate) static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Where the roles' accounts are.
const SYSTEM: &str = "causeway-test";
/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);
const RUN: &str = "gateway-3fa9c1-1";

/// Kubeconfig of the administrator of a real control plane; if there is none, the output says what is not run.
pub(crate) fn real_cluster(what: &str) -> Option<Value> {
    let Some(folder) = std::env::var_os("CAUSEWAY_CLUSTER").map(PathBuf::from) else {
        let text = format!("not run: {what}; CAUSEWAY_CLUSTER is not set (`cargo xtask test` sets it)\n");
        std::io::stderr().write_all(text.as_bytes()).unwrap();
        return None;
    };
    let record: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("cluster.json")).unwrap()).unwrap();
    let kubeconfig = std::fs::read_to_string(record["kubeconfig"].as_str().unwrap()).unwrap();
    Some(serde_saphyr::from_str(&kubeconfig).unwrap())
}

/// A client with the current user of a kubeconfig.
pub(crate) async fn client(kubeconfig: &Value) -> Client {
    let kubeconfig: Kubeconfig = serde_json::from_value(kubeconfig.clone()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

/// Applies the definitions, and waits until all kinds are served.
pub(crate) async fn define(client: &Client) {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let ours = PatchParams::apply("causeway-test").force();
    let all = causeway_crds::all_crds();
    for definition in &all {
        definitions.patch(&definition.name_any(), &ours, &Patch::Apply(definition)).await.unwrap();
    }
    let served = async {
        let version = format!("{}/v1alpha1", causeway_crds::GROUP);
        loop {
            let list = client.list_api_group_resources(&version).await;
            let kinds = list.map(|list| list.resources.iter().filter(|r| !r.name.contains('/')).count());
            if kinds.is_ok_and(|kinds| kinds >= all.len()) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, served).await.expect("the kinds are served");
}

/// A shop on a real API server, whose repairs need what `autonomy` says.
struct Rig {
    admin: Client,
    kubeconfig: Value,
    engine: Arc<FakeEngine>,
    _folder: tempfile::TempDir,
    stop: CancellationToken,
    feed: IncidentFeed,
    activity: Activity,
    operator: String,
}

impl Rig {
    /// The fixer may do what `verbs` says with Deployments.
    async fn start(kubeconfig: Value, autonomy: &str, verbs: &[&str]) -> Self {
        let admin = client(&kubeconfig).await;
        define(&admin).await;
        remove(&admin).await;
        for namespace in [SYSTEM, SHOP] {
            create::<Namespace>(&Api::all(admin.clone()), json!({"metadata": {"name": namespace}})).await;
        }
        let operator = format!("system:serviceaccount:{SYSTEM}:causeway-operator");
        for rule in admission_rules(&operator) {
            let ours = PatchParams::apply("causeway-test").force();
            let name = rule.policy.name_any();
            Api::<ValidatingAdmissionPolicy>::all(admin.clone())
                .patch(&name, &ours, &Patch::Apply(&rule.policy))
                .await
                .unwrap();
            Api::<ValidatingAdmissionPolicyBinding>::all(admin.clone())
                .patch(&name, &ours, &Patch::Apply(&rule.binding))
                .await
                .unwrap();
        }
        let rig = Self {
            engine: Arc::default(),
            _folder: tempfile::tempdir().unwrap(),
            stop: CancellationToken::new(),
            feed: IncidentFeed::new().0,
            activity: Activity::new(),
            admin,
            kubeconfig,
            operator,
        };
        rig.accounts(verbs).await;
        rig.declare(autonomy).await;
        rig.run().await
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.admin.clone(), SHOP)
    }

    /// The operator may do everything; the executor reads, writes what it has done, and acts as the fixer.
    async fn accounts(&self, verbs: &[&str]) {
        let accounts = Api::<ServiceAccount>::namespaced(self.admin.clone(), SYSTEM);
        for name in ["causeway-operator", "causeway-executor"] {
            create(&accounts, json!({"metadata": {"name": name}})).await;
        }
        create(&self.api::<ServiceAccount>(), json!({"metadata": {"name": "causeway-fixer"}})).await;
        let subject = |namespace: &str, name: &str| json!([{"kind": "ServiceAccount", "namespace": namespace, "name": name}]);
        let reference = |kind: &str, name: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name});
        let everywhere = Api::<ClusterRoleBinding>::all(self.admin.clone());
        for (name, account, role) in [
            ("causeway-test-operator", "causeway-operator", "cluster-admin"),
            ("causeway-test-reads", "causeway-executor", "view"),
            ("causeway-test-executor", "causeway-executor", "causeway-test-executor"),
        ] {
            let binding = json!({"metadata": {"name": name}, "roleRef": reference("ClusterRole", role), "subjects": subject(SYSTEM, account)});
            create(&everywhere, binding).await;
        }
        let rules = json!({"metadata": {"name": "causeway-test-executor"}, "rules": [
            {"apiGroups": ["causeway.dev"], "resources": ["*"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": ["causeway.dev"], "resources": ["remediations/status"], "verbs": ["update"]},
            {"apiGroups": ["admissionregistration.k8s.io"], "resources": ["*"], "verbs": ["get"]},
            {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]}]});
        create(&Api::<k8s_openapi::api::rbac::v1::ClusterRole>::all(self.admin.clone()), rules).await;
        for (name, rule, bound) in [
            (
                "acts-as-fixer",
                json!({"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": ["causeway-fixer"], "verbs": ["impersonate"]}),
                subject(SYSTEM, "causeway-executor"),
            ),
            (
                "causeway-fixer",
                json!({"apiGroups": ["apps"], "resources": ["deployments"], "verbs": verbs}),
                subject(SHOP, "causeway-fixer"),
            ),
        ] {
            create(&self.api::<Role>(), json!({"metadata": {"name": name}, "rules": [rule]})).await;
            let binding =
                json!({"metadata": {"name": name}, "roleRef": reference("Role", name), "subjects": bound});
            create(&self.api::<RoleBinding>(), binding).await;
        }
    }

    async fn declare(&self, autonomy: &str) {
        create(
            &self.api::<Deployment>(),
            json!({"metadata": {"name": "web"}, "spec": {
            "replicas": 4, "selector": {"matchLabels": {"app": "web"}}, "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "main", "image": "shop/web:1"}]}}}}),
        )
        .await;
        create(
            &Api::<ClusterGuardrail>::all(self.admin.clone()),
            json!({"metadata": {"name": "default"}, "spec": {"maxAutonomy": "Auto"}}),
        )
        .await;
        create(&self.api::<Runbook>(), json!({"metadata": {"name": "restart"}, "spec": {
            "summary": "restart", "appliesTo": {"causes": ["FaultyInstance"], "targets": [{"group": "apps", "kind": "Deployment"}]},
            "steps": [{"name": "restart", "type": "RolloutRestart", "rolloutRestart": {}}],
            "verify": {"within": "5m", "hold": "2m"}, "rollback": "Inverse", "risk": "Low"}})).await;
        create(
            &self.api::<RemediationPolicy>(),
            json!({"metadata": {"name": "policy"}, "spec": {
            "runbooks": [{"name": "restart"}], "autonomy": autonomy, "limits": {"cooldown": "1m"}}}),
        )
        .await;
    }

    /// A client by a token of a ServiceAccount.
    async fn role(&self, name: &str) -> Client {
        let accounts = Api::<ServiceAccount>::namespaced(self.admin.clone(), SYSTEM);
        let request: TokenRequest = serde_json::from_value(json!({"spec": {"audiences": []}})).unwrap();
        let answer = accounts.create_token_request(name, &PostParams::default(), &request).await.unwrap();
        let mut kubeconfig = self.kubeconfig.clone();
        for user in kubeconfig["users"].as_array_mut().unwrap() {
            user["user"] = json!({"token": answer.status.as_ref().unwrap().token});
        }
        client(&kubeconfig).await
    }

    /// Operator and executor, each by its own account.
    async fn run(mut self) -> Self {
        let now = Timestamp::now();
        self.engine.watermark.lock().unwrap().replace(now.as_microsecond());
        let (feed, inbox) = IncidentFeed::new();
        self.feed = feed;
        let context = |client: Client| Context {
            client,
            activity: self.activity.clone(),
            clock: Clock::from_fn(Arc::new(Timestamp::now)),
            metrics: ControllerMetrics::detached(),
            instance: "test".to_owned(),
            admission: Admission::Policies { operator: self.operator.clone() },
            git: Git::default(),
        };
        let notifications = notifications(self._folder.path());
        let ports = Ports {
            engine: self.engine.clone(),
            gateway: Arc::<FakeGateway>::default(),
            audit: Arc::<FakeAudit>::default(),
            bundles: causeway_controllers::Bundles::default(),
        };
        let parts = OperatorParts { ports, inbox, notifications, executes: false };
        tokio::spawn(run(context(self.role("causeway-operator").await), parts, self.stop.clone()));
        tokio::spawn(run_executor(context(self.role("causeway-executor").await), self.stop.clone()));
        let news = incident(now);
        self.engine.incidents.lock().unwrap().insert(news.fingerprint.clone(), news.clone());
        self.feed.publish(news, self.activity.busy());
        self
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
        self.stop.cancel();
        remove(&self.admin).await;
    }
}

async fn create<K>(api: &Api<K>, mut object: Value)
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    object["apiVersion"] = K::api_version(&()).into();
    object["kind"] = K::kind(&()).into();
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
}

/// Removes what a test made, and waits until it is gone.
pub(crate) async fn remove(admin: &Client) {
    async fn drop_all<K>(api: Api<K>, names: &[&str])
    where
        K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
    {
        for name in names {
            api.delete(name, &DeleteParams::default()).await.ok();
        }
        let begun = std::time::Instant::now();
        for name in names {
            while api.get_opt(name).await.unwrap().is_some() {
                assert!(begun.elapsed() < PATIENCE, "{name} is not removed");
                tokio::task::yield_now().await;
            }
        }
    }
    let roles = ["causeway-test-operator", "causeway-test-reads", "causeway-test-executor"];
    drop_all::<ClusterRoleBinding>(Api::all(admin.clone()), &roles).await;
    drop_all::<k8s_openapi::api::rbac::v1::ClusterRole>(Api::all(admin.clone()), &roles[2..]).await;
    drop_all::<ClusterGuardrail>(Api::all(admin.clone()), &["default"]).await;
    let rules = ["causeway-remediations", "causeway-approvals"];
    drop_all::<ValidatingAdmissionPolicyBinding>(Api::all(admin.clone()), &rules).await;
    drop_all::<ValidatingAdmissionPolicy>(Api::all(admin.clone()), &rules).await;
    drop_all::<Namespace>(Api::all(admin.clone()), &[SHOP, SYSTEM]).await;
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
    let rule = admission_rules(&rig.operator)
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

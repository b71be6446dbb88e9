//! A real control plane as the roles meet it: their accounts, the admission rules, and namespaces that opt in.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use causeway_crds::ClusterGuardrail;
use causeway_crds::admission::admission_rules;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::config::Kubeconfig;
use kube::{Api, Client, Config, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Held by a test whose controllers work on all objects of the real control plane.
pub(crate) static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Where the roles' accounts are.
pub(crate) const SYSTEM: &str = "causeway-test";
/// Longest wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How often a real API server is asked.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Longest wait until namespaces are gone.
const REMOVAL: Duration = Duration::from_secs(300);
/// Who the operator is.
pub(crate) const OPERATOR: &str = "system:serviceaccount:causeway-test:causeway-operator";
/// Names the right of the fixer of nodes.
const NODES_FIXER: &str = "causeway-test-nodes";
/// Names of the rights that are in no namespace.
const EVERYWHERE: [&str; 3] = ["causeway-test-operator", "causeway-test-reads", "causeway-test-executor"];

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
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    tokio::time::timeout(PATIENCE, served).await.expect("the kinds are served");
}

fn subject(namespace: &str, name: &str) -> Value {
    json!([{"kind": "ServiceAccount", "namespace": namespace, "name": name}])
}

fn reference(kind: &str, name: &str) -> Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name})
}

/// The accounts of operator and executor, and the admission rules: the operator may do everything; the executor reads,
/// writes what it has done, and acts as the fixers.
pub(crate) async fn system(admin: &Client) {
    create::<Namespace>(&Api::all(admin.clone()), json!({"metadata": {"name": SYSTEM}})).await;
    let ours = PatchParams::apply("causeway-test").force();
    for rule in admission_rules(OPERATOR) {
        let name = rule.policy.name_any();
        let policies: Api<ValidatingAdmissionPolicy> = Api::all(admin.clone());
        policies.patch(&name, &ours, &Patch::Apply(&rule.policy)).await.unwrap();
        let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(admin.clone());
        bindings.patch(&name, &ours, &Patch::Apply(&rule.binding)).await.unwrap();
    }
    let accounts = Api::<ServiceAccount>::namespaced(admin.clone(), SYSTEM);
    for name in ["causeway-operator", "causeway-executor"] {
        create(&accounts, json!({"metadata": {"name": name}})).await;
    }
    let bindings = Api::<ClusterRoleBinding>::all(admin.clone());
    for (name, account, role) in [
        (EVERYWHERE[0], "causeway-operator", "cluster-admin"),
        (EVERYWHERE[1], "causeway-executor", "view"),
        (EVERYWHERE[2], "causeway-executor", EVERYWHERE[2]),
    ] {
        let binding = json!({"metadata": {"name": name}, "roleRef": reference("ClusterRole", role), "subjects": subject(SYSTEM, account)});
        create(&bindings, binding).await;
    }
    let rules = json!({"metadata": {"name": EVERYWHERE[2]}, "rules": [
        {"apiGroups": ["causeway.dev"], "resources": ["*"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["causeway.dev"], "resources": ["remediations/status"], "verbs": ["update"]},
        {"apiGroups": ["admissionregistration.k8s.io"], "resources": ["*"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]},
        {"apiGroups": ["kustomize.toolkit.fluxcd.io"], "resources": ["kustomizations"], "verbs": ["get"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]},
        {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]}]});
    create(&Api::<ClusterRole>::all(admin.clone()), rules).await;
}

/// What the fixer of a namespace may do.
pub(crate) enum Fixer<'a> {
    /// This with Deployments.
    Deployments(&'a [&'a str]),
    /// Everything in its namespace.
    Namespace,
    /// Everything everywhere: nodes are in no namespace.
    Everywhere,
}

/// A namespace whose fixer the executor may act as, and in which it reads these Secrets.
pub(crate) async fn opt_in(admin: &Client, namespace: &str, fixer: Fixer<'_>, secrets: &[&str]) {
    create::<Namespace>(&Api::all(admin.clone()), json!({"metadata": {"name": namespace}})).await;
    let accounts = Api::<ServiceAccount>::namespaced(admin.clone(), namespace);
    create(&accounts, json!({"metadata": {"name": "causeway-fixer"}})).await;
    let (roles, bindings) = (
        Api::<Role>::namespaced(admin.clone(), namespace),
        Api::<RoleBinding>::namespaced(admin.clone(), namespace),
    );
    let executor = || subject(SYSTEM, "causeway-executor");
    let impersonate = json!({"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": ["causeway-fixer"], "verbs": ["impersonate"]});
    let mut rules = vec![("acts-as-fixer", impersonate, executor())];
    if !secrets.is_empty() {
        let read =
            json!({"apiGroups": [""], "resources": ["secrets"], "resourceNames": secrets, "verbs": ["get"]});
        rules.push(("reads-secrets", read, executor()));
    }
    let fixed = subject(namespace, "causeway-fixer");
    match fixer {
        Fixer::Deployments(verbs) => {
            rules.push((
                "causeway-fixer",
                json!({"apiGroups": ["apps"], "resources": ["deployments"], "verbs": verbs}),
                fixed,
            ));
        }
        Fixer::Namespace => {
            let all = json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]});
            rules.push(("causeway-fixer", all, fixed));
        }
        Fixer::Everywhere => {
            let binding = json!({"metadata": {"name": NODES_FIXER}, "roleRef": reference("ClusterRole", "cluster-admin"), "subjects": fixed});
            create(&Api::<ClusterRoleBinding>::all(admin.clone()), binding).await;
        }
    }
    for (name, rule, bound) in rules {
        create(&roles, json!({"metadata": {"name": name}, "rules": [rule]})).await;
        let binding =
            json!({"metadata": {"name": name}, "roleRef": reference("Role", name), "subjects": bound});
        create(&bindings, binding).await;
    }
}

/// The kubeconfig of a role, by a token of its ServiceAccount.
pub(crate) async fn role(admin: &Client, kubeconfig: &Value, name: &str) -> Value {
    let accounts = Api::<ServiceAccount>::namespaced(admin.clone(), SYSTEM);
    let request: TokenRequest = serde_json::from_value(json!({"spec": {"audiences": []}})).unwrap();
    let answer = accounts.create_token_request(name, &PostParams::default(), &request).await.unwrap();
    let mut kubeconfig = kubeconfig.clone();
    for user in kubeconfig["users"].as_array_mut().unwrap() {
        user["user"] = json!({"token": answer.status.as_ref().unwrap().token});
    }
    kubeconfig
}

pub(crate) async fn create<K>(api: &Api<K>, mut object: Value)
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    object["apiVersion"] = K::api_version(&()).into();
    object["kind"] = K::kind(&()).into();
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
}

/// Removes what a test made, with these namespaces, and waits until it is gone.
pub(crate) async fn remove(admin: &Client, namespaces: &[&str]) {
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
                assert!(begun.elapsed() < REMOVAL, "{name} is not removed");
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
    }
    drop_all::<ClusterRoleBinding>(Api::all(admin.clone()), &[&EVERYWHERE[..], &[NODES_FIXER]].concat())
        .await;
    drop_all::<ClusterRole>(Api::all(admin.clone()), &EVERYWHERE[2..]).await;
    drop_all::<ClusterGuardrail>(Api::all(admin.clone()), &["default"]).await;
    let rules = ["causeway-remediations", "causeway-approvals"];
    drop_all::<ValidatingAdmissionPolicyBinding>(Api::all(admin.clone()), &rules).await;
    drop_all::<ValidatingAdmissionPolicy>(Api::all(admin.clone()), &rules).await;
    drop_all::<Namespace>(Api::all(admin.clone()), &[namespaces, &[SYSTEM]].concat()).await;
}

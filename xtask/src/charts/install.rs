//! Installs the charts, runs all roles with their ServiceAccounts through an outage and its repair, and compares the
//! rights that were granted with those that were used. Operators and gateways are apart; a single process that has both
//! has the operator's rights.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::rights::{Elsewhere, Grant, Use, compare, compare_shop, grants, uses};
use super::tried::tried;
use super::work;
use crate::cluster::{TestCluster, private};
use crate::go::tool;
use crate::run::{root, run, run_in, say, target};

/// Namespace of the release.
pub(super) const RELEASE: &str = "causeway-system";
/// Namespace of the workloads.
pub(super) const TENANT: &str = "train-ticket";
/// Namespace of the shop.
const SHOP: &str = "shop";
/// ServiceAccounts of the roles.
const ROLES: [&str; 4] = ["operator", "gateway", "executor", "console"];

const OTHER_KINDS: &str = "the workloads of the example are Deployments";
const SCALE: &str = "Scale: the fault of the example ends by a restart";
const BOUNDS: &str = "SetHPABounds: the example has no HorizontalPodAutoscaler; the shop has";
const REVERT: &str = "RevertConfigMap: no recording has a fault that a configuration made; the shop has";
const PODS: &str = "EvictPod, DeletePod, RunJob, Cordon: the fault of the example ends by a restart";
const OLD: &str = "an Incident is deleted two weeks after its end";
const NONE: &str = "the example has no Approval, Pause or PeakEvent";
const KILLED: &str = "an executor that dies after a write does not come to tell of it";
const TWICE: &str = "the same Event on the same object within minutes";

/// Rights that the example has no use for: a slow instance of a Deployment, which is restarted, and a
/// ConfigMap that changes.
const ELSEWHERE: [Elsewhere; 26] = [
    Elsewhere::unused("causeway-operator", "apps", &["statefulsets", "daemonsets"], &["get"], OTHER_KINDS),
    Elsewhere::unused("causeway-executor", "apps", &["statefulsets", "daemonsets"], &["get"], OTHER_KINDS),
    Elsewhere::unused("causeway-fixer", "apps", &["statefulsets", "daemonsets"], &["patch"], OTHER_KINDS),
    Elsewhere::unused("causeway-fixer", "apps", &["statefulsets/scale"], &["get", "update"], OTHER_KINDS),
    Elsewhere::unused("causeway-fixer", "apps", &["deployments/scale"], &["get", "update"], SCALE),
    Elsewhere::unused("causeway-executor", "autoscaling", &["horizontalpodautoscalers"], &["get"], BOUNDS)
        .in_shop(),
    Elsewhere::unused("causeway-fixer", "autoscaling", &["horizontalpodautoscalers"], &["patch"], BOUNDS)
        .in_shop(),
    Elsewhere::unused("causeway-executor", "", &["configmaps"], &["get"], REVERT).in_shop(),
    Elsewhere::unused(
        "causeway-executor",
        "apps",
        &["deployments", "controllerrevisions"],
        &["list"],
        REVERT,
    )
    .in_shop(),
    Elsewhere::unused("causeway-executor", "apps", &["statefulsets", "daemonsets"], &["list"], OTHER_KINDS),
    Elsewhere::unused("causeway-fixer", "", &["configmaps"], &["patch"], REVERT).in_shop(),
    Elsewhere::unused("causeway-operator", "", &["pods"], &["get"], PODS),
    Elsewhere::unused("causeway-operator", "batch", &["jobs"], &["get"], PODS),
    Elsewhere::unused("causeway-operator", "", &["nodes"], &["get"], PODS),
    Elsewhere::unused("causeway-executor", "", &["pods"], &["get", "list"], PODS),
    Elsewhere::unused("causeway-executor", "batch", &["jobs"], &["get"], PODS),
    Elsewhere::unused("causeway-executor", "", &["nodes"], &["get"], PODS),
    Elsewhere::unused("causeway-fixer", "", &["pods"], &["delete"], PODS),
    Elsewhere::unused("causeway-fixer", "", &["pods/eviction"], &["create"], PODS),
    Elsewhere::unused("causeway-fixer", "batch", &["jobs"], &["create"], PODS),
    Elsewhere::unused("causeway-operator", "causeway.dev", &["incidents"], &["delete"], OLD),
    Elsewhere::unused("causeway-operator", "autoscaling", &["horizontalpodautoscalers"], &["get"], BOUNDS)
        .in_shop(),
    Elsewhere::unused(
        "causeway-operator",
        "causeway.dev",
        &["approvals/status", "pauses/status", "peakevents/status"],
        &["update"],
        NONE,
    ),
    Elsewhere::sometimes("causeway-operator", "events.k8s.io", &["events"], &["patch"], TWICE),
    Elsewhere::sometimes("causeway-executor", "events.k8s.io", &["events"], &["create"], KILLED),
    Elsewhere::sometimes("causeway-executor", "events.k8s.io", &["events"], &["patch"], TWICE),
];

/// Time between changes of a ConfigMap: more than ten within the shortest run.
const CHANGE: Duration = Duration::from_millis(500);

/// kubectl as the administrator of a cluster.
#[derive(Clone)]
pub(super) struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    pub(super) fn of(kubeconfig: PathBuf) -> Result<Self> {
        Ok(Self { program: tool("kubectl")?.path, kubeconfig })
    }

    fn output(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(&self.program);
        let output = command.arg("--kubeconfig").arg(&self.kubeconfig).args(arguments).output();
        output.context("cannot start kubectl")
    }

    /// Standard output, or standard error as an error.
    pub(super) fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = self.output(arguments)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("kubectl {}: {}", arguments.join(" "), said.trim());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Whether an account may do something, as `kubectl auth can-i` says; it fails when the answer is no.
    pub(super) fn may(&self, account: &str, question: &[&str]) -> Result<bool> {
        let output = self.output(&[&["auth", "can-i", "--as", account], question].concat())?;
        match String::from_utf8_lossy(&output.stdout).trim() {
            "yes" => Ok(true),
            "no" => Ok(false),
            _ => bail!("kubectl auth can-i: {}", String::from_utf8_lossy(&output.stderr).trim()),
        }
    }
}

/// Installs the charts for one tenant, and writes a kubeconfig for each role into a folder, with a token of its
/// ServiceAccount.
pub(super) fn roles(helm: &str, kubectl: &Kubectl, cluster: &TestCluster, tenant: &str) -> Result<PathBuf> {
    for namespace in [RELEASE, tenant] {
        kubectl.run(&["create", "namespace", namespace])?;
    }
    kubectl.run(&["label", "namespace", RELEASE, "pod-security.kubernetes.io/enforce=restricted"])?;
    let values = json!({
        "store": { "existingClaim": "tables" },
        "tenants": [{ "namespace": tenant, "secrets": ["otlp-token", "slack"], "repairs": true }],
    });
    let file = work(cluster, "values.json")?;
    std::fs::write(&file, values.to_string())?;
    install(helm, kubectl, "causeway-crds", None)?;
    install(helm, kubectl, "causeway", Some(&file))?;
    // The API server takes the pods by the strictest standard. Two roles wait for volumes, which nobody makes.
    for deployment in ["deployment/causeway-executor", "deployment/causeway-console"] {
        kubectl.run(&["rollout", "status", deployment, "--namespace", RELEASE, "--timeout=60s"])?;
    }
    for pod in ["pod/causeway-operator-0", "pod/causeway-gateway-0"] {
        kubectl.run(&["wait", pod, "--for=create", "--namespace", RELEASE, "--timeout=60s"])?;
    }
    let admin = std::fs::read_to_string(&kubectl.kubeconfig)?;
    for role in ROLES {
        let account = format!("causeway-{role}");
        let token =
            kubectl.run(&["create", "token", &account, "--namespace", RELEASE, "--duration", "4h"])?;
        let file = work(cluster, &format!("{role}.token"))?;
        private(&file, token.trim())?;
        private(&work(cluster, role)?, &outside(&admin, &file.display().to_string())?)?;
    }
    Ok(cluster.folder().join("charts"))
}

/// The whole comparison.
pub(super) fn rights(helm: &str, kubectl: &Kubectl, cluster: &TestCluster) -> Result<()> {
    let roles = roles(helm, kubectl, cluster, TENANT)?;
    let churn = Churn::start(kubectl, cluster)?;
    let played = play(kubectl, cluster, &roles);
    churn.stop()?;
    let (grants, used) = granted_and_used(kubectl, cluster)?;
    let wrong: Vec<String> = compare(&grants, &used, &ELSEWHERE).into_iter().collect();
    // A right that is missing is why an outage was not repaired, so that both are told.
    if let Err(error) = played {
        bail!("{error:#}; rights:\n  {}", wrong.join("\n  "));
    }
    if grants.is_empty() || used.is_empty() || !wrong.is_empty() {
        bail!(
            "{} rights granted, {} kinds of requests; wrong:\n  {}",
            grants.len(),
            used.len(),
            wrong.join("\n  ")
        );
    }
    say(&format!("{} rights are granted, and used by {} kinds of requests", grants.len(), used.len()));
    tried(kubectl, cluster)
}

/// Scenarios of the shop, with the rights of the chart alone: what the outage of [`rights`] has no use for. Each has an API
/// server of its own.
pub(super) fn rights_of_shop(helm: &str) -> Result<()> {
    let text = |path: &Path| path.display().to_string();
    let (binary, root) = (text(&target().join("debug/causeway-e2e")), text(&root()));
    let (mut granted, mut used) = (Vec::new(), BTreeSet::new());
    for scenario in ["saturation", "tax-rate"] {
        let cluster = TestCluster::for_charts()?;
        let kubectl = Kubectl::of(cluster.kubeconfig())?;
        let roles = text(&roles(helm, &kubectl, &cluster, SHOP)?);
        let kubeconfig = text(&kubectl.kubeconfig);
        let arguments = ["demo", "--json", "--root", &root, "--shop", scenario, "--kubeconfig", &kubeconfig];
        let title = format!("the shop by roles on a control plane: {scenario}");
        run(&title, &binary, &[&arguments[..], &["--roles", &roles]].concat())?;
        let (grants, uses) = granted_and_used(&kubectl, &cluster)?;
        granted = grants;
        used.extend(uses);
    }
    let wrong: Vec<String> = compare_shop(&granted, &used, &ELSEWHERE).into_iter().collect();
    if granted.is_empty() || used.is_empty() || !wrong.is_empty() {
        bail!(
            "{} rights granted, {} kinds of requests; wrong:\n  {}",
            granted.len(),
            used.len(),
            wrong.join("\n  ")
        );
    }
    say(&format!("the shop: {} kinds of requests, each granted", used.len()));
    Ok(())
}

/// What the installed Roles grant, and what the audit log says of the roles' accounts.
fn granted_and_used(kubectl: &Kubectl, cluster: &TestCluster) -> Result<(Vec<Grant>, BTreeSet<Use>)> {
    let objects = kubectl.run(&[
        "get",
        "clusterroles,clusterrolebindings,roles,rolebindings",
        "--all-namespaces",
        "--selector=app.kubernetes.io/name=causeway",
        "--output=json",
    ])?;
    let accounts: BTreeSet<String> =
        ROLES.iter().map(|role| account(RELEASE, &format!("causeway-{role}"))).collect();
    let log = std::fs::read_to_string(cluster.audit_log()).context("cannot read the audit log")?;
    Ok((grants(&serde_json::from_str(&objects)?), uses(&log, &accounts)))
}

/// What came of the outage, as JSON.
pub(super) fn summary_of_roles() -> PathBuf {
    target().join("summary-roles.json")
}

fn install(helm: &str, kubectl: &Kubectl, chart: &str, values: Option<&Path>) -> Result<()> {
    let values = values.map(|file| file.display().to_string());
    let (folder, kubeconfig) = (format!("charts/{chart}"), kubectl.kubeconfig.display().to_string());
    let mut arguments = vec!["install", chart, &folder, "--namespace", RELEASE, "--kubeconfig", &kubeconfig];
    arguments.extend(values.iter().flat_map(|file| ["--values", file.as_str()]));
    run(&format!("installation of {chart}"), helm, &arguments)
}

pub(super) fn account(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

/// What a pod has by its ServiceAccount, as a kubeconfig for a process outside of the cluster: with the places of the
/// administrator's kubeconfig.
fn outside(admin: &str, token: &str) -> Result<String> {
    let admin: Value = serde_json::from_str(admin).context("the administrator's kubeconfig is not JSON")?;
    let cluster = &admin["clusters"][0]["cluster"];
    if cluster["server"].is_null() {
        bail!("the administrator's kubeconfig has no server");
    }
    let config = json!({ "apiVersion": "v1", "kind": "Config", "current-context": "pod",
        "contexts": [{ "name": "pod", "context": { "cluster": "pod", "user": "pod" } }],
        "clusters": [{ "name": "pod", "cluster": cluster }],
        "users": [{ "name": "pod", "user": { "tokenFile": token } }] });
    Ok(config.to_string())
}

/// A workload whose configuration changes all the time, outside of the example: its values are kept, ten at most.
struct Churn {
    stop: Sender<()>,
    thread: JoinHandle<Result<()>>,
}

impl Churn {
    fn start(kubectl: &Kubectl, cluster: &TestCluster) -> Result<Self> {
        let labels = json!({ "app": "rates" });
        let container = json!({ "name": "main", "image": "rates:1", "envFrom": [{ "configMapRef": { "name": "rates" } }] });
        let items = json!([
            { "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "rates" }, "data": { "EUR": "0" } },
            { "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "rates" }, "spec": {
                "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels }, "spec": { "containers": [container] } },
            } },
        ]);
        create(kubectl, cluster, "admin", &json!({ "apiVersion": "v1", "kind": "List", "items": items }))?;
        let (stop, stopped) = channel();
        let kubectl = kubectl.clone();
        let thread = std::thread::spawn(move || {
            for value in 1.. {
                let patch = json!({ "data": { "EUR": value.to_string() } }).to_string();
                kubectl.run(&["patch", "configmap", "rates", "--type=merge", "--patch", &patch])?;
                if stopped.recv_timeout(CHANGE) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
            Ok(())
        });
        Ok(Self { stop, thread })
    }

    fn stop(self) -> Result<()> {
        drop(self.stop);
        self.thread.join().unwrap_or_else(|_| bail!("the changes of a ConfigMap ended by a defect"))
    }
}

/// The outage of the demo, with the roles as processes of their own.
fn play(kubectl: &Kubectl, cluster: &TestCluster, roles: &Path) -> Result<()> {
    let binary = target().join("debug/causeway-e2e");
    let text = |path: &Path| path.display().to_string();
    let (root, report) = (text(&root()), text(&work(cluster, "report.html")?));
    let (kubeconfig, roles, summary) = (text(&kubectl.kubeconfig), text(roles), text(&summary_of_roles()));
    let mut arguments = vec!["demo", "--json", "--root", &root, "--report", &report];
    arguments.extend(["--kubeconfig", &kubeconfig, "--roles", &roles, "--summary", &summary]);
    arguments.push("--crash-points=executor,operator");
    let given = std::env::var("CAUSEWAY_BINARY").ok();
    arguments.extend(given.iter().flat_map(|binary| ["--causeway", binary.as_str()]));
    let title = "an outage, with the rights of the chart alone; who writes is killed at each of its writes";
    run_in(Path::new(&root), title, &text(&binary), &arguments, &[])
}

/// Creates objects as a user of the cluster's kubeconfig.
pub(super) fn create(kubectl: &Kubectl, cluster: &TestCluster, user: &str, objects: &Value) -> Result<()> {
    let file = work(cluster, "objects.json")?;
    std::fs::write(&file, objects.to_string())?;
    kubectl.run(&["create", "--context", user, "--filename", &file.display().to_string()]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_outside_has_the_place_of_the_cluster_and_its_own_token() {
        let cluster = json!({ "server": "https://127.0.0.1:1", "certificate-authority": "/pki/cert.pem" });
        let admin =
            json!({ "clusters": [{ "name": "c", "cluster": cluster }], "users": [{ "name": "admin" }] });
        let config: Value =
            serde_json::from_str(&outside(&admin.to_string(), "/work/token").unwrap()).unwrap();
        assert_eq!(config["clusters"][0]["cluster"], cluster);
        assert_eq!(config["users"], json!([{ "name": "pod", "user": { "tokenFile": "/work/token" } }]));
        assert!(outside("{}", "/work/token").is_err());
    }
}

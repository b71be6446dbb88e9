//! The real `kubectl`, when `$KUBECTL` or the PATH has one.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fixture::cluster;
use crate::transport::serve;

struct Kubectl {
    binary: PathBuf,
    config: PathBuf,
    folder: tempfile::TempDir,
    url: String,
    token: String,
}

impl Kubectl {
    fn binary() -> Option<PathBuf> {
        let named = std::env::var_os("KUBECTL").map(PathBuf::from);
        let path = std::env::var_os("PATH").unwrap_or_default();
        named.or_else(|| {
            std::env::split_paths(&path).map(|dir| dir.join("kubectl")).find(|file| file.is_file())
        })
    }

    /// Runs a command line, shows it, and returns whether it succeeded and what it printed.
    fn run(&self, line: &str, input: &str) -> (bool, String) {
        let file = self.folder.path().join("input.yaml");
        std::fs::write(&file, input).unwrap();
        let args = line.split(' ').map(|arg| if arg == "FILE" { file.to_str().unwrap() } else { arg });
        let output = Command::new(&self.binary)
            .args(args)
            .env("KUBECONFIG", &self.config)
            .env("HOME", self.folder.path())
            .output()
            .unwrap();
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        println!("$ kubectl {line}\n{text}");
        (output.status.success(), text)
    }

    fn good(&self, line: &str, input: &str, expected: &[&str]) -> String {
        let (success, text) = self.run(line, input);
        assert!(success, "kubectl {line}: {text}");
        for part in expected {
            assert!(text.contains(part), "kubectl {line} does not say {part:?}:\n{text}");
        }
        text
    }

    fn bad(&self, line: &str, input: &str, expected: &str) {
        let (success, text) = self.run(line, input);
        assert!(
            !success && text.contains(expected),
            "kubectl {line} does not fail with {expected:?}:\n{text}"
        );
    }
}

const BOAT: &str = "apiVersion: test.dev/v1
kind: Boat
metadata: {name: ann, labels: {team: red}}
spec: {hull: wood, crew: 4, cargo: [{id: tea, weight: 2}]}
";

const WEB: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: 'web:1', ports: [{containerPort: 80}], resources: {limits: {cpu: '1', memory: 64Mi}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: '1'}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
";

const KITE: &str = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: kites.test.dev}
spec:
  group: test.dev
  scope: Cluster
  names: {plural: kites, kind: Kite}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {color: {type: TYPE}}}}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_works() {
    let Some(binary) = Kubectl::binary() else {
        println!("skipped: there is no kubectl");
        return;
    };
    let served = serve(cluster()).await;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("kubeconfig");
    served.cluster.write_kubeconfig(Path::new(&config), &served.url).unwrap();
    let kubectl = Kubectl {
        binary,
        config,
        folder,
        url: served.url.clone(),
        token: served.cluster.token("admin").unwrap().to_owned(),
    };
    tokio::task::spawn_blocking(move || {
        looks_around(&kubectl);
        custom_resources(&kubectl);
        built_in_kinds(&kubectl);
        definitions(&kubectl);
        refusals(&kubectl);
    })
    .await
    .unwrap();
}

fn looks_around(kubectl: &Kubectl) {
    kubectl.good("version", "", &["Server Version: v1.33"]);
    kubectl.good("api-resources", "", &["boats", "test.dev/v1", "deployments", "horizontalpodautoscalers"]);
    kubectl.good("get crd", "", &["NAME", "CREATED AT", "boats.test.dev"]);
    kubectl.good("get ns", "", &["default", "Active", "kube-system"]);
    kubectl.good("auth whoami", "", &["admin", "system:authenticated"]);
    kubectl.good("auth can-i delete boats", "", &["yes"]);
    kubectl.good(
        "explain boat.status",
        "",
        &["KIND:", "Boat", "VERSION:", "v1", "conditions", "Where the boat is."],
    );
    kubectl.good("explain boat.spec.hull", "", &["Material of the hull."]);
    kubectl.good("explain deployment.spec.strategy", "", &["rollingUpdate"]);
}

fn custom_resources(kubectl: &Kubectl) {
    kubectl.good("apply -f FILE", BOAT, &["boat.test.dev/ann created"]);
    kubectl.good("apply -f FILE", BOAT, &["boat.test.dev/ann unchanged"]);
    kubectl.good("diff -f FILE", BOAT, &[]);
    kubectl.good("apply -f FILE", &BOAT.replace("crew: 4", "crew: 5"), &["boat.test.dev/ann configured"]);
    kubectl.good("get boats", "", &["NAME", "HULL", "CREW", "READY", "AGE", "ann", "wood"]);
    kubectl.good("get bt -o wide", "", &["PHASE"]);
    kubectl.good("get fleet -A", "", &["NAMESPACE", "default"]);
    kubectl.good("get boat ann -o jsonpath={.spec.crew}", "", &["5"]);
    kubectl.good("get boats --field-selector spec.hull=steel", "", &["No resources found"]);
    kubectl.good("get boats -l team=red -o name", "", &["boat.test.dev/ann"]);
    kubectl.good("patch boat ann --type merge -p {\"spec\":{\"crew\":6}}", "", &["patched"]);
    kubectl.good("scale boat ann --replicas 7", "", &["scaled"]);
    let status = "{\"status\":{\"phase\":\"Sea\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\",\"reason\":\"Afloat\"}]}}";
    kubectl.good(&format!("patch boat ann --subresource status --type merge -p {status}"), "", &["patched"]);
    kubectl.good("wait boat/ann --for=condition=Ready --timeout=5s", "", &["condition met"]);
    kubectl.good("get boats -w --output-watch-events --request-timeout=1s", "", &["ADDED", "ann"]);
    kubectl.good("describe boat ann", "", &["Name:", "Hull:", "Events:", "Afloat"]);
    kubectl.good(
        "apply --server-side --field-manager other -f FILE",
        "apiVersion: test.dev/v1
kind: Boat
metadata: {name: ann}
spec: {name: Ann}
",
        &["serverside-applied"],
    );
    kubectl.bad(
        "apply --server-side --field-manager other -f FILE",
        BOAT,
        "Apply failed with 1 conflict: conflict with \"kubectl",
    );
    kubectl.good("label boat ann color=blue", "", &["labeled"]);
    kubectl.good("annotate boat ann note=x", "", &["annotated"]);
    kubectl.good("delete boat ann", "", &["deleted"]);
    kubectl.bad("get boat ann", "", "Error from server (NotFound): boats.test.dev \"ann\" not found");
}

fn built_in_kinds(kubectl: &Kubectl) {
    kubectl.good(
        "apply -f FILE",
        WEB,
        &["deployment.apps/web created", "configmap/settings created", "service/web created"],
    );
    kubectl.good(
        "apply -f FILE",
        WEB,
        &["deployment.apps/web unchanged", "configmap/settings unchanged", "service/web unchanged"],
    );
    kubectl.good("apply -f FILE", &WEB.replace("web:1", "web:2"), &["deployment.apps/web configured"]);
    kubectl.good(
        "apply --dry-run=server -f FILE",
        &WEB.replace("web:1", "web:3"),
        &["configured (server dry run)"],
    );
    kubectl.good("get deploy web -o jsonpath={..image}", "", &["web:2"]);
    kubectl.good("scale deploy web --replicas 3", "", &["scaled"]);
    kubectl.good("set image deploy/web web=web:4", "", &["image updated"]);
    kubectl.good(
        "get deploy,svc,cm",
        "",
        &["deployment.apps/web", "0/3", "service/web", "configmap/settings"],
    );
    kubectl.good("get all", "", &["deployment.apps/web"]);
    kubectl.good(
        "describe deploy web",
        "",
        &["Image:", "web:4", "RollingUpdateStrategy:", "25% max unavailable"],
    );
    kubectl.good("describe cm settings", "", &["a:"]);
    kubectl.good("describe svc web", "", &["TargetPort"]);
    kubectl.good("describe ns default", "", &["Active"]);
    kubectl.good("rollout restart deploy/web", "", &["restarted"]);
    kubectl.good("create secret generic s --from-literal=k=v", "", &["secret/s created"]);
    kubectl.good("get secrets", "", &["Opaque", "1"]);
    kubectl.good("create cm more --from-literal=k=v", "", &["configmap/more created"]);
    kubectl.good("get cm more -o jsonpath={.data.k}", "", &["v"]);
    kubectl.bad("create deployment d --image=x", "", "with kubectl use -f FILE");
    kubectl.good("create ns other", "", &["namespace/other created"]);
    kubectl.good("create sa robot -n other", "", &["serviceaccount/robot created"]);
    kubectl.good("delete ns other", "", &["deleted"]);
    kubectl.good("delete -f FILE", WEB, &["deployment.apps \"web\" deleted"]);
}

/// A definition that comes and goes while the server runs.
fn definitions(kubectl: &Kubectl) {
    let kite = KITE.replace("TYPE", "string");
    kubectl.good(
        "apply -f FILE",
        &kite,
        &["customresourcedefinition.apiextensions.k8s.io/kites.test.dev created"],
    );
    kubectl.good("apply -f FILE", &kite, &["unchanged"]);
    kubectl.good("wait crd/kites.test.dev --for=condition=Established --timeout=5s", "", &["condition met"]);
    let red = "{apiVersion: sky.test.dev/v1, kind: Kite, metadata: {name: red}, color: red}";
    let red = red.replace("sky.test.dev", "test.dev");
    kubectl.good("apply -f FILE", &red, &["kite.test.dev/red created"]);
    kubectl.good("get kites", "", &["NAME", "AGE", "red"]);
    kubectl.good("apply -f FILE", &KITE.replace("TYPE", "integer"), &["configured"]);
    kubectl.bad("patch kite red --type merge -p {\"color\":\"blue\"}", "", "must be of type integer");
    kubectl.good("describe crd kites.test.dev", "", &["Established", "kites"]);
    kubectl.good("delete crd kites.test.dev", "", &["deleted"]);
    kubectl.bad("get kites", "", "the server could not find the requested resource");
}

fn refusals(kubectl: &Kubectl) {
    kubectl.bad(
        "apply -f FILE",
        &BOAT.replace("wood", "paper"),
        "Unsupported value: \"paper\": supported values: \"wood\", \"steel\"",
    );
    kubectl.bad("apply -f FILE", &BOAT.replace("crew", "crow"), "unknown field \"spec.crow\"");
    kubectl.bad("apply -f FILE", &BOAT.replace("crew: 4", "crew: 4, sails: 9"), "every sail needs a hand");
    kubectl.bad("get cronjobs", "", "the server doesn't have a resource type \"cronjobs\"");
    kubectl.bad(&format!("--server {} get boats", kubectl.url), "", "You must be logged in to the server");
    kubectl.good(
        &format!("--server {}/token/{} get boats", kubectl.url, kubectl.token),
        "",
        &["No resources found"],
    );
    kubectl.good("run p --image=x", "", &["pod/p created"]);
    kubectl.bad("logs p", "", "pods/log is not part of this local API server");
    kubectl.good("delete pod p", "", &["deleted"]);
}

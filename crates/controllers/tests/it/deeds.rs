//! Every action on something to act on, as objects for any API server: what is there before, the Runbook, the Incident that
//! asks for it, what people and other controllers do meanwhile, and how often something may be changed.

use causeway_causal::ranking::CauseClass;
use causeway_crds::{Approval, Phase, Remediation};
use causeway_engine::Incident;
use jiff::Timestamp;
use kube::api::{
    Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};

use crate::flag_server::{FlagServer, TOKEN};
use crate::git_server::{PASSWORD, Repository, Server, USER};
use crate::hook::Hook;
use crate::world::incident;

/// Namespace of nodes' repairs.
pub(crate) const NODES: &str = "causeway-nodes";
/// A flag that is on.
pub(crate) const FLAGS: &str =
    r#"{"flags":{"new-cart":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"on"}}}"#;

/// What the action is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    Deployment,
    ConfigMap,
    Node,
}

/// How it ends when the symptom stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Everything is as it was before.
    TakenBack,
    /// There is nothing to take back.
    Stays,
    /// After a crash nobody can tell whether it was made: a person has to look.
    AskPeople,
}

/// One action.
pub(crate) struct Deed {
    /// Of the Runbook, the policy and the end of the namespace.
    pub(crate) name: &'static str,
    on: On,
    steps: Value,
    /// Objects besides the Deployment `web`.
    more: Vec<Value>,
    /// A merge patch of the Deployment before it is made.
    web: Value,
    /// Merge patches once the controllers watch: what came before the incident. Kind, name, patch.
    then: Vec<(&'static str, &'static str, Value)>,
    /// Changes by the fixer, there and back.
    pub(crate) changes: usize,
    pub(crate) end: End,
    mode: Option<&'static str>,
    hook: Option<Hook>,
    git: Option<(Server, Repository)>,
    flags: Option<FlagServer>,
}

impl Deed {
    fn new(name: &'static str, on: On, steps: Value, changes: usize) -> Self {
        Self {
            name,
            on,
            steps,
            more: Vec::new(),
            web: json!({}),
            then: Vec::new(),
            changes,
            end: End::TakenBack,
            mode: None,
            hook: None,
            git: None,
            flags: None,
        }
    }

    fn ends(self, end: End) -> Self {
        Self { end, ..self }
    }

    fn with(mut self, object: Value) -> Self {
        self.more.push(object);
        self
    }

    fn then(mut self, kind: &'static str, name: &'static str, patch: Value) -> Self {
        self.then.push((kind, name, patch));
        self
    }

    /// Where its workload and its Incident are.
    pub(crate) fn namespace(&self) -> String {
        format!("act-{}", self.name)
    }

    /// Where its Remediation is.
    pub(crate) fn place(&self) -> String {
        if self.on == On::Node { NODES.to_owned() } else { self.namespace() }
    }

    /// Two Runbooks for nodes are told apart by it.
    fn cause(&self) -> (CauseClass, &'static str) {
        match self.name {
            "cordon" => (CauseClass::NodePressure, "NodePressure"),
            _ => (CauseClass::FaultyInstance, "FaultyInstance"),
        }
    }

    fn node(&self) -> String {
        format!("node-{}", self.name)
    }

    /// The incident that asks for it.
    pub(crate) fn incident(&self, at: Timestamp) -> Incident {
        let (namespace, gateway) = (self.namespace(), format!("{}/gateway", self.namespace()));
        let cause = match self.on {
            On::Deployment => format!("{namespace}/web"),
            On::ConfigMap => format!("ConfigMap/{namespace}/settings"),
            On::Node => format!("Node/{}", self.node()),
        };
        let mut news = incident(at);
        news.fingerprint =
            causeway_actions::sha256_hex(namespace.as_bytes())["sha256:".len()..][..12].to_owned();
        news.namespace = namespace.clone();
        news.service = gateway.clone();
        news.root = cause.clone();
        for finding in news.symptoms.values_mut() {
            finding.namespace = namespace.as_str().into();
            finding.series.entity = gateway.as_str().into();
        }
        let draft = news.draft.as_mut().unwrap();
        draft.signature = news.fingerprint.clone();
        draft.opened_for = gateway;
        draft.cause.entity = cause;
        (draft.cause.kind, _) = self.cause();
        news
    }

    /// Name of its Remediation.
    pub(crate) fn run(&self, at: Timestamp) -> String {
        format!("gateway-{}-1", &self.incident(at).fingerprint[..6])
    }

    /// How often something outside of the cluster was changed: calls, documents that were taken, or commits.
    pub(crate) fn elsewhere(&self) -> Option<usize> {
        let calls = self.hook.as_ref().map(|hook| hook.calls().len());
        let calls = calls.or_else(|| self.flags.as_ref().map(FlagServer::taken));
        // The first commit is the repository's own.
        calls.or_else(|| self.git.as_ref().map(|(_, repository)| repository.log("main").len() - 1))
    }

    fn objects(&self) -> Vec<Value> {
        let container = json!({"name": "main", "image": "shop/web:1",
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "200m", "memory": "128Mi"}},
            "envFrom": [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "key-1"}}]});
        let labels = json!({"app": "web"});
        let mut web = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
            "replicas": 4, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}}});
        json_patch::merge(&mut web, &self.web);
        let kinds = match self.on {
            On::Deployment => json!({"group": "apps", "kind": "Deployment"}),
            On::ConfigMap => json!({"group": "", "kind": "ConfigMap"}),
            On::Node => json!({"group": "", "kind": "Node"}),
        };
        let mut all = vec![
            web,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"RATE": "0.21"}}),
        ];
        all.extend(self.more.iter().cloned());
        let can_return = !matches!(self.name, "call-webhook" | "run-job");
        let (rollback, risk) = if can_return { ("Inverse", "Low") } else { ("None", "High") };
        let (_, cause) = self.cause();
        all.push(
            json!({"apiVersion": "causeway.dev/v1alpha1", "kind": "Runbook", "metadata": {"name": self.name}, "spec": {
            "summary": self.name, "appliesTo": {"causes": [cause], "targets": [kinds]},
            "steps": self.steps, "verify": {"within": "5m", "hold": "2m"}, "rollback": rollback, "risk": risk}}),
        );
        let mut policy =
            json!({"runbooks": [{"name": self.name}], "autonomy": "Auto", "limits": {"cooldown": "1m"}});
        if let Some((_, repository)) = &self.git {
            policy["gitOps"] = json!({"url": repository.url, "branch": "main", "path": "apps", "mode": self.mode,
                "secretRef": {"name": "git"}, "within": "10m"});
        }
        all.push(
            json!({"apiVersion": "causeway.dev/v1alpha1", "kind": "RemediationPolicy", "metadata": {"name": self.name}, "spec": policy}),
        );
        all
    }

    /// Makes everything; the namespaces and the fixer are there.
    pub(crate) async fn prepare(&self, client: &Client) {
        for mut object in self.objects() {
            let own = matches!(object["kind"].as_str(), Some("Runbook" | "RemediationPolicy"));
            let place = if own { self.place() } else { self.namespace() };
            let (version, kind) = (text(&object, "/apiVersion"), text(&object, "/kind"));
            if kind == "Node" {
                object["metadata"]["name"] = json!(self.node());
            }
            let api = api(client, &version, &kind, &place);
            let made = api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await;
            made.unwrap_or_else(|error| panic!("{}: {kind}: {error}", self.name));
        }
        if self.git.is_some() {
            self.declare(client, 4).await;
        }
    }

    /// What came before the incident. `is_played`: nobody else makes ReplicaSets and pods.
    pub(crate) async fn happen(&self, client: &Client, is_played: bool) {
        let namespace = self.namespace();
        let deployments = api(client, "apps/v1", "Deployment", &namespace);
        let revision = async |number: i64| {
            let web = deployments.get("web").await.unwrap();
            if is_played {
                replica_set(client, &namespace, &web, number).await;
            }
            let sets = api(client, "apps/v1", "ReplicaSet", &namespace);
            until(&format!("{}: revision {number}", self.name), async || {
                let sets = sets.list(&ListParams::default()).await.unwrap();
                let annotation = "deployment.kubernetes.io/revision";
                sets.iter().any(|set| set.annotations().get(annotation) == Some(&number.to_string()))
            })
            .await;
        };
        let needs_history = self.then.iter().any(|(kind, ..)| *kind == "Deployment");
        if needs_history {
            revision(1).await;
        }
        for (kind, name, patch) in &self.then {
            let version = if *kind == "Deployment" { "apps/v1" } else { "v1" };
            let api = api(client, version, kind, &namespace);
            api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
        }
        if needs_history {
            revision(2).await;
        }
        if self.then.iter().any(|(kind, ..)| *kind == "ConfigMap") {
            let revisions = api(client, "apps/v1", "ControllerRevision", &namespace);
            until(&format!("{}: old values are kept", self.name), async || {
                revisions.list(&ListParams::default()).await.unwrap().items.len() >= 2
            })
            .await;
        }
        let acts_on_pods = self.name.ends_with("-pod");
        if acts_on_pods && is_played {
            let uid = deployments.get("web").await.unwrap().uid();
            let pod = json!({"metadata": {"name": "web-a", "labels": {"app": "web"}, "ownerReferences": [{"apiVersion": "apps/v1",
                "kind": "Deployment", "name": "web", "uid": uid, "controller": true}]},
                "spec": {"containers": [{"name": "main", "image": "shop/web:1"}]}});
            let pods = api(client, "v1", "Pod", &namespace);
            pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
        }
        if acts_on_pods && !is_played {
            // All of them have come up, and one of them is not well.
            let pods = api(client, "v1", "Pod", &namespace);
            let ready = |pod: &DynamicObject| causeway_actions::registry::evict_pod::is_ready(&pod.data);
            until(&format!("{}: pods", self.name), async || {
                let pods = pods.list(&ListParams::default()).await.unwrap();
                pods.items.len() == 4 && pods.iter().all(ready)
            })
            .await;
            let one = pods.list(&ListParams::default()).await.unwrap().items.remove(0).name_any();
            let unwell =
                json!({"status": {"conditions": [{"type": "Ready", "status": "False", "reason": "Unwell"}]}});
            pods.patch_status(&one, &PatchParams::default(), &Patch::Strategic(unwell)).await.unwrap();
        }
    }

    /// What people and other controllers do while it goes on: the Approval that it waits for, and what Flux applies.
    pub(crate) async fn play(&self, client: &Client, run: &Remediation) {
        let status = run.status.clone().unwrap_or_default();
        if status.phase == Phase::AwaitingApproval
            && let Some(shown) = status.dry_run
        {
            let approvals: Api<Approval> = Api::namespaced(client.clone(), &self.place());
            if approvals.get_opt(self.name).await.unwrap().is_none() {
                let approval = json!({"apiVersion": "causeway.dev/v1alpha1", "kind": "Approval", "metadata": {"name": self.name}, "spec": {
                    "remediationRef": {"name": run.name_any(), "planDigest": run.spec.plan_digest}, "decision": "Approve",
                    "approver": "admin", "dryRunDigest": shown.digest}});
                let approval = serde_json::from_value(approval).unwrap();
                approvals.create(&PostParams::default(), &approval).await.unwrap();
            }
        }
        let Some((_, repository)) = &self.git else { return };
        let appliers = api(client, "kustomize.toolkit.fluxcd.io/v1", "Kustomization", &self.namespace());
        let applier = appliers.get_opt("apps").await.ok().flatten();
        if applier.is_some_and(|applier| applier.data["spec"]["suspend"] == true) {
            return;
        }
        let declared = repository.read("main", "apps/web.yaml");
        let declared = declared.lines().find_map(|line| line.trim().strip_prefix("replicas: "));
        let declared = declared.and_then(|text| text.split(' ').next()).unwrap().parse().unwrap();
        let web = api(client, "apps/v1", "Deployment", &self.namespace()).get("web").await.unwrap();
        if web.data["spec"]["replicas"] != declared {
            self.declare(client, declared).await;
        }
    }

    /// Applies what Git declares, as Flux does.
    async fn declare(&self, client: &Client, replicas: i64) {
        let namespace = self.namespace();
        let labels = json!({"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": namespace});
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": labels},
            "spec": {"replicas": replicas}});
        let params = PatchParams::apply("kustomize-controller").force();
        let deployments = api(client, "apps/v1", "Deployment", &namespace);
        deployments.patch("web", &params, &Patch::Apply(object)).await.unwrap();
    }

    /// What of the cluster must be the same at the end.
    pub(crate) async fn state(&self, client: &Client) -> Value {
        let namespace = self.namespace();
        let mut all = Vec::new();
        for (version, kind, name) in [
            ("apps/v1", "Deployment", "web"),
            ("v1", "ConfigMap", "settings"),
            ("v1", "ConfigMap", "flags"),
            ("autoscaling/v2", "HorizontalPodAutoscaler", "web"),
            ("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "apps"),
            ("v1", "Node", &self.node()),
        ] {
            let found = api(client, version, kind, &namespace).get_opt(name).await.ok().flatten();
            // A control plane that finds no kubelet taints the node.
            all.extend(found.map(|object| match kind {
                "Node" => json!([kind, object.data["spec"]["unschedulable"]]),
                _ => json!([kind, object.data["spec"], object.data["data"]]),
            }));
        }
        Value::from(all)
    }
}

/// Waits for what others do.
pub(crate) async fn until(what: &str, mut good: impl AsyncFnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !good().await {
        assert!(begun.elapsed() < std::time::Duration::from_secs(180), "{what}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap().to_owned()
}

/// Objects of a kind in a namespace.
pub(crate) fn api(client: &Client, version: &str, kind: &str, namespace: &str) -> Api<DynamicObject> {
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let plural = match kind {
        "RemediationPolicy" => "remediationpolicies".to_owned(),
        kind => format!("{}s", kind.to_lowercase()),
    };
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), &plural);
    match kind {
        "Node" | "CustomResourceDefinition" => Api::all_with(client.clone(), &resource),
        _ => Api::namespaced_with(client.clone(), namespace, &resource),
    }
}

/// What the controller of Deployments would make of the template of now.
async fn replica_set(client: &Client, namespace: &str, web: &DynamicObject, number: i64) {
    let object = json!({"metadata": {"name": format!("web-{number}"), "annotations": {"deployment.kubernetes.io/revision": number.to_string()},
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": web.uid(), "controller": true}]},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": web.data["spec"]["template"]}});
    let sets = api(client, "apps/v1", "ReplicaSet", namespace);
    sets.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
}

fn secret(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data})
}

/// A node on which nobody puts what does not ask for it.
fn node() -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "set later"},
        "spec": {"taints": [{"key": "example.com/deeds", "effect": "NoSchedule"}]}})
}

/// A release after the first, with another image and another Secret.
fn second_release() -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "shop/web:2",
        "envFrom": [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "key-2"}}]}]}}}})
}

/// A repository that declares four replicas of `web`.
async fn repository(namespace: &str) -> (Server, Repository) {
    let server = Server::start().await;
    let web = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web, namespace: {namespace}}}\nspec:\n  replicas: 4 # per zone\n"
    );
    let repository = server.repository(&[("apps/web.yaml", &web)]);
    (server, repository)
}

/// Every action there is, flags at a server too, and the two ways through Git.
pub(crate) async fn all() -> Vec<Deed> {
    let one = |action: &str, member: &str, parameters: Value| json!([{"name": "do", "type": action, member: parameters}]);
    let scale = || one("Scale", "scale", json!({"factor": "2", "min": 1, "max": 20}));
    let login = || secret("git", json!({"username": USER, "password": PASSWORD}));
    let hook = Hook::start().await;
    let mut through_git = Deed::new("git-change", On::Deployment, scale(), 0).with(login());
    through_git.git = Some(repository(&through_git.namespace()).await);
    through_git.mode = Some("Commit");
    let applier = json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": {"name": "apps"},
        "spec": {"path": "./apps", "interval": "10m", "prune": true, "sourceRef": {"kind": "GitRepository", "name": "apps"}}});
    let mut suspended = Deed::new("git-suspend", On::Deployment, scale(), 6).with(login()).with(applier);
    suspended.git = Some(repository(&suspended.namespace()).await);
    suspended.mode = Some("SuspendPatchResume");
    let mut call = Deed::new(
        "call-webhook",
        On::Deployment,
        one("CallWebhook", "callWebhook", json!({"urlSecretRef": {"name": "hook", "key": "url"}})),
        0,
    )
    .with(secret("hook", json!({"url": hook.url()})))
    .ends(End::AskPeople);
    call.hook = Some(hook);
    let mut resume =
        Deed::new("resume-rollout", On::Deployment, one("ResumeRollout", "resumeRollout", json!({})), 2);
    resume.web = json!({"spec": {"paused": true}});
    let server = FlagServer::start(FLAGS).await;
    let mut flag_at_server = Deed::new(
        "flag-at-server",
        On::Deployment,
        one(
            "SetFeatureFlag",
            "setFeatureFlag",
            json!({"flag": "new-cart", "variant": "off", "http": {"urlSecretRef": {"name": "flags", "key": "url"},
                "tokenSecretRef": {"name": "flags", "key": "token"}, "from": "on"}}),
        ),
        0,
    )
    .with(secret("flags", json!({"url": server.url, "token": TOKEN})));
    flag_at_server.flags = Some(server);
    let autoscaler = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"}, "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "minReplicas": 2, "maxReplicas": 6}});
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "vacuum", "annotations": {"causeway.dev/runbook-job": "true"}},
        "spec": {"suspend": true, "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "shop/vacuum:1"}]}}}});
    let flags = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "flags"}, "data": {"flagd.json": FLAGS}});
    let on_node = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "moves"}, "spec": {
        "nodeName": "node-drain", "terminationGracePeriodSeconds": 0, "containers": [{"name": "main", "image": "shop/web:1"}]}});
    vec![
        Deed::new("scale", On::Deployment, scale(), 2),
        Deed::new("rollout-restart", On::Deployment, one("RolloutRestart", "rolloutRestart", json!({})), 1)
            .ends(End::Stays),
        Deed::new("rollout-undo", On::Deployment, one("RolloutUndo", "rolloutUndo", json!({})), 2).then(
            "Deployment",
            "web",
            second_release(),
        ),
        Deed::new(
            "revert-config-map",
            On::ConfigMap,
            one("RevertConfigMap", "revertConfigMap", json!({})),
            4,
        )
        .then("ConfigMap", "settings", json!({"data": {"RATE": "2.1"}})),
        Deed::new(
            "set-hpa-bounds",
            On::Deployment,
            one("SetHPABounds", "setHPABounds", json!({"maxReplicas": 9, "cap": 20})),
            2,
        )
        .with(autoscaler),
        call,
        Deed::new("pause-rollout", On::Deployment, one("PauseRollout", "pauseRollout", json!({})), 2),
        resume,
        Deed::new(
            "patch-resources",
            On::Deployment,
            one("PatchResources", "patchResources", json!({"memoryFactor": "1.5", "maxMemory": "1Gi"})),
            2,
        ),
        Deed::new(
            "revert-secret-reference",
            On::Deployment,
            one("RevertSecretReference", "revertSecretReference", json!({})),
            2,
        )
        .then("Deployment", "web", second_release()),
        Deed::new("delete-pod", On::Deployment, one("DeletePod", "deletePod", json!({})), 1).ends(End::Stays),
        Deed::new("evict-pod", On::Deployment, one("EvictPod", "evictPod", json!({})), 1).ends(End::Stays),
        Deed::new("cordon", On::Node, one("Cordon", "cordon", json!({})), 2).with(node()),
        Deed::new("drain", On::Node, one("Drain", "drain", json!({"maxPods": 10})), 3)
            .with(node())
            .with(on_node),
        Deed::new("run-job", On::Deployment, one("RunJob", "runJob", json!({"template": "vacuum"})), 1)
            .with(job)
            .ends(End::Stays),
        Deed::new(
            "set-feature-flag",
            On::Deployment,
            one(
                "SetFeatureFlag",
                "setFeatureFlag",
                json!({"configMap": "flags", "flag": "new-cart", "variant": "off"}),
            ),
            2,
        )
        .with(flags),
        Deed::new(
            "wait",
            On::Deployment,
            json!([{"name": "pause", "type": "PauseRollout", "pauseRollout": {}}, {"name": "rest", "type": "Wait", "wait": {"seconds": 1}}]),
            2,
        ),
        flag_at_server,
        through_git,
        suspended,
    ]
}

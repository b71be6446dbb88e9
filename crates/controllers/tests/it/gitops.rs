//! Repairs of what Git declares, with a real Git server; the test plays Flux.

use causeway_crds::{Incident, Outcome, Phase, Remediation, RemediationPolicy};
use causeway_engine::SymptomState;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::git_server::{PASSWORD, Repository, Server, USER};
use crate::world::{SHOP, World, incident};

const INCIDENT: &str = "gateway-3fa9c1";
const RUN: &str = "gateway-3fa9c1-1";
const WEB: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 4 # per zone\n  paused: false\n";

/// A shop whose Deployment `web` comes from the server's repository, and a runbook that doubles its replicas.
struct Shop {
    world: World,
    server: Server,
    repository: Repository,
}

impl Shop {
    async fn new(git_ops: impl Fn(&mut Value)) -> Self {
        let server = Server::start().await;
        let repository = server.repository(&[("apps/shop/web.yaml", WEB)]);
        let world = World::shop("Auto").await;
        apply(&world, 4).await;
        world.create::<Secret>(json!({"metadata": {"name": "git"}, "stringData": {}, "data": {}})).await;
        let data = json!({"username": encoded(USER), "password": encoded(PASSWORD)});
        world.patch::<Secret>("git", json!({"data": data})).await;
        let step = json!([{"name": "grow", "type": "Scale", "scale": {"factor": "2", "min": 1, "max": 20}}]);
        world.runbook("grow", step).await;
        let mut rule = json!({"url": repository.url, "branch": "main", "path": "apps/shop", "mode": "Commit",
            "secretRef": {"name": "git"}, "within": "10m"});
        git_ops(&mut rule);
        let spec = json!({"spec": {"runbooks": [{"name": "grow"}], "gitOps": rule}});
        world.patch::<RemediationPolicy>("policy", spec).await;
        Self { world, server, repository }
    }

    async fn begin(&mut self) {
        self.world.start();
        self.world.settle().await;
        self.world.publish(incident(self.world.now())).await;
    }

    async fn run(&self) -> causeway_crds::RemediationStatus {
        self.world.get::<Remediation>(RUN).await.status.unwrap_or_default()
    }

    /// Flux applies what is on main.
    async fn flux(&self) {
        let text = self.repository.read("main", "apps/shop/web.yaml");
        let line = text.lines().find(|line| line.contains("replicas:")).unwrap();
        let replicas: i32 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        apply(&self.world, replicas).await;
        self.world.pass(10).await;
    }

    async fn replicas(&self) -> i32 {
        self.world.get::<Deployment>("web").await.spec.unwrap().replicas.unwrap()
    }
}

/// What Flux keeps of the Deployment: its marks and the replicas.
async fn apply(world: &World, replicas: i32) {
    let labels =
        json!({"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": SHOP});
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": labels},
        "spec": {"replicas": replicas}});
    let params = PatchParams::apply("kustomize-controller").force();
    world.api::<Deployment>().patch("web", &params, &Patch::Apply(object)).await.unwrap();
}

fn encoded(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[tokio::test]
async fn a_scale_goes_through_git_and_is_verified_once_it_arrives() {
    let mut shop = Shop::new(|_| ()).await;
    shop.begin().await;
    let object: Remediation = shop.world.get(RUN).await;
    assert_eq!(object.spec.summary, "Scale Deployment/shop/web from 4 to 8 replicas, through Git");
    let status = object.status.unwrap();
    assert_eq!(status.phase, Phase::Applying, "{:?}", status.message);
    assert!(
        status.message.as_deref().unwrap().contains("waits until Deployment/shop/web shows the new values")
    );
    let shown = status.dry_run.unwrap().diff;
    assert!(
        shown.contains("apps/shop/web.yaml\n-  replicas: 4 # per zone\n+  replicas: 8 # per zone\n"),
        "{shown}"
    );
    let committed = shop.repository.head("main");
    assert!(status.results[0].message.as_deref().unwrap().ends_with(&committed));
    let message = &shop.repository.log("main")[0];
    assert!(message.contains("Causeway-Remediation: shop/gateway-3fa9c1-1"), "{message}");
    assert_eq!(shop.replicas().await, 4, "nothing is changed by hand");
    // Processes that die while it is under way find the commit.
    shop.world.crash().await;
    shop.world.start();
    shop.world.settle().await;
    shop.world.pass(30).await;
    assert_eq!(shop.repository.head("main"), committed);
    assert_eq!(shop.run().await.phase, Phase::Applying);
    shop.flux().await;
    assert_eq!(shop.run().await.phase, Phase::Verifying, "{:?}", shop.run().await.message);
    shop.world.symptom(SymptomState::Clear).await;
    shop.world.pass(130).await;
    assert_eq!(shop.run().await.outcome, Some(Outcome::Verified));
    assert_eq!((shop.replicas().await, shop.repository.head("main")), (8, committed));
}

#[tokio::test]
async fn a_crash_between_push_and_result_commits_once() {
    let mut shop = Shop::new(|_| ()).await;
    shop.world.start();
    shop.world.settle().await;
    let news = incident(shop.world.now());
    // The process dies the moment the commit is there: nothing of it stands in the status yet.
    tokio::select! {
        () = shop.world.publish(news.clone()) => {}
        () = async { while shop.repository.log("main").len() < 2 { tokio::task::yield_now().await } } => {}
    }
    shop.world.crash().await;
    shop.world.start();
    shop.world.settle().await;
    shop.world.publish(news).await;
    shop.world.pass(30).await;
    assert_eq!(shop.repository.log("main").len(), 2);
    shop.flux().await;
    assert_eq!(shop.run().await.phase, Phase::Verifying, "{:?}", shop.run().await.message);
}

#[tokio::test]
async fn what_did_not_help_is_reverted_in_git() {
    let mut shop = Shop::new(|_| ()).await;
    shop.begin().await;
    shop.flux().await;
    shop.world.pass(330).await;
    shop.flux().await;
    let status = shop.run().await;
    assert_eq!(status.phase, Phase::RolledBack, "{:?}", status.message);
    assert_eq!(shop.repository.read("main", "apps/shop/web.yaml"), WEB);
    assert!(shop.repository.log("main")[0].starts_with("Revert /spec/replicas of Deployment/shop/web"));
    assert_eq!(shop.replicas().await, 4);
}

#[tokio::test]
async fn what_never_arrives_is_reverted() {
    let mut shop = Shop::new(|_| ()).await;
    shop.begin().await;
    shop.world.pass(620).await;
    let status = shop.run().await;
    assert_eq!(status.phase, Phase::RolledBack, "{:?}", status.message);
    assert_eq!(shop.repository.read("main", "apps/shop/web.yaml"), WEB);
    assert_eq!(shop.replicas().await, 4);
}

#[tokio::test]
async fn a_pull_request_waits_for_people() {
    let mut shop = Shop::new(|rule| {
        rule["mode"] = json!("PullRequest");
        rule["provider"] = json!("Gitea");
    })
    .await;
    shop.begin().await;
    let status = shop.run().await;
    assert_eq!(status.phase, Phase::Applying, "{:?}", status.message);
    assert_eq!(
        status.results[0].message.as_deref(),
        Some("proposed in https://git.example.com/shop/apps/pulls/7")
    );
    assert_eq!(shop.repository.log("main").len(), 1);
    shop.world.pass(60).await;
    shop.repository.merge("causeway/shop/gateway-3fa9c1-1");
    shop.flux().await;
    assert_eq!(shop.run().await.phase, Phase::Verifying);
    assert_eq!(shop.server.state(), Some("open"));
}

#[tokio::test]
async fn nobody_merges_and_it_is_withdrawn() {
    let mut shop = Shop::new(|rule| {
        rule["mode"] = json!("PullRequest");
        rule["provider"] = json!("Gitea");
    })
    .await;
    shop.begin().await;
    shop.world.pass(620).await;
    assert_eq!(shop.run().await.phase, Phase::RolledBack, "{:?}", shop.run().await.message);
    assert_eq!(shop.server.state(), Some("closed"));
    assert_eq!(shop.repository.log("main").len(), 1);
}

#[tokio::test]
async fn what_git_does_not_show_is_refused_before_anything_is_changed() {
    let mut shop = Shop::new(|rule| rule["path"] = json!("apps/other")).await;
    shop.begin().await;
    let status = shop.run().await;
    assert_eq!((status.phase, status.reason.as_deref()), (Phase::Refused, Some("DryRunRefused")));
    assert!(
        status.message.as_deref().unwrap().ends_with("nothing in apps/other declares Deployment/shop/web")
    );
    let mut shop = Shop::new(|rule| rule["secretRef"] = json!({"name": "none"})).await;
    shop.begin().await;
    let status = shop.run().await;
    assert!(
        status.message.as_deref().unwrap().contains("Secret shop/none is not there (spec.gitOps.secretRef)")
    );
    assert_eq!(shop.repository.log("main").len(), 1);
}

#[tokio::test]
async fn without_a_repository_it_is_left() {
    let mut shop = Shop::new(|_| ()).await;
    shop.world.patch::<RemediationPolicy>("policy", json!({"spec": {"gitOps": null}})).await;
    shop.begin().await;
    assert!(shop.world.list::<Remediation>().await.is_empty());
    let status = shop.world.get::<Incident>(INCIDENT).await.status.unwrap();
    let told = serde_json::to_string(&status.conditions).unwrap();
    assert!(told.contains("GitOwned") && told.contains("spec.gitOps"), "{told}");
}

fn kustomizations(world: &World) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk("kustomize.toolkit.fluxcd.io", "v1", "Kustomization");
    Api::namespaced_with(
        world.client.clone(),
        SHOP,
        &ApiResource::from_gvk_with_plural(&gvk, "kustomizations"),
    )
}

#[tokio::test]
async fn suspended_patched_committed_and_resumed() {
    for provider in [None, Some("Gitea")] {
        let mut shop = Shop::new(|rule| {
            rule["mode"] = json!("SuspendPatchResume");
            rule["provider"] = json!(provider);
        })
        .await;
        let object = json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": {"name": "apps"}, "spec": {"path": "apps/shop"}});
        let api = kustomizations(&shop.world);
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
        let suspended = async || api.get("apps").await.unwrap().data["spec"]["suspend"].as_bool();
        shop.begin().await;
        assert_eq!(shop.replicas().await, 8, "{:?}", shop.run().await.message);
        if provider.is_some() {
            // As long as nobody has merged, Flux must not put the old value back.
            assert_eq!((shop.run().await.phase, suspended().await), (Phase::Applying, Some(true)));
            shop.repository.merge("causeway/shop/gateway-3fa9c1-1");
            shop.world.pass(10).await;
        }
        let status = shop.run().await;
        assert_eq!(status.phase, Phase::Verifying, "{provider:?} {:?}", status.message);
        assert_eq!(suspended().await, None, "{provider:?}");
        assert!(shop.repository.read("main", "apps/shop/web.yaml").contains("replicas: 8 # per zone"));
        // It did not help: live, Git and Flux are as they were.
        shop.world.pass(330).await;
        if provider.is_some() {
            assert_eq!((shop.replicas().await, suspended().await), (4, Some(true)));
            shop.repository.merge("causeway/shop/gateway-3fa9c1-1-revert");
            shop.world.pass(10).await;
        }
        assert_eq!(shop.run().await.phase, Phase::RolledBack, "{:?}", shop.run().await.message);
        assert_eq!(shop.repository.read("main", "apps/shop/web.yaml"), WEB);
        assert_eq!((shop.replicas().await, suspended().await), (4, None), "{provider:?}");
    }
}

//! Repairs of what Git declares, with a real Git server; the test plays Flux.

use causeway_crds::{Approval, Incident, Outcome, Phase, Remediation, RemediationPolicy};
use causeway_engine::SymptomState;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::git_server::{PASSWORD, Repository, Server, USER, git};
use crate::world::{SHOP, World, incident};

const INCIDENT: &str = "gateway-3fa9c1";
const RUN: &str = "gateway-3fa9c1-1";
pub(crate) const WEB: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 4 # per zone\n  paused: false\n";
pub(crate) const RELEASE: &str = "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata:\n  name: apps\nspec:\n  values:\n    replicaCount: 4 # per zone\n    image: {tag: \"1\"}\n";

/// What applies the Deployment `web`: who it is in managedFields, its marks, and what Git has.
#[derive(Clone)]
pub(crate) struct Applied {
    pub(crate) manager: &'static str,
    pub(crate) marks: Value,
    pub(crate) file: &'static str,
}

impl Applied {
    /// By a Kustomization `apps`.
    pub(crate) fn by_kustomization(namespace: &str) -> Self {
        let labels = json!({"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": namespace});
        Self { manager: "kustomize-controller", marks: json!({"labels": labels}), file: WEB }
    }

    /// By a HelmRelease `apps`.
    pub(crate) fn by_release(namespace: &str) -> Self {
        let labels =
            json!({"helm.toolkit.fluxcd.io/name": "apps", "helm.toolkit.fluxcd.io/namespace": namespace});
        Self { manager: "helm-controller", marks: json!({"labels": labels}), file: RELEASE }
    }

    /// By an Application `apps` in the namespace of Argo CD.
    pub(crate) fn by_application() -> Self {
        let marks =
            json!({"annotations": {"argocd.argoproj.io/tracking-id": "apps:apps/Deployment:shop/web"}});
        Self { manager: "argocd-controller", marks, file: WEB }
    }

    async fn apply(&self, world: &World, replicas: i32) {
        let mut object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": self.marks,
            "spec": {"replicas": replicas}});
        object["metadata"]["name"] = json!("web");
        let params = PatchParams::apply(self.manager).force();
        world.api::<Deployment>().patch("web", &params, &Patch::Apply(object)).await.unwrap();
    }
}

/// A shop whose Deployment `web` comes from the server's repository, and a runbook that doubles its replicas.
pub(crate) struct Shop {
    pub(crate) world: World,
    pub(crate) server: Server,
    pub(crate) repository: Repository,
    applied: Applied,
}

impl Shop {
    async fn new(git_ops: impl Fn(&mut Value)) -> Self {
        Self::applied(Applied::by_kustomization(SHOP), git_ops).await
    }

    pub(crate) async fn applied(applied: Applied, git_ops: impl Fn(&mut Value)) -> Self {
        let server = Server::start().await;
        let repository = server.repository(&[("apps/shop/web.yaml", applied.file)]);
        let world = World::shop("Auto").await;
        applied.apply(&world, 4).await;
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
        Self { world, server, repository, applied }
    }

    pub(crate) async fn begin(&mut self) {
        self.world.start();
        self.world.settle().await;
        self.world.publish(incident(self.world.now())).await;
    }

    /// The process dies the moment the commit is there: nothing of it stands in the status yet.
    async fn die_at_the_push(&mut self) {
        self.world.start();
        self.world.settle().await;
        let news = incident(self.world.now());
        tokio::select! {
            () = self.world.publish(news) => {}
            () = async { while self.repository.log("main").len() < 2 { tokio::task::yield_now().await } } => {}
        }
        self.world.crash().await;
    }

    /// The process dies the moment the pull request is open: nothing of it stands in the status yet.
    pub(crate) async fn die_at_the_proposal(&mut self) {
        self.world.start();
        self.world.settle().await;
        let news = incident(self.world.now());
        tokio::select! {
            biased;
            () = async { while self.server.state().is_none() { tokio::task::yield_now().await } } => {}
            () = self.world.publish(news) => {}
        }
        self.world.crash().await;
        assert!(
            self.proposals() == 1
                && !self.run().await.results.iter().any(|result| {
                    result.message.as_deref().is_some_and(|message| message.contains("pulls/7"))
                })
        );
    }

    /// Pull requests that were opened.
    pub(crate) fn proposals(&self) -> usize {
        self.server.asked().iter().filter(|ask| ask.method == "POST").count()
    }

    /// Somebody else commits another number of replicas.
    pub(crate) fn somebody_commits_nine(&self) {
        self.repository.push(&[("apps/shop/web.yaml", &WEB.replace(": 4 #", ": 9 #"))], "nine");
    }

    pub(crate) async fn restart(&mut self) {
        self.begin().await;
    }

    pub(crate) async fn run(&self) -> causeway_crds::RemediationStatus {
        self.world.get::<Remediation>(RUN).await.status.unwrap_or_default()
    }

    /// What applies the Deployment does so with what is on main.
    pub(crate) async fn flux(&self) {
        let text = self.repository.read("main", "apps/shop/web.yaml");
        let line = text.lines().find(|line| line.contains("replica")).unwrap();
        let replicas: i32 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        self.applied.apply(&self.world, replicas).await;
        self.world.pass(10).await;
    }

    pub(crate) async fn replicas(&self) -> i32 {
        self.world.get::<Deployment>("web").await.spec.unwrap().replicas.unwrap()
    }

    /// Why nothing was planned, as the Incident tells.
    pub(crate) async fn refused(&self) -> String {
        assert!(self.world.list::<Remediation>().await.is_empty());
        let status = self.world.get::<Incident>(INCIDENT).await.status.unwrap();
        serde_json::to_string(&status.conditions).unwrap()
    }
}

pub(crate) fn encoded(text: &str) -> String {
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
    shop.die_at_the_push().await;
    shop.restart().await;
    shop.world.pass(30).await;
    assert_eq!(shop.repository.log("main").len(), 2);
    shop.flux().await;
    assert_eq!(shop.run().await.phase, Phase::Verifying, "{:?}", shop.run().await.message);
}

#[tokio::test]
async fn after_a_crash_a_repository_that_lets_nobody_in_is_tried_again_and_then_people_are_asked() {
    let password = |text: &str| json!({"data": {"password": encoded(text)}});
    for (is_gone, says) in
        [(false, "Authentication failed"), (true, "Secret shop/git is not there (spec.gitOps.secretRef)")]
    {
        let mut shop = Shop::new(|_| ()).await;
        shop.die_at_the_push().await;
        if is_gone {
            shop.world.api::<Secret>().delete("git", &DeleteParams::default()).await.unwrap();
        } else {
            shop.world.patch::<Secret>("git", password("rotated")).await;
        }
        shop.restart().await;
        shop.world.pass(300).await;
        let status = shop.run().await;
        let said = status.message.unwrap_or_default();
        assert_eq!(status.phase, Phase::Applying, "{said}");
        assert!(said.contains(says), "{said}");
        shop.world.pass(310).await;
        let status = shop.run().await;
        assert_eq!((status.phase, status.reason.as_deref()), (Phase::Failed, Some("OutcomeUnknown")));
        assert_eq!(shop.repository.log("main").len(), 2);
    }
    let mut shop = Shop::new(|_| ()).await;
    shop.die_at_the_push().await;
    shop.world.patch::<Secret>("git", password("rotated")).await;
    shop.restart().await;
    shop.world.patch::<Secret>("git", password(PASSWORD)).await;
    shop.world.pass(30).await;
    assert_eq!(shop.repository.log("main").len(), 2);
    shop.flux().await;
    assert_eq!(shop.run().await.phase, Phase::Verifying, "{:?}", shop.run().await.message);
}

#[tokio::test]
async fn what_somebody_commits_after_the_rehearsal_is_left_to_them() {
    let mut shop = Shop::new(|_| ()).await;
    shop.world.patch::<RemediationPolicy>("policy", json!({"spec": {"autonomy": "Approve"}})).await;
    shop.begin().await;
    let object: Remediation = shop.world.get(RUN).await;
    let shown = object.status.unwrap().dry_run.unwrap();
    let theirs = WEB.replace(": 4 #", ": 8 #");
    shop.repository.push(&[("apps/shop/web.yaml", &theirs)], "more");
    let spec = json!({"remediationRef": {"name": RUN, "planDigest": object.spec.plan_digest},
        "decision": "Approve", "approver": "anna", "dryRunDigest": shown.digest});
    shop.world.create::<Approval>(json!({"metadata": {"name": "right"}, "spec": spec})).await;
    shop.world.pass(10).await;
    let status = shop.run().await;
    let said = status.results.last().and_then(|result| result.message.clone()).unwrap_or_default();
    assert_eq!(status.phase, Phase::Failed, "{said} {:?}", status.message);
    assert!(said.contains("somebody else has committed it since, and it is left to them"), "{said}");
    assert_eq!(shop.repository.log("main"), ["more", "begin"]);
    assert_eq!(shop.repository.read("main", "apps/shop/web.yaml"), theirs);
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
    let told = shop.refused().await;
    assert!(told.contains("GitOwned") && told.contains("spec.gitOps"), "{told}");
}

#[tokio::test]
async fn what_a_helm_release_makes_is_changed_in_its_values() {
    let mut shop = Shop::applied(Applied::by_release(SHOP), |_| ()).await;
    shop.begin().await;
    let status = shop.run().await;
    assert_eq!(status.phase, Phase::Applying, "{:?}", status.message);
    let shown = status.dry_run.unwrap().diff;
    let lines = "apps/shop/web.yaml\n-    replicaCount: 4 # per zone\n+    replicaCount: 8 # per zone\n";
    assert!(shown.contains(lines), "{shown}");
    assert_eq!(
        shop.repository.read("main", "apps/shop/web.yaml"),
        RELEASE.replace("replicaCount: 4", "replicaCount: 8")
    );
    assert_eq!(shop.replicas().await, 4, "nothing is changed by hand");
    shop.flux().await;
    assert_eq!(shop.run().await.phase, Phase::Verifying, "{:?}", shop.run().await.message);
    shop.world.pass(330).await;
    shop.flux().await;
    assert_eq!(shop.run().await.phase, Phase::RolledBack, "{:?}", shop.run().await.message);
    assert_eq!(shop.repository.read("main", "apps/shop/web.yaml"), RELEASE);
    assert_eq!(shop.replicas().await, 4);
}

#[tokio::test]
async fn after_a_crash_an_open_pull_request_is_found_also_where_somebody_else_has_changed_the_file() {
    let proposed = "proposed in https://git.example.com/shop/apps/pulls/7, which conflicts with what was pushed since \
        (apps/shop/web.yaml:5 has 9, the plan was made on 4): merge it by hand, or close it";
    // What applies the Deployment has done so with that before the restart, or does so after it.
    for has_arrived in [false, true] {
        let mut shop = Shop::new(|rule| {
            rule["mode"] = json!("PullRequest");
            rule["provider"] = json!("Gitea");
        })
        .await;
        shop.die_at_the_proposal().await;
        shop.somebody_commits_nine();
        if has_arrived {
            shop.applied.apply(&shop.world, 9).await;
        }
        shop.restart().await;
        shop.world.pass(10).await;
        let status = shop.run().await;
        let told: Vec<_> = status.results.iter().filter_map(|result| result.message.as_deref()).collect();
        assert_eq!(told.first(), Some(&proposed), "{has_arrived}: {:?}", status.message);
        if !has_arrived {
            assert_eq!((status.phase, shop.server.state()), (Phase::Applying, Some("open")));
            assert!(status.message.unwrap().contains("waits until Deployment/shop/web shows the new values"));
            shop.flux().await;
        }
        // The value of somebody else is left, and no pull request stays behind.
        let status = shop.run().await;
        let end = (status.phase, status.reason.as_deref());
        assert_eq!(end, (Phase::Failed, Some("UndoIncomplete")), "{:?} {:?}", status.message, status.results);
        assert_eq!((shop.proposals(), shop.server.state()), (1, Some("closed")));
        assert_eq!(shop.repository.log("main"), ["nine", "begin"]);
        assert_eq!(shop.replicas().await, 9);
    }
}

#[tokio::test]
async fn after_a_crash_before_anything_was_pushed_a_stale_plan_says_that_nothing_is_there() {
    let mut shop = Shop::new(|_| ()).await;
    shop.die_at_the_push().await;
    // As if the push had never come.
    git(&shop.repository.bare, &["update-ref", "refs/heads/main", "main~1"]);
    shop.somebody_commits_nine();
    shop.applied.apply(&shop.world, 9).await;
    shop.restart().await;
    shop.world.pass(10).await;
    let status = shop.run().await;
    assert_eq!(
        (status.phase, status.reason.as_deref()),
        (Phase::Failed, Some("StepFailed")),
        "{:?}",
        status.message
    );
    let said = status.results[0].message.clone().unwrap();
    assert!(said.contains("; nothing of it is in http://"), "{said}");
    assert_eq!(shop.repository.log("main"), ["nine", "begin"]);
}

#[tokio::test]
async fn what_goes_through_git_has_no_lease_and_says_so() {
    let mut shop = Shop::new(|_| ()).await;
    let policy = json!({"spec": {"apply": {"leaseFor": "10m"}}});
    shop.world.patch::<RemediationPolicy>("policy", policy).await;
    shop.begin().await;
    let spec = shop.world.get::<Remediation>(RUN).await.spec;
    assert_eq!(spec.lease_for, None);
    let note = "apply.leaseFor of the policy (600s) does not count: what Git has, or has no way back, stays until somebody takes it back";
    assert!(spec.notes.iter().any(|found| found == note), "{:?}", spec.notes);
}

//! What applies a target from Git is suspended while it is repaired, also where it lives in a namespace of its own.

use causeway_crds::{ClusterGuardrail, Pause, Phase};
use k8s_openapi::api::core::v1::{Namespace, Secret, ServiceAccount};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::git_server::PASSWORD;
use crate::gitops::{Applied, RELEASE, Shop, WEB, encoded};
use crate::world::SHOP;

/// The object that applies, and how it says that it is suspended.
struct Applier {
    api: Api<DynamicObject>,
    switch: &'static str,
}

impl Applier {
    /// Makes the namespace, as far as it is another one, and in it the object.
    async fn create(shop: &Shop, kind: &str, namespace: &str, more: Value) -> Self {
        let client = shop.world.client.clone();
        if namespace != SHOP {
            shop.world.create_global::<Namespace>(json!({"metadata": {"name": namespace}})).await;
        }
        let (group, version, plural) = match kind {
            "Kustomization" => ("kustomize.toolkit.fluxcd.io", "v1", "kustomizations"),
            "HelmRelease" => ("helm.toolkit.fluxcd.io", "v2", "helmreleases"),
            _ => ("argoproj.io", "v1alpha1", "applications"),
        };
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
        let api: Api<DynamicObject> = Api::namespaced_with(client, namespace, &resource);
        let mut object = json!({"apiVersion": format!("{group}/{version}"), "kind": kind,
            "metadata": {"name": "apps"}, "spec": {"path": "apps/shop"}});
        for (key, value) in more.as_object().unwrap() {
            object[key] = value.clone();
        }
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
        let switch = match kind {
            "Application" => "/metadata/annotations/argocd.argoproj.io~1skip-reconcile",
            _ => "/spec/suspend",
        };
        Self { api, switch }
    }

    async fn live(&self) -> Value {
        serde_json::to_value(self.api.get("apps").await.unwrap()).unwrap()
    }

    async fn is_suspended(&self) -> bool {
        self.live().await.pointer(self.switch).is_some_and(|value| *value == true || *value == "true")
    }

    /// What nobody but Causeway's switch may have touched.
    async fn rest(&self) -> Value {
        let mut live = self.live().await;
        live["metadata"] = json!({"labels": live["metadata"]["labels"]});
        live["spec"].as_object_mut().unwrap().remove("suspend");
        live
    }
}

async fn opt_in(shop: &Shop, namespace: &str) {
    let api: Api<ServiceAccount> = Api::namespaced(shop.world.client.clone(), namespace);
    let account = json!({"metadata": {"name": "causeway-fixer"}});
    api.create(&PostParams::default(), &serde_json::from_value(account).unwrap()).await.unwrap();
}

fn suspending(rule: &mut Value) {
    rule["mode"] = json!("SuspendPatchResume");
}

fn inventory() -> Value {
    json!({"status": {"inventory": {"entries": [{"id": "shop_web_apps_Deployment", "v": "v1"}]}}})
}

/// An Application that has applied the Deployment to the cluster at this address.
fn application(server: &str) -> Value {
    json!({"spec": {"destination": {"server": server}}, "status": {"resources": [
        {"group": "apps", "kind": "Deployment", "namespace": SHOP, "name": "web"}]}})
}

#[tokio::test]
async fn suspended_patched_committed_and_resumed() {
    for (applied, kind, old) in [
        (Applied::by_kustomization(SHOP), "Kustomization", WEB),
        (Applied::by_release(SHOP), "HelmRelease", RELEASE),
    ] {
        for provider in [None, Some("Gitea")] {
            let mut shop = Shop::applied(applied.clone(), |rule| {
                suspending(rule);
                rule["provider"] = json!(provider);
            })
            .await;
            let applier = Applier::create(&shop, kind, SHOP, json!({})).await;
            shop.begin().await;
            assert_eq!(shop.replicas().await, 8, "{:?}", shop.run().await.message);
            if provider.is_some() {
                // As long as nobody has merged, Flux must not put the old value back.
                assert_eq!((shop.run().await.phase, applier.is_suspended().await), (Phase::Applying, true));
                shop.repository.merge("causeway/shop/gateway-3fa9c1-1");
                shop.world.pass(10).await;
            }
            let status = shop.run().await;
            assert_eq!(status.phase, Phase::Verifying, "{kind} {provider:?} {:?}", status.message);
            assert!(!applier.is_suspended().await, "{kind} {provider:?}");
            assert_eq!(shop.repository.read("main", "apps/shop/web.yaml"), old.replace(": 4 #", ": 8 #"));
            // It did not help: live, Git and Flux are as they were.
            shop.world.pass(330).await;
            if provider.is_some() {
                assert_eq!((shop.replicas().await, applier.is_suspended().await), (4, true));
                shop.repository.merge("causeway/shop/gateway-3fa9c1-1-revert");
                shop.world.pass(10).await;
            }
            assert_eq!(shop.run().await.phase, Phase::RolledBack, "{:?}", shop.run().await.message);
            assert_eq!(shop.repository.read("main", "apps/shop/web.yaml"), old);
            assert_eq!((shop.replicas().await, applier.is_suspended().await), (4, false), "{provider:?}");
        }
    }
}

#[tokio::test]
async fn while_people_may_merge_a_repository_that_lets_nobody_in_is_waited_for() {
    let mut shop = Shop::applied(Applied::by_kustomization(SHOP), |rule| {
        suspending(rule);
        rule["provider"] = json!("Gitea");
        rule["within"] = json!("30m");
    })
    .await;
    let applier = Applier::create(&shop, "Kustomization", SHOP, json!({})).await;
    shop.begin().await;
    shop.world.leap(900).await;
    let password = |text: &str| json!({"data": {"password": encoded(text)}});
    shop.world.patch::<Secret>("git", password("rotated")).await;
    shop.world.pass(10).await;
    let status = shop.run().await;
    let said = status.message.unwrap_or_default();
    assert_eq!((status.phase, applier.is_suspended().await), (Phase::Applying, true), "{said}");
    assert!(said.contains("Authentication failed"), "{said}");
    shop.world.patch::<Secret>("git", password(PASSWORD)).await;
    shop.repository.merge("causeway/shop/gateway-3fa9c1-1");
    shop.world.pass(10).await;
    assert_eq!(shop.run().await.phase, Phase::Verifying, "{:?}", shop.run().await.message);
    assert!(!applier.is_suspended().await);
}

#[tokio::test]
async fn after_a_crash_a_pull_request_that_conflicts_is_waited_for_and_told() {
    let mut shop = Shop::applied(Applied::by_kustomization(SHOP), |rule| {
        suspending(rule);
        rule["provider"] = json!("Gitea");
    })
    .await;
    let applier = Applier::create(&shop, "Kustomization", SHOP, json!({})).await;
    shop.die_at_the_proposal().await;
    shop.somebody_commits_nine();
    shop.restart().await;
    shop.world.pass(10).await;
    let status = shop.run().await;
    let said = status.message.unwrap_or_default();
    assert_eq!((status.phase, applier.is_suspended().await), (Phase::Applying, true), "{said}");
    assert!(
        said.contains("pulls/7, which conflicts with what was pushed since (apps/shop/web.yaml:5 has 9"),
        "{said}"
    );
    assert_eq!((shop.proposals(), shop.server.state()), (1, Some("open")));
    // Somebody closes it: what was changed by hand is put back, and what applies goes on with what Git has.
    shop.server.decide("closed");
    shop.world.pass(20).await;
    let status = shop.run().await;
    assert_eq!(
        (status.phase, applier.is_suspended().await),
        (Phase::RolledBack, false),
        "{:?} {:?}",
        status.message,
        status.results
    );
    assert_eq!((shop.proposals(), shop.replicas().await), (1, 4));
}

/// What applies the Deployment from another namespace is suspended, until people have merged the pull request.
async fn suspended() -> (Shop, Applier) {
    let mut shop = Shop::applied(Applied::by_kustomization("flux-system"), |rule| {
        suspending(rule);
        rule["provider"] = json!("Gitea");
    })
    .await;
    let applier = Applier::create(&shop, "Kustomization", "flux-system", inventory()).await;
    opt_in(&shop, "flux-system").await;
    shop.begin().await;
    assert!(applier.is_suspended().await, "{:?}", shop.run().await.message);
    (shop, applier)
}

#[tokio::test]
async fn what_stays_suspended_is_told_by_name() {
    let (shop, applier) = suspended().await;
    // Meanwhile that namespace lets nobody in any more.
    let accounts: Api<ServiceAccount> = Api::namespaced(shop.world.client.clone(), "flux-system");
    accounts.delete("causeway-fixer", &kube::api::DeleteParams::default()).await.unwrap();
    shop.server.decide("closed");
    shop.world.pass(20).await;
    let status = shop.run().await;
    let said = status.message.unwrap_or_default();
    assert_eq!((status.phase, applier.is_suspended().await), (Phase::Failed, true), "{said}");
    assert!(said.contains("still suspended by this repair: Kustomization/flux-system/apps"), "{said}");
    assert_eq!(shop.replicas().await, 4, "the rest is taken back all the same");
}

#[tokio::test]
async fn what_somebody_else_has_suspended_since_stays_suspended() {
    let (shop, applier) = suspended().await;
    for suspend in [Value::Null, json!(true)] {
        let patch = Patch::Merge(json!({"spec": {"suspend": suspend}}));
        let params = PatchParams { field_manager: Some("anna".to_owned()), ..PatchParams::default() };
        applier.api.patch("apps", &params, &patch).await.unwrap();
    }
    shop.repository.merge("causeway/shop/gateway-3fa9c1-1");
    shop.world.pass(10).await;
    let status = shop.run().await;
    assert_eq!(
        (status.phase, applier.is_suspended().await),
        (Phase::Verifying, true),
        "{:?}",
        status.message
    );
    let said = status.results.last().unwrap().message.clone().unwrap();
    assert_eq!(said, "somebody else has suspended it since: it is left so");
}

#[tokio::test]
async fn in_another_namespace_that_opted_in_it_is_suspended_as_the_fixer_of_that_namespace() {
    for (applied, kind, namespace, more) in [
        (Applied::by_kustomization("flux-system"), "Kustomization", "flux-system", inventory()),
        (
            Applied::by_release("flux-system"),
            "HelmRelease",
            "flux-system",
            json!({"spec": {"targetNamespace": SHOP}}),
        ),
        (Applied::by_application(), "Application", "argocd", application("https://kubernetes.default.svc")),
    ] {
        let mut shop = Shop::applied(applied, |rule| {
            suspending(rule);
            rule["provider"] = json!("Gitea");
        })
        .await;
        let applier = Applier::create(&shop, kind, namespace, more).await;
        opt_in(&shop, namespace).await;
        let before = applier.rest().await;
        shop.begin().await;
        let status = shop.run().await;
        assert_eq!(status.phase, Phase::Applying, "{kind}: {:?}", status.message);
        assert_eq!((shop.replicas().await, applier.is_suspended().await), (8, true), "{kind}");
        assert_eq!(applier.rest().await, before, "{kind}");
        // A process that dies meanwhile resumes it all the same.
        shop.world.crash().await;
        shop.world.start();
        shop.world.settle().await;
        shop.repository.merge("causeway/shop/gateway-3fa9c1-1");
        shop.world.pass(10).await;
        assert_eq!(shop.run().await.phase, Phase::Verifying, "{kind}: {:?}", shop.run().await.message);
        assert!(!applier.is_suspended().await, "{kind}");
        shop.world.pass(330).await;
        shop.repository.merge("causeway/shop/gateway-3fa9c1-1-revert");
        shop.world.pass(10).await;
        assert_eq!(shop.run().await.phase, Phase::RolledBack, "{kind}: {:?}", shop.run().await.message);
        assert_eq!((shop.replicas().await, applier.is_suspended().await), (4, false), "{kind}");
        assert_eq!(applier.rest().await, before, "{kind}");
    }
}

#[tokio::test]
async fn where_the_other_namespace_did_not_opt_in_nothing_is_touched_and_the_message_says_what_to_make() {
    // Without the account; and with the account, but without the right to act as it.
    for (namespace, has_account, reason, says) in [
        (
            "flux-system",
            false,
            "NotOptedIn",
            "flux-system has no ServiceAccount causeway-fixer: to let it be suspended, make in flux-system",
        ),
        ("platform", true, "DryRunRefused", "cannot impersonate"),
    ] {
        let mut shop = Shop::applied(Applied::by_kustomization(namespace), suspending).await;
        let applier = Applier::create(&shop, "Kustomization", namespace, inventory()).await;
        if has_account {
            opt_in(&shop, namespace).await;
        }
        shop.begin().await;
        let status = shop.run().await;
        let said = status.message.unwrap_or_default();
        assert_eq!((status.phase, status.reason.as_deref()), (Phase::Refused, Some(reason)), "{said}");
        assert!(said.contains(says), "{said}");
        assert!(said.contains(&format!("make in {namespace} the ServiceAccount causeway-fixer")), "{said}");
        assert_eq!((shop.replicas().await, applier.is_suspended().await), (4, false));
        assert_eq!(shop.repository.log("main").len(), 1);
    }
    let mut shop = Shop::applied(Applied::by_kustomization("flux-system"), suspending).await;
    shop.begin().await;
    let told = shop.refused().await;
    assert!(told.contains("does not exist, or Causeway may not read it: to let it be suspended"), "{told}");
}

#[tokio::test]
async fn marks_alone_suspend_nothing_of_others() {
    for (applied, kind, namespace, more) in [
        (
            Applied::by_kustomization("flux-system"),
            "Kustomization",
            "flux-system",
            json!({"status": {"inventory": {"entries": [{"id": "cart_web_apps_Deployment", "v": "v1"}]}}}),
        ),
        (
            Applied::by_release("flux-system"),
            "HelmRelease",
            "flux-system",
            json!({"spec": {"targetNamespace": "cart"}}),
        ),
        (Applied::by_application(), "Application", "argocd", json!({})),
        // What is applied to another cluster is there, and not here.
        (Applied::by_application(), "Application", "argocd", application("https://paris.example.com")),
        (
            Applied::by_kustomization("flux-system"),
            "Kustomization",
            "flux-system",
            json!({"spec": {"kubeConfig": {"secretRef": {"name": "paris"}}}, "status": inventory()["status"]}),
        ),
    ] {
        let mut shop = Shop::applied(applied, suspending).await;
        let applier = Applier::create(&shop, kind, namespace, more).await;
        opt_in(&shop, namespace).await;
        shop.begin().await;
        let told = shop.refused().await;
        assert!(told.contains("does not say in its status that it applies Deployment/shop/web"), "{told}");
        assert_eq!((shop.replicas().await, applier.is_suspended().await), (4, false), "{kind}");
    }
}

#[tokio::test]
async fn guardrails_and_pauses_of_the_other_namespace_hold() {
    let begin = async |shop: &mut Shop| {
        let applier = Applier::create(shop, "Kustomization", "flux-system", inventory()).await;
        opt_in(shop, "flux-system").await;
        shop.begin().await;
        applier
    };
    let mut shop = Shop::applied(Applied::by_kustomization("flux-system"), suspending).await;
    let protect = json!({"spec": {"protectedNamespaces": ["flux-system"]}});
    let guardrails: Api<ClusterGuardrail> = Api::all(shop.world.client.clone());
    guardrails.patch("default", &PatchParams::default(), &Patch::Merge(protect)).await.unwrap();
    let applier = begin(&mut shop).await;
    assert_eq!(shop.run().await.reason.as_deref(), Some("ProtectedNamespace"));
    assert!(!applier.is_suspended().await);

    let mut shop = Shop::applied(Applied::by_kustomization("flux-system"), suspending).await;
    let pause = json!({"metadata": {"name": "upgrade"}, "spec": {"reason": "upgrade", "namespaces": ["flux-system"]}});
    shop.world.create_global::<Pause>(pause).await;
    let applier = begin(&mut shop).await;
    assert_eq!(shop.run().await.reason.as_deref(), Some("Paused"), "{:?}", shop.run().await.message);
    assert!(!applier.is_suspended().await);
}

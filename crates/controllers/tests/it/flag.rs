//! Flags that a real HTTP server keeps: turned once, over what was read, and turned back only while they are ours.

use causeway_crds::{Outcome, Phase, Remediation, RemediationPolicy, RemediationStatus};
use causeway_engine::SymptomState;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

use crate::flag_server::{FlagServer, Habit, TOKEN};
use crate::world::{World, incident};

const RUN: &str = "gateway-3fa9c1-1";
const FLAGS: &str = "{\n  \"flags\": {\n    \"new-cart\": {\"state\": \"ENABLED\", \"variants\": {\"on\": true, \"off\": false, \"half\": 0.50}, \"defaultVariant\": \"on\"},\n    \"banner\": {\"state\": \"ENABLED\", \"variants\": {\"red\": 1, \"blue\": 2}, \"defaultVariant\": \"red\"}\n  }\n}\n";

fn turned(variant: &str) -> String {
    FLAGS.replace("\"defaultVariant\": \"on\"", &format!("\"defaultVariant\": \"{variant}\""))
}

fn with_blue_banner(text: &str) -> String {
    text.replace("\"defaultVariant\": \"red\"", "\"defaultVariant\": \"blue\"")
}

/// A shop whose runbook turns the flag `new-cart` off.
struct Shop {
    world: World,
    server: FlagServer,
}

impl Shop {
    async fn new(change: impl Fn(&mut Value)) -> Self {
        let server = FlagServer::start(FLAGS).await;
        let world = World::shop("Auto").await;
        world
            .create::<Secret>(json!({"metadata": {"name": "flags"},
                "stringData": {"url": server.url, "token": TOKEN, "wrong": "x", "odd": "file:///etc/passwd"}}))
            .await;
        let mut action = json!({"flag": "new-cart", "variant": "off", "http": {"urlSecretRef": {"name": "flags", "key": "url"},
            "tokenSecretRef": {"name": "flags", "key": "token"}, "from": "on"}});
        change(&mut action);
        world
            .runbook("calm", json!([{"name": "off", "type": "SetFeatureFlag", "setFeatureFlag": action}]))
            .await;
        world.patch::<RemediationPolicy>("policy", json!({"spec": {"runbooks": [{"name": "calm"}]}})).await;
        Self { world, server }
    }

    async fn begin(&mut self) {
        self.world.start();
        self.world.settle().await;
        self.world.publish(incident(self.world.now())).await;
    }

    async fn status(&self) -> RemediationStatus {
        self.world.get::<Remediation>(RUN).await.status.unwrap_or_default()
    }

    /// The process dies the moment the server has taken the document, before it has answered.
    async fn die_at_the_write(&mut self) {
        self.server.habit(Habit::Silent);
        self.world.start();
        self.world.settle().await;
        let news = incident(self.world.now());
        tokio::select! {
            () = self.world.publish(news) => {}
            () = async { while self.server.taken() == 0 { tokio::task::yield_now().await } } => {}
        }
        self.world.crash().await;
        self.server.habit(Habit::Good);
    }

    async fn restart(&mut self) {
        self.world.start();
        self.world.settle().await;
        self.world.publish(incident(self.world.now())).await;
    }
}

#[tokio::test]
async fn a_flag_is_turned_once_and_nothing_else() {
    let mut shop = Shop::new(|_| ()).await;
    shop.begin().await;
    let object: Remediation = shop.world.get(RUN).await;
    assert_eq!(object.spec.summary, "Set flag new-cart at the URL in Secret flags to off");
    let status = object.status.unwrap();
    assert_eq!(status.phase, Phase::Verifying, "{:?}", status.message);
    let shown = status.dry_run.unwrap().diff;
    assert!(shown.contains("new-cart:\n-     defaultVariant: on\n+     defaultVariant: off\n"), "{shown}");
    assert_eq!(shop.server.text(), turned("off"));
    assert_eq!(shop.server.conditions(), [Some("\"v0\"".to_owned())]);
    assert_eq!(shop.server.reads(), 2, "to rehearse, and to write");
    shop.world.symptom(SymptomState::Clear).await;
    shop.world.pass(130).await;
    assert_eq!(shop.status().await.outcome, Some(Outcome::Verified));
    assert_eq!((shop.server.taken(), shop.server.text()), (1, turned("off")));
    let told = serde_json::to_string(&shop.world.get::<Remediation>(RUN).await).unwrap();
    assert!(!told.contains(TOKEN) && !told.contains(&shop.server.url), "secrets stay secret");
}

#[tokio::test]
async fn a_state_is_turned_the_same_way() {
    let mut shop = Shop::new(|action| {
        action["state"] = json!("Disabled");
        action.as_object_mut().unwrap().remove("variant");
        action["http"].as_object_mut().unwrap().remove("from");
    })
    .await;
    shop.begin().await;
    assert_eq!(
        shop.server.text(),
        FLAGS.replacen("ENABLED", "DISABLED", 1),
        "{:?}",
        shop.status().await.message
    );
}

#[tokio::test]
async fn what_did_not_help_is_turned_back() {
    let mut shop = Shop::new(|_| ()).await;
    shop.begin().await;
    // What somebody else does to other flags meanwhile is kept.
    shop.server.set(&with_blue_banner(&turned("off")));
    shop.world.pass(330).await;
    let status = shop.status().await;
    assert_eq!(status.outcome, Some(Outcome::RolledBack), "{:?}", status.message);
    assert_eq!(shop.server.text(), with_blue_banner(FLAGS));
}

#[tokio::test]
async fn what_somebody_turned_since_is_left_and_said() {
    let mut shop = Shop::new(|_| ()).await;
    shop.begin().await;
    shop.server.set(&turned("half"));
    shop.world.pass(330).await;
    let status = shop.status().await;
    assert_eq!((status.phase, status.reason.as_deref()), (Phase::Failed, Some("UndoIncomplete")));
    let said = status.results.last().unwrap().message.clone().unwrap();
    assert!(
        said.contains("flag new-cart is half, not off: somebody changed it, and it is left so"),
        "{said}"
    );
    assert_eq!((shop.server.taken(), shop.server.text()), (1, turned("half")));
}

#[tokio::test]
async fn a_write_in_between_is_built_upon() {
    let mut shop = Shop::new(|_| ()).await;
    shop.server.intrude(&with_blue_banner(FLAGS));
    shop.begin().await;
    assert_eq!(shop.status().await.phase, Phase::Verifying, "{:?}", shop.status().await.message);
    assert_eq!(shop.server.text(), with_blue_banner(&turned("off")));
    assert_eq!(shop.server.conditions(), ["\"v0\"", "\"v1\""].map(|etag| Some(etag.to_owned())));
    assert_eq!(shop.server.taken(), 1);
}

#[tokio::test]
async fn a_flag_that_changes_in_between_is_left() {
    for (variant, says) in [
        ("half", "is half, not on: somebody changed it"),
        ("off", "is off already: somebody else has set it, and it is left to them"),
    ] {
        let mut shop = Shop::new(|_| ()).await;
        shop.server.intrude(&turned(variant));
        shop.begin().await;
        let status = shop.status().await;
        assert_eq!(status.phase, Phase::Failed, "{variant}: {:?}", status.message);
        let said = status.results.last().unwrap().message.clone().unwrap();
        assert!(said.contains(says), "{said}");
        assert_eq!((shop.server.taken(), shop.server.text()), (0, turned(variant)));
    }
}

#[tokio::test]
async fn a_crash_between_write_and_result_writes_once() {
    let mut shop = Shop::new(|_| ()).await;
    shop.die_at_the_write().await;
    shop.restart().await;
    let status = shop.status().await;
    assert_eq!(status.phase, Phase::Verifying, "{:?}", status.message);
    assert_eq!(status.results[0].message.as_deref(), Some("the target shows the new value"));
    assert_eq!((shop.server.taken(), shop.server.text()), (1, turned("off")));
}

#[tokio::test]
async fn a_crash_on_the_way_back_writes_once() {
    let mut shop = Shop::new(|_| ()).await;
    shop.begin().await;
    shop.server.habit(Habit::Silent);
    tokio::select! {
        () = shop.world.pass(330) => {}
        () = async { while shop.server.taken() < 2 { tokio::task::yield_now().await } } => {}
    }
    shop.world.crash().await;
    shop.server.habit(Habit::Good);
    shop.restart().await;
    let status = shop.status().await;
    assert_eq!(status.outcome, Some(Outcome::RolledBack), "{:?}", status.message);
    assert_eq!((shop.server.taken(), shop.server.text()), (2, FLAGS.to_owned()));
}

#[tokio::test]
async fn after_a_crash_a_look_that_fails_is_repeated_and_then_people_are_asked() {
    for (habit, says) in [
        (Habit::Down, "GET was answered with 503"),
        (Habit::Locked, "GET was answered with 401: check the token"),
        (Habit::Broken, "it is no flag definition of flagd"),
    ] {
        let mut shop = Shop::new(|_| ()).await;
        shop.die_at_the_write().await;
        shop.server.habit(habit);
        shop.restart().await;
        shop.world.pass(300).await;
        let status = shop.status().await;
        let said = status.message.unwrap_or_default();
        assert_eq!(status.phase, Phase::Applying, "{said}");
        assert!(said.contains(says), "{said}");
        shop.world.pass(310).await;
        let status = shop.status().await;
        assert_eq!((status.phase, status.reason.as_deref()), (Phase::Failed, Some("OutcomeUnknown")));
        assert_eq!(shop.server.taken(), 1, "{habit:?}");
    }
    let mut shop = Shop::new(|_| ()).await;
    shop.die_at_the_write().await;
    shop.server.habit(Habit::Down);
    shop.restart().await;
    shop.world.pass(60).await;
    shop.server.habit(Habit::Good);
    shop.world.pass(10).await;
    assert_eq!(shop.status().await.phase, Phase::Verifying, "{:?}", shop.status().await.message);
    assert_eq!(shop.server.taken(), 1);
}

#[tokio::test]
async fn after_a_crash_before_the_write_it_is_written() {
    let mut shop = Shop::new(|_| ()).await;
    shop.die_at_the_write().await;
    // As if the document had never come.
    shop.server.set(FLAGS);
    shop.restart().await;
    assert_eq!(shop.status().await.phase, Phase::Verifying, "{:?}", shop.status().await.message);
    assert_eq!((shop.server.taken(), shop.server.text()), (2, turned("off")));
}

#[tokio::test]
async fn without_an_etag_only_who_says_so_writes() {
    for habit in [Habit::NoETag, Habit::WeakETag] {
        let mut shop = Shop::new(|_| ()).await;
        shop.server.habit(habit);
        shop.begin().await;
        let status = shop.status().await;
        assert_eq!((status.phase, status.reason.as_deref()), (Phase::Refused, Some("DryRunRefused")));
        assert!(status.message.as_deref().unwrap().ends_with("have it give one, or set http.withoutETag"));
        assert_eq!(shop.server.text(), FLAGS);
    }
    let mut shop = Shop::new(|action| action["http"]["withoutETag"] = json!(true)).await;
    shop.server.habit(Habit::NoETag);
    shop.begin().await;
    assert_eq!(shop.status().await.phase, Phase::Verifying, "{:?}", shop.status().await.message);
    assert_eq!((shop.server.conditions(), shop.server.text()), (vec![None], turned("off")));
}

#[tokio::test]
async fn what_can_not_be_turned_is_refused_by_the_rehearsal() {
    type Change = fn(&mut Value);
    let cases: [(Change, Habit, &str); 9] = [
        (
            |action| action["http"]["from"] = json!("half"),
            Habit::Good,
            "flag new-cart is on, and the plan expects half",
        ),
        (
            |action| {
                action["http"]["from"] = json!("off");
                action["variant"] = json!("on");
            },
            Habit::Good,
            "is on already: nothing to do",
        ),
        (|action| action["variant"] = json!("blue"), Habit::Good, "its flag new-cart has no variant blue"),
        (|action| action["flag"] = json!("old-cart"), Habit::Good, "it has no flag old-cart"),
        (
            |action| action["http"]["tokenSecretRef"]["key"] = json!("wrong"),
            Habit::Good,
            "401: check the token",
        ),
        (
            |action| action["http"]["urlSecretRef"]["key"] = json!("odd"),
            Habit::Good,
            "has to hold a URL with https or http",
        ),
        (
            |action| action["http"]["urlSecretRef"]["key"] = json!("none"),
            Habit::Good,
            "Secret shop/flags has no text under the key none",
        ),
        (|_| (), Habit::Redirects, "redirects are not followed"),
        (|_| (), Habit::Huge, "is larger than 1 MiB"),
    ];
    for (change, habit, says) in cases {
        let mut shop = Shop::new(change).await;
        shop.server.habit(habit);
        shop.begin().await;
        let status = shop.status().await;
        let said = status.message.unwrap_or_default();
        assert_eq!(
            (status.phase, status.reason.as_deref()),
            (Phase::Refused, Some("DryRunRefused")),
            "{said}"
        );
        assert!(said.contains(says), "{said}");
        assert_eq!((shop.server.taken(), shop.server.text()), (0, FLAGS.to_owned()), "{says}");
    }
}

#[tokio::test]
async fn the_end_of_a_lease_turns_a_flag_back_only_while_it_is_ours() {
    for (theirs, phase, writes) in [(None, Phase::Succeeded, 2), (Some("half"), Phase::Refused, 1)] {
        let mut shop = Shop::new(|_| ()).await;
        let policy = json!({"spec": {"apply": {"leaseFor": "10m"}, "limits": {"cooldown": "1m"}}});
        shop.world.patch::<RemediationPolicy>("policy", policy).await;
        shop.begin().await;
        shop.world.symptom(SymptomState::Clear).await;
        shop.world.pass(130).await;
        assert_eq!(shop.status().await.outcome, Some(Outcome::Verified));
        if let Some(variant) = theirs {
            shop.server.set(&turned(variant));
        }
        shop.world.pass(500).await;
        assert_eq!(shop.world.list::<Remediation>().await.len(), 1, "the lease is not over");
        shop.world.pass(300).await;
        let second: Remediation = shop.world.get("gateway-3fa9c1-2").await;
        assert_eq!(second.spec.restores.as_ref().map(|restored| restored.name.as_str()), Some(RUN));
        let status = second.status.unwrap();
        let said = status.message.unwrap_or_default();
        assert_eq!(status.phase, phase, "{theirs:?}: {said}");
        assert_eq!((shop.server.taken(), shop.server.text()), (writes, turned(theirs.unwrap_or("on"))));
        match theirs {
            None => assert_eq!(shop.server.conditions()[1], Some("\"v1\"".to_owned()), "over what was read"),
            Some(_) => assert!(said.contains("flag new-cart is half, and the plan expects off"), "{said}"),
        }
        shop.world.pass(900).await;
        assert_eq!(shop.world.list::<Remediation>().await.len(), 2, "and not again");
    }
}

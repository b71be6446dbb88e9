//! Every action, while whoever carries it out dies before and after each write: nothing is changed twice, nothing is left
//! half done, and what did not help is taken back.

use std::sync::Arc;

use causeway_actions::ActionKind;
use causeway_crds::{Outcome, Phase, Remediation};
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use tokio::sync::Notify;

use crate::crash_points::{CrashPoints, Die, Met, Write};
use crate::deeds::{self, Deed, End, NODES, api};
use crate::world::World;

/// How the run of a deed must have ended.
#[track_caller]
pub(crate) fn assert_end(deed: &Deed, run: &Remediation, changes: &[String]) {
    let status = run.status.clone().unwrap_or_default();
    let told = format!("{}: {:?} {:?} {changes:#?}", deed.name, status.message, status.timeline);
    let end = (status.phase, status.outcome);
    let expected = match deed.end {
        End::TakenBack => (Phase::RolledBack, Some(Outcome::RolledBack)),
        End::Stays => (Phase::Failed, Some(Outcome::NotEffective)),
        End::AskPeople => (Phase::Failed, Some(Outcome::Error)),
    };
    assert_eq!(end, expected, "{told}");
    assert_eq!(changes.len(), deed.changes, "{told}");
    match (deed.end, deed.elsewhere()) {
        (End::AskPeople, calls) => assert!(calls.is_some_and(|calls| calls <= 1), "{calls:?} calls, {told}"),
        // There and back.
        (_, Some(commits)) => assert_eq!(commits, 2, "{told}"),
        (_, None) => {}
    }
}

/// Every write was met before and after it was carried out.
pub(crate) fn assert_met(met: &Met) {
    let met = met.lock();
    // What a status waits for comes and goes.
    let waits = |write: &str| {
        let told = [
            "DryRun",
            "Claimed",
            "Applied",
            "Undone",
            "RolledBack Rolled",
            "Failed Failed",
            "OutcomeUnknown",
        ];
        write.contains("remediations/status") && !told.iter().any(|event| write.contains(event))
    };
    let missed: Vec<_> = met.iter().filter(|(write, times)| **times < 2 && !waits(write)).collect();
    assert!(missed.is_empty(), "nobody died after {missed:#?}");
    let is_met = |part: &str| met.keys().any(|write| write.contains(part));
    assert!(is_met("Applying Claimed"), "no crash at a claim: {met:#?}");
}

#[tokio::test]
async fn the_list_has_every_action() {
    let all = deeds::all().await;
    for action in ActionKind::ALL {
        let is_there = all.iter().any(|deed| deed.name.replace('-', "") == action.as_str().to_lowercase());
        assert!(is_there, "{action} is missing");
    }
}

/// Waits until there is nothing to do; a process that died is started again.
async fn settle(world: &mut World, deed: &Deed, died: &Notify) {
    loop {
        let is_dead = tokio::select! {
            biased;
            () = died.notified() => true,
            () = world.settle() => false,
        };
        if !is_dead {
            return;
        }
        world.crash().await;
        world.start();
        world.tell(deed.incident(world.now()));
    }
}

async fn carry_out(deed: &Deed) {
    let mut world = World::new().await;
    let guardrail = json!({"metadata": {"name": "default"}, "spec": {"maxAutonomy": "Auto"}});
    world.create_global::<causeway_crds::ClusterGuardrail>(guardrail).await;
    for namespace in [deed.namespace(), NODES.to_owned()] {
        let object = json!({"metadata": {"name": namespace}});
        world.create_global::<k8s_openapi::api::core::v1::Namespace>(object).await;
        let account = json!({"metadata": {"name": "causeway-fixer"}});
        let accounts = api(&world.client, "v1", "ServiceAccount", &namespace);
        accounts.create(&PostParams::default(), &serde_json::from_value(account).unwrap()).await.unwrap();
    }
    deed.prepare(&world.client).await;
    world.start();
    world.settle().await;
    deed.happen(&world.client, true).await;
    world.settle().await;
    let before = deed.state(&world.client).await;
    // From here on it dies.
    world.stop().await;
    let (died, met) = (Arc::new(Notify::new()), Met::default());
    let notify = Arc::clone(&died);
    let die: Die = Arc::new(move || {
        notify.notify_one();
        // What is dead waits for no answer.
        Box::pin(std::future::pending())
    });
    let name = |write: &Write| Some(write.to_string());
    let points = CrashPoints::new(world.cluster.client("causeway"), name, die, &met);
    world.points = Some(points.clone());
    world.start();
    world.tell(deed.incident(world.now()));
    let runs: Api<Remediation> = Api::namespaced(world.client.clone(), &deed.place());
    let run = deed.run(world.now());
    for _ in 0..150 {
        settle(&mut world, deed, &died).await;
        if let Some(run) = runs.get_opt(&run).await.unwrap() {
            if run.status.as_ref().is_some_and(|status| status.phase.is_final()) {
                break;
            }
            deed.play(&world.client, &run).await;
        }
        world.tick();
    }
    settle(&mut world, deed, &died).await;
    assert_end(deed, &runs.get(&run).await.unwrap(), &points.made());
    assert_met(&met);
    if deed.end == End::TakenBack {
        assert_eq!(deed.state(&world.client).await, before, "{}", deed.name);
    }
    world.stop().await;
}

#[tokio::test]
async fn kill_at_each_write_of_each_action_makes_each_change_once() {
    for deed in deeds::all().await {
        carry_out(&deed).await;
    }
}

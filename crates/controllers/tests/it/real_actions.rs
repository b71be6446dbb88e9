//! Every action on a real control plane. Of two executors, the one that leads is killed before and after each of its
//! writes, and the other one follows; the API server's audit log is the witness.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use causeway_crds::{ClusterGuardrail, Remediation};
use jiff::Timestamp;
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::accounts::{ALONE, Fixer, client, create, define, opt_in, real_cluster, remove, role, system};
use crate::audit_log::AuditLog;
use crate::crash_points::{CrashPoints, Die, Met, Write};
use crate::deeds::{self, Deed, End, NODES, api};
use crate::every_action::{assert_end, assert_met};
use crate::executor::Executor;
use crate::operator::Operator;

/// Longest wait for all of them.
const DEADLINE: Duration = Duration::from_secs(900);
/// By how much the time of the data goes ahead in each round.
const AHEAD: i64 = 10_000_000;

/// A program or a file that the test needs; if it is not there, the output says what is not run.
pub(crate) fn given(variable: &str) -> Option<PathBuf> {
    let found = std::env::var_os(variable).map(PathBuf::from);
    if found.is_none() {
        let text = format!(
            "not run: executors on a real control plane; {variable} is not set (`cargo xtask test` sets it)\n"
        );
        std::io::stderr().write_all(text.as_bytes()).unwrap();
    }
    found
}

/// The definitions of Flux, if the cluster has none.
async fn define_flux(admin: &Client, definitions: &std::path::Path) {
    let text = std::fs::read_to_string(definitions).unwrap();
    let all: Vec<Value> = serde_saphyr::from_str_multiple(&text).unwrap();
    let ours = PatchParams::apply("causeway-test").force();
    for definition in all.into_iter().filter(Value::is_object) {
        let api = api(admin, "apiextensions.k8s.io/v1", "CustomResourceDefinition", "");
        let name = definition["metadata"]["name"].as_str().unwrap().to_owned();
        api.patch(&name, &ours, &Patch::Apply(definition)).await.unwrap();
    }
    let kustomizations = api(admin, "kustomize.toolkit.fluxcd.io/v1", "Kustomization", "default");
    deeds::until("Kustomizations are served", async || {
        kustomizations.list(&Default::default()).await.is_ok()
    })
    .await;
}

/// Removes what the test makes, also what an earlier run has left.
async fn clear(admin: &Client, deeds: &[Deed]) {
    for deed in deeds {
        let nodes = api(admin, "v1", "Node", "");
        nodes.delete(&format!("node-{}", deed.name), &DeleteParams::default()).await.ok();
    }
    let mut places: Vec<String> = deeds.iter().map(Deed::namespace).collect();
    places.push(NODES.to_owned());
    remove(admin, &places.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

/// Everything that is there before the incidents.
async fn prepare(admin: &Client, deeds: &[Deed]) {
    system(admin).await;
    let limits = json!({"actionsPerHour": 1000, "concurrentPerCluster": 100});
    let guardrail =
        json!({"metadata": {"name": "default"}, "spec": {"maxAutonomy": "Auto", "limits": limits}});
    create(&Api::<ClusterGuardrail>::all(admin.clone()), guardrail).await;
    opt_in(admin, NODES, Fixer::Everywhere, &[]).await;
    for deed in deeds {
        opt_in(admin, &deed.namespace(), Fixer::Namespace, &["git", "hook", "flags"]).await;
    }
    // Pods are made only where there is an account for them.
    for deed in deeds {
        let accounts = api(admin, "v1", "ServiceAccount", &deed.namespace());
        deeds::until("accounts", async || accounts.get_opt("default").await.unwrap().is_some()).await;
        deed.prepare(admin).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_at_each_write_of_each_action_on_a_real_control_plane_makes_each_change_once() {
    let Some(kubeconfig) = real_cluster("every action on a real control plane") else { return };
    let (Some(program), Some(definitions)) = (given("CAUSEWAY_BINARY"), given("CAUSEWAY_FLUX_DEFINITIONS"))
    else {
        return;
    };
    let _alone = ALONE.lock().await;
    let admin = client(&kubeconfig).await;
    define(&admin).await;
    define_flux(&admin, &definitions).await;
    let deeds = deeds::all().await;
    clear(&admin, &deeds).await;
    prepare(&admin, &deeds).await;
    let folder = tempfile::tempdir().unwrap();
    let operator = Operator::start(&admin, &kubeconfig, folder.path()).await;
    // What is there before it looks is no change.
    operator.activity.settled().await;
    let mut before = Vec::new();
    for deed in &deeds {
        deed.happen(&admin, false).await;
    }
    for deed in &deeds {
        before.push(deed.state(&admin).await);
    }
    let log = AuditLog::from_now();

    let (met, own) = (Met::default(), folder.path().join("executor.kubeconfig"));
    std::fs::write(&own, role(&admin, &kubeconfig, "causeway-executor").await.to_string()).unwrap();
    let (mut executors, mut doors) = (Vec::new(), Vec::new());
    for index in 0..2 {
        let kubeconfig = folder.path().join(format!("executor-{index}.kubeconfig"));
        let executor = Executor::new(&program, &kubeconfig, &admin);
        let dies = executor.clone();
        let die: Die = Arc::new(move || {
            let dies = dies.clone();
            // The request ends with the process that made it, and whatever waits for its answer.
            let crash = tokio::spawn(async move { dies.crash().await });
            Box::pin(async move { Ok(crash.await?) })
        });
        let name = |write: &Write| Some(format!("{}/{}: {write}", write.namespace, write.name));
        doors.push(CrashPoints::open(&own, &kubeconfig, name, die, &met).await.unwrap());
        executor.start();
        executors.push(executor);
    }
    let begun = Timestamp::now();
    let mut news: Vec<_> = deeds.iter().map(|deed| deed.incident(begun)).collect();
    let mut runs: BTreeMap<&str, Remediation> = BTreeMap::new();
    let started = Instant::now();
    loop {
        for news in &mut news {
            news.revision += 1;
            operator.tell(news.clone());
        }
        for deed in &deeds {
            let api: Api<Remediation> = Api::namespaced(admin.clone(), &deed.place());
            if let Some(run) = api.get_opt(&deed.run(begun)).await.unwrap() {
                deed.play(&admin, &run).await;
                runs.insert(deed.name, run);
            }
        }
        let is_over = |run: &Remediation| run.status.as_ref().is_some_and(|status| status.phase.is_final());
        if runs.len() == deeds.len() && runs.values().all(is_over) {
            break;
        }
        let going: Vec<_> = runs
            .iter()
            .filter(|(_, run)| !is_over(run))
            .map(|(name, run)| (name, run.status.as_ref().map(|s| (s.phase, s.message.clone()))))
            .collect();
        assert!(
            started.elapsed() < DEADLINE,
            "not over: {going:#?}, {} planned\n{}",
            runs.len(),
            executors[0].said()
        );
        operator.ahead(AHEAD);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    executors.iter().for_each(Executor::stop);

    let made: Vec<String> = doors.iter().flat_map(CrashPoints::made).collect();
    let of = |changes: &[String], deed: &Deed| -> Vec<String> {
        let places = [format!("/namespaces/{}/", deed.namespace()), format!("/nodes/node-{}?", deed.name)];
        let is_own =
            |change: &&String| places.iter().any(|place| format!("{change}?").contains(place.as_str()));
        changes.iter().filter(is_own).cloned().collect()
    };
    for (deed, before) in deeds.iter().zip(&before) {
        assert_end(deed, &runs[deed.name], &of(&made, deed));
        if deed.end == End::TakenBack {
            assert_eq!(deed.state(&admin).await, *before, "{}", deed.name);
        }
    }
    assert_met(&met);
    if let Some(log) = log {
        let removals = |change: &&String| change.starts_with("DELETE") || change.contains("/eviction");
        assert_eq!(log.changes_by_executor(), Vec::<String>::new());
        let witnessed = log.changes_by_fixers();
        for deed in &deeds {
            let own = of(&made, deed);
            let removed = own.iter().filter(removals).count();
            assert_eq!(of(&witnessed, deed).len(), deed.changes - removed, "{}: {witnessed:#?}", deed.name);
        }
    }
    operator.stop().await;
    clear(&admin, &deeds).await;
    let kills: u32 = met.lock().values().map(|times| (*times).min(2)).sum();
    let text = format!(
        "{} actions, {} writes, {kills} kills in {:?}\n",
        deeds.len(),
        met.lock().len(),
        started.elapsed()
    );
    std::io::stderr().write_all(text.as_bytes()).unwrap();
}

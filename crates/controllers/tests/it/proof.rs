//! Nothing is changed without the full proof: plans, Runbooks, policies and Approvals with random defects on a real API
//! server, whose audit log tells what was changed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use causeway_actions::{Inverse, plan_digest};
use causeway_crds::{
    Approval, ClusterGuardrail, Phase, Remediation, RemediationPolicy, RemediationSpec, Runbook,
};
use jiff::Timestamp;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};

use crate::accounts::{ALONE, Fixer, client, create, define, opt_in, real_cluster, remove, role, system};
use crate::audit_log::AuditLog;
use crate::deeds::{FLAGS, api, until};
use crate::executor::Executor;
use crate::operator::Operator;
use crate::real_actions::given;
use crate::world::incident;

const NAMESPACE: &str = "proof";
/// Plans that are tried.
const PLANS: usize = 150;
/// Namespaces with a policy and Runbooks at random.
const NAMESPACES: usize = 16;
/// Runbooks and incidents of each.
const EACH: usize = 4;
/// Rounds at least in which the time of the data goes on, and people approve.
const ROUNDS: usize = 120;
/// Longest wait for everything.
const DEADLINE: Duration = Duration::from_secs(300);

/// Random draws, the same ones in each run (splitmix64, Steele, Lea and Flood 2014).
struct Draws(u64);

impl Draws {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) % most as u64) as usize
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// The incident of a namespace whose cause is this entity.
fn news(namespace: &str, entity: &str, at: Timestamp) -> causeway_engine::Incident {
    let mut news = incident(at);
    let digest = causeway_actions::sha256_hex(entity.as_bytes());
    news.fingerprint = digest["sha256:".len()..][..12].to_owned();
    news.namespace = namespace.into();
    news.service = format!("{namespace}/gateway");
    news.root = entity.to_owned();
    for finding in news.symptoms.values_mut() {
        finding.namespace = namespace.into();
        finding.series.entity = format!("{namespace}/gateway").as_str().into();
    }
    let draft = news.draft.as_mut().unwrap();
    draft.signature = news.fingerprint.clone();
    draft.cause.entity = entity.to_owned();
    news
}

fn run_of(news: &causeway_engine::Incident) -> String {
    format!("gateway-{}-1", &news.fingerprint[..6])
}

/// Namespaces whose fixers may do everything, and limits that hold nothing back.
async fn prepare(admin: &Client, namespaces: &[&str]) {
    remove(admin, namespaces).await;
    system(admin).await;
    for namespace in namespaces {
        opt_in(admin, namespace, Fixer::Namespace, &[]).await;
    }
    let guardrail = json!({"metadata": {"name": "default"}, "spec": {"maxAutonomy": "Auto",
        "limits": {"actionsPerHour": 1000, "concurrentPerCluster": 100}}});
    create(&Api::<ClusterGuardrail>::all(admin.clone()), guardrail).await;
}

fn policy(name: &str, autonomy: &str, runbooks: &[&str]) -> Value {
    let runbooks: Vec<Value> = runbooks.iter().map(|name| json!({"name": name})).collect();
    json!({"apiVersion": "causeway.dev/v1alpha1", "kind": "RemediationPolicy", "metadata": {"name": name},
        "spec": {"runbooks": runbooks, "autonomy": autonomy,
            "limits": {"cooldown": "1m", "concurrent": 20, "actionsPerHour": 100}}})
}

async fn executor(admin: &Client, kubeconfig: &Value, folder: &std::path::Path) -> Option<Executor> {
    let program = given("CAUSEWAY_BINARY")?;
    let own = folder.join("executor.kubeconfig");
    std::fs::write(&own, role(admin, kubeconfig, "causeway-executor").await.to_string()).unwrap();
    Some(Executor::new(&program, &own, admin))
}

/// What may be said wrongly of a plan without changing what is done: words for people, and what can only hold it back.
const WORDS: [&str; 7] =
    ["/summary", "/notes", "/risk", "/via", "/plannedAt", "/cause/evidenceDigest", "/cause/margin"];

/// Whether a spec carries the proof that the operator wrote, `whole`.
fn is_whole(spec: &Value, whole: &Value, now: Timestamp) -> bool {
    let in_time = spec["expiresAt"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
    let mut stripped = [spec.clone(), whole.clone()];
    for one in &mut stripped {
        for pointer in WORDS.iter().chain(&["/expiresAt", "/cause/confidence"]) {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            if let Some(object) = one.pointer_mut(parent).and_then(Value::as_object_mut) {
                object.remove(key);
            }
        }
    }
    let latest = now + jiff::SignedDuration::from_mins(61);
    in_time.is_some_and(|at| at > now && at <= latest) && stripped[0] == stripped[1]
}

/// Every place of a value, as pointers.
fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, inner)| {
            leaves(inner, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found);
        }),
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, inner)| leaves(inner, &format!("{at}/{index}"), found));
        }
        _ => found.push(at.to_owned()),
    }
}

/// Changes one place at random.
fn spoil(spec: &mut Value, draws: &mut Draws) -> String {
    let mut all = Vec::new();
    leaves(spec, "", &mut all);
    all.retain(|place| !WORDS.iter().any(|word| place.starts_with(word)));
    let place = draws.of(&all).clone();
    let leaf = spec.pointer_mut(&place).unwrap();
    *leaf = match leaf.take() {
        Value::String(text) => match draws.below(4) {
            0 => Value::from(format!("{text}x")),
            1 => Value::from(text.replacen(['0', 'a', 'o'], "1", 1)),
            2 => Value::from("2099-01-01T00:00:00Z"),
            _ => Value::from(format!("\u{202e}{}", text.chars().rev().collect::<String>())),
        },
        Value::Number(number) => Value::from(number.as_i64().unwrap_or_default() + 1),
        Value::Bool(flag) => Value::from(!flag),
        other => other,
    };
    place
}

/// A defect with a name, or none at all. What is sealed anew carries digests that fit the changed plan.
fn defect(kind: usize, spec: &mut RemediationSpec, other: &RemediationSpec) -> &'static str {
    let mut is_sealed = true;
    let told = match kind {
        0 => "none",
        1 => {
            spec.mutations = other.mutations.clone();
            "the mutations of another plan"
        }
        2 => {
            spec.mutations = other.mutations.clone();
            spec.targets = other.targets.clone();
            spec.inverse = other.inverse.clone();
            is_sealed = false;
            "another plan under this digest"
        }
        3 => {
            spec.inverse = Inverse::None;
            "no way back"
        }
        4 => {
            spec.inverse = Inverse::Mutations(Vec::new());
            "an empty way back"
        }
        5 => {
            spec.inverse = Inverse::NotNeeded;
            "a way back that is said to be unneeded"
        }
        6 => {
            let text = serde_json::to_string(&spec.mutations).unwrap();
            spec.mutations = serde_json::from_str(&text.replace("off", "out")).unwrap();
            "another value"
        }
        7 => {
            let twice = spec.mutations.clone();
            spec.mutations.extend(twice);
            "the change twice"
        }
        8 => {
            spec.plan_digest = format!("sha256:{}", "0".repeat(64));
            is_sealed = false;
            "another digest"
        }
        9 => {
            spec.predicted_effect = None;
            is_sealed = false;
            "no predicted effect"
        }
        10 => {
            spec.predicted_effect = other.predicted_effect.clone();
            is_sealed = false;
            "the predicted effect of another plan"
        }
        11 => {
            spec.expires_at.0 = spec.planned_at.0;
            "expired"
        }
        12 => {
            spec.incident_ref.fingerprint = other.incident_ref.fingerprint.clone();
            "the fingerprint of another Incident"
        }
        13 => {
            spec.incident_ref = other.incident_ref.clone();
            "another Incident"
        }
        14 => {
            spec.cause = other.cause.clone();
            "another cause"
        }
        15 => {
            spec.runbook_ref.digest = other.plan_digest.clone();
            "another version of the Runbook"
        }
        16 => {
            spec.policy_ref.name = "shows".to_owned();
            "a policy that only suggests"
        }
        17 => {
            spec.policy_ref.name = "nowhere".to_owned();
            "a policy that is not there"
        }
        18 => {
            spec.verify.hold = causeway_remediate::DurationText::parse("1s").unwrap();
            "a success that is seen too soon"
        }
        19 => {
            spec.diff = other.diff.clone();
            "the difference of another plan"
        }
        20 => {
            spec.actions = vec![causeway_actions::ActionKind::Wait];
            "other actions"
        }
        21 => {
            for target in &mut spec.targets {
                target.namespace = "kube-system".to_owned();
            }
            "a target in another namespace"
        }
        22 => {
            spec.targets[0].uid = "00000000-0000-0000-0000-000000000000".to_owned();
            "a target that is another object"
        }
        _ => {
            spec.restores = Some(causeway_crds::reference::LocalRef { name: "nowhere".to_owned() });
            "it takes back what is not there"
        }
    };
    if is_sealed {
        spec.plan_digest = plan_digest(&spec.mutations, &spec.inverse);
        let digest = spec.plan_digest.clone();
        spec.predicted_effect = spec.predicted_effect.take().map(|effect| effect.sealed(&digest));
    }
    told
}

/// Defects of [`defect`].
const DEFECTS: usize = 24;

/// The plans that the operator makes for all incidents while nobody carries anything out.
async fn planned(admin: &Client, kubeconfig: &Value, folder: &std::path::Path) -> Vec<Remediation> {
    let maps = api(admin, "v1", "ConfigMap", NAMESPACE);
    for index in 0..PLANS {
        let object = json!({"metadata": {"name": format!("flags-{index}")}, "data": {"flagd.json": FLAGS}});
        maps.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }
    let runbook = json!({"metadata": {"name": "turn"}, "spec": {"summary": "turn it off",
        "appliesTo": {"causes": ["FaultyInstance"], "targets": [{"group": "", "kind": "ConfigMap"}]},
        "steps": [{"name": "turn", "type": "SetFeatureFlag", "setFeatureFlag": {"flag": "new-cart", "variant": "off"}}],
        "verify": {"within": "5m", "hold": "2m"}, "rollback": "Inverse", "risk": "Low"}});
    create(&Api::<Runbook>::namespaced(admin.clone(), NAMESPACE), runbook).await;
    let policies = Api::<RemediationPolicy>::namespaced(admin.clone(), NAMESPACE);
    for name in ["acts", "shows"] {
        create(&policies, policy(name, "Suggest", &["turn"])).await;
    }
    let operator = Operator::start(admin, kubeconfig, folder).await;
    let now = Timestamp::now();
    let all: Vec<_> = (0..PLANS)
        .map(|index| news(NAMESPACE, &format!("ConfigMap/{NAMESPACE}/flags-{index}"), now))
        .collect();
    all.iter().for_each(|news| operator.tell(news.clone()));
    let runs: Api<Remediation> = Api::namespaced(admin.clone(), NAMESPACE);
    until("plans", async || runs.list(&ListParams::default()).await.unwrap().items.len() == PLANS).await;
    operator.stop().await;
    let mut plans = Vec::new();
    for news in &all {
        let name = run_of(news);
        plans.push(runs.get(&name).await.unwrap());
        runs.delete(&name, &DeleteParams::default()).await.unwrap();
    }
    until("plans are gone", async || runs.list(&ListParams::default()).await.unwrap().items.is_empty()).await;
    let auto = json!({"spec": {"autonomy": "Auto"}});
    policies.patch("acts", &PatchParams::default(), &Patch::Merge(auto)).await.unwrap();
    plans
}

/// Whether nothing more will happen to it while nobody tells of the symptom.
fn is_settled(run: &Remediation) -> bool {
    let status = run.status.clone().unwrap_or_default();
    let waits = matches!(status.reason.as_deref(), Some("SuggestOnly" | "NoData" | "CapacityNeeded"));
    let can_t_be_read = status.conditions.iter().any(|condition| condition.reason == "Forbidden");
    status.phase.is_final() || status.phase == Phase::Verifying || waits || can_t_be_read
}

async fn settled(admin: &Client, executor: &Executor) -> Vec<Remediation> {
    let runs: Api<Remediation> = Api::namespaced(admin.clone(), NAMESPACE);
    let begun = Instant::now();
    loop {
        let all = runs.list(&ListParams::default()).await.unwrap().items;
        let open: Vec<_> = all.iter().filter(|run| !is_settled(run)).collect();
        if open.is_empty() {
            return all;
        }
        assert!(begun.elapsed() < DEADLINE, "not over: {open:#?}\n{}", executor.said());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_lacks_part_of_its_proof_changes_nothing() {
    let Some(kubeconfig) = real_cluster("plans with defects on a real API server") else { return };
    let _alone = ALONE.lock().await;
    let admin = client(&kubeconfig).await;
    define(&admin).await;
    prepare(&admin, &[NAMESPACE]).await;
    let folder = tempfile::tempdir().unwrap();
    let Some(executor) = executor(&admin, &kubeconfig, folder.path()).await else { return };
    let plans = planned(&admin, &kubeconfig, folder.path()).await;
    let log = AuditLog::from_now();

    let mut draws = Draws(20_261_126);
    let operator = client(&role(&admin, &kubeconfig, "causeway-operator").await).await;
    let runs: Api<Remediation> = Api::namespaced(operator, NAMESPACE);
    // Of each plan: what is wrong with it, and whether it may change anything.
    let mut tried: BTreeMap<usize, (String, bool)> = BTreeMap::new();
    let (mut intact, mut refused) = (0, 0);
    for (index, plan) in plans.iter().enumerate() {
        let other = &plans[(index + 1) % plans.len()].spec;
        let whole = serde_json::to_value(&plan.spec).unwrap();
        let (told, spec) = if index < 2 * DEFECTS {
            let mut spec = plan.spec.clone();
            let told = defect(index % DEFECTS, &mut spec, other);
            (told.to_owned(), serde_json::to_value(spec).unwrap())
        } else {
            let mut spec = whole.clone();
            let places: Vec<String> = (0..=draws.below(2)).map(|_| spoil(&mut spec, &mut draws)).collect();
            (places.join(", "), spec)
        };
        intact += usize::from(told == "none");
        let object = json!({"apiVersion": "causeway.dev/v1alpha1", "kind": "Remediation",
            "metadata": {"name": plan.name_any(), "namespace": NAMESPACE}, "spec": spec});
        let made = match serde_json::from_value::<Remediation>(object) {
            Ok(object) => runs.create(&PostParams::default(), &object).await.is_ok(),
            // What has no such form can't be sent by anybody.
            Err(_) => false,
        };
        refused += usize::from(!made);
        tried.insert(index, (told, made && is_whole(&spec, &whole, Timestamp::now())));
    }
    executor.start();
    let ended = settled(&admin, &executor).await;

    let maps = api(&admin, "v1", "ConfigMap", NAMESPACE);
    let mut changed = 0;
    for (index, (told, may)) in &tried {
        let name = format!("flags-{index}");
        let text = maps.get(&name).await.unwrap().data["data"]["flagd.json"].as_str().unwrap().to_owned();
        let planned = FLAGS.replace("\"defaultVariant\":\"on\"", "\"defaultVariant\":\"off\"");
        let run = ended.iter().find(|run| run.name_any() == plans[*index].name_any());
        let status = run.and_then(|run| run.status.as_ref()).map(|status| (&status.reason, &status.message));
        assert!(text == FLAGS || *may && text == planned, "{told}: {text} {status:#?}");
        if told == "none" {
            assert_eq!(text, planned, "an intact plan is carried out: {status:#?}");
        }
        changed += usize::from(text == planned);
    }
    assert_eq!(intact, 2);
    if let Some(log) = log {
        assert_eq!(log.changes_by_executor(), Vec::<String>::new());
        let witnessed = log.changes_by_fixers();
        assert_eq!(witnessed.len(), changed, "{witnessed:#?}");
        for change in &witnessed {
            let name = change.split('?').next().and_then(|path| path.rsplit_once("/flags-"));
            let index: usize = name.unwrap().1.parse().unwrap();
            let (told, may) = &tried[&index];
            assert!(may, "{told}: {change}");
        }
    }
    let told = format!("{PLANS} plans: the API server took {}, {changed} were whole\n", PLANS - refused);
    std::io::Write::write_all(&mut std::io::stderr(), told.as_bytes()).unwrap();
    assert!(refused > 10 && changed < PLANS / 3, "{told}");
    executor.stop();
    remove(&admin, &[NAMESPACE]).await;
}

/// A Runbook with steps, bounds and times at random; the API server refuses some.
fn random_runbook(name: &str, draws: &mut Draws) -> Value {
    let odd = |draws: &mut Draws| draws.below(8) == 0;
    let steps: Vec<Value> = (0..=draws.below(2))
        .map(|index| {
            let name = format!("step-{index}");
            match draws.below(9) {
                0 | 1 => json!({"name": name, "type": "RolloutRestart", "rolloutRestart": {}}),
                2 | 3 => {
                    let factor = if odd(draws) { *draws.of(&["20", "x", "-1"]) } else { *draws.of(&["2", "3", "0.5"]) };
                    json!({"name": name, "type": "Scale", "scale": {"factor": factor, "min": draws.below(3), "max": 3 + draws.below(4)}})
                }
                4 => json!({"name": name, "type": "PauseRollout", "pauseRollout": {}}),
                5 => json!({"name": name, "type": "PatchResources",
                    "patchResources": {"cpuFactor": "1.5", "maxCpu": *draws.of(&["4", "1m", "lots"])}}),
                6 => json!({"name": name, "type": "CallWebhook", "callWebhook": {"urlSecretRef": {"name": "none", "key": "url"}}}),
                7 if odd(draws) => json!({"name": name, "type": *draws.of(&["Scale", "Exec"]), "rolloutRestart": {}}),
                _ => json!({"name": name, "type": "Wait", "wait": {"seconds": 1 + draws.below(2)}}),
            }
        })
        .collect();
    let within = if odd(draws) { "0s" } else { *draws.of(&["5m", "3m"]) };
    let hold = if odd(draws) { "0s" } else { *draws.of(&["1m", "2m"]) };
    let (rollback, risk) =
        *draws.of(&[("Inverse", "Low"), ("Inverse", "Medium"), ("None", "High"), ("None", "Low")]);
    let mut spec = json!({"summary": "random", "steps": steps,
        "appliesTo": {"causes": ["FaultyInstance"], "targets": [{"group": "apps", "kind": "Deployment"}]},
        "verify": {"within": within, "hold": hold}, "rollback": rollback, "risk": risk});
    if draws.below(3) == 0 {
        let expressions = ["true", "false", "target.spec.replicas < 3", "target.nothing", "1 +"];
        spec["preconditions"] = json!([{"name": "if", "expr": *draws.of(&expressions)}]);
    }
    json!({"apiVersion": "causeway.dev/v1alpha1", "kind": "Runbook", "metadata": {"name": name}, "spec": spec})
}

/// An Approval with the right digests or wrong ones, by whoever creates it or in the name of somebody else.
async fn approve(admin: &Client, run: &Remediation, draws: &mut Draws) {
    let Some(shown) = run.status.as_ref().and_then(|status| status.dry_run.clone()) else { return };
    let wrong = format!("sha256:{}", "1".repeat(64));
    let [plan, diff] = [&run.spec.plan_digest, &shown.digest]
        .map(|right| if draws.below(3) == 0 { wrong.clone() } else { right.clone() });
    let object = json!({"apiVersion": "causeway.dev/v1alpha1", "kind": "Approval",
        "metadata": {"generateName": "random-"}, "spec": {
            "remediationRef": {"name": run.name_any(), "planDigest": plan}, "dryRunDigest": diff,
            "decision": *draws.of(&["Approve", "Approve", "Reject"]), "approver": *draws.of(&["admin", "anna"])}});
    let approvals: Api<Approval> = Api::namespaced(admin.clone(), &run.namespace().unwrap());
    let object = serde_json::from_value(object).unwrap();
    // One in the name of somebody else is refused.
    drop(approvals.create(&PostParams::default(), &object).await);
}

/// What must be true of a run that has begun.
#[track_caller]
fn assert_proven(run: &Remediation, autonomy: &BTreeMap<String, String>, approvals: &[Approval]) {
    let (spec, status) = (&run.spec, run.status.clone().unwrap());
    let told = format!("{spec:#?} {status:#?}");
    assert_eq!(spec.plan_digest, plan_digest(&spec.mutations, &spec.inverse), "{told}");
    let shown = status.dry_run.as_ref().unwrap_or_else(|| panic!("no rehearsal: {told}"));
    assert!(shown.at <= status.began_at.clone().unwrap(), "{told}");
    let effect = spec.predicted_effect.as_ref().unwrap_or_else(|| panic!("no predicted effect: {told}"));
    assert_eq!(effect.digest, effect.digest_for(&spec.plan_digest), "{told}");
    assert!(!spec.verify.hold.get().is_zero() && !spec.verify.within.get().is_zero(), "{told}");
    let level = autonomy[&run.namespace().unwrap()].as_str();
    let needs_people = level != "Auto" || spec.inverse == Inverse::None;
    if needs_people {
        let used = status.approvals.first().unwrap_or_else(|| panic!("nobody approved: {told}"));
        let is_used =
            |approval: &&Approval| approval.name_any() == *used && approval.namespace() == run.namespace();
        let used = approvals.iter().find(is_used).unwrap();
        assert_eq!(used.spec.remediation_ref.name, run.name_any());
        assert_eq!(used.spec.remediation_ref.plan_digest, spec.plan_digest);
        assert_eq!(used.spec.dry_run_digest.as_ref(), Some(&shown.digest));
        assert_eq!(used.spec.approver, "admin");
    }
    assert!(matches!(level, "Auto" | "Approve"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn random_runbooks_policies_and_approvals_change_nothing_without_the_full_proof() {
    let Some(kubeconfig) = real_cluster("random Runbooks on a real API server") else { return };
    let _alone = ALONE.lock().await;
    let admin = client(&kubeconfig).await;
    define(&admin).await;
    let namespaces: Vec<String> = (0..NAMESPACES).map(|index| format!("{NAMESPACE}-{index}")).collect();
    let places: Vec<&str> = namespaces.iter().map(String::as_str).collect();
    prepare(&admin, &places).await;
    let folder = tempfile::tempdir().unwrap();
    let Some(executor) = executor(&admin, &kubeconfig, folder.path()).await else { return };
    let mut draws = Draws(1_126);
    let now = Timestamp::now();
    let (mut accepted, mut autonomy, mut all) = (0, BTreeMap::new(), Vec::new());
    for namespace in &namespaces {
        let of = |kind: &str| api(&admin, "causeway.dev/v1alpha1", kind, namespace);
        let names: Vec<String> = (0..EACH).map(|index| format!("random-{index}")).collect();
        for name in &names {
            let object = serde_json::from_value(random_runbook(name, &mut draws)).unwrap();
            accepted += usize::from(of("Runbook").create(&PostParams::default(), &object).await.is_ok());
            let labels = json!({"app": name});
            // On a node that does not exist: pods are not the point.
            let object = json!({"metadata": {"name": name}, "spec": {"replicas": 2, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"nodeSelector": {"none": "such"}, "containers": [
                    {"name": "main", "image": "app:1", "resources": {"limits": {"cpu": "100m"}}}]}}}});
            let deployments = api(&admin, "apps/v1", "Deployment", namespace);
            deployments
                .create(&PostParams::default(), &serde_json::from_value(object).unwrap())
                .await
                .unwrap();
            all.push(news(namespace, &format!("{namespace}/{name}"), now));
        }
        let level = *draws.of(&["Observe", "Suggest", "Approve", "Approve", "Auto", "Auto"]);
        let mut listed: Vec<&str> = names.iter().map(String::as_str).collect();
        listed.remove(draws.below(EACH));
        listed.rotate_left(draws.below(EACH - 1));
        let object = serde_json::from_value(policy("random", level, &listed)).unwrap();
        if of("RemediationPolicy").create(&PostParams::default(), &object).await.is_ok() {
            autonomy.insert(namespace.clone(), level.to_owned());
        }
    }
    let log = AuditLog::from_now();
    let operator = Operator::start(&admin, &kubeconfig, folder.path()).await;
    executor.start();
    let runs: Api<Remediation> = Api::all(admin.clone());
    let own = |run: &Remediation| namespaces.contains(&run.namespace().unwrap_or_default());
    let has_begun = |run: &Remediation| run.status.as_ref().is_some_and(|status| status.began_at.is_some());
    let (started, mut round) = (Instant::now(), 0);
    loop {
        if round % 8 == 0 {
            for news in &mut all {
                news.revision += 1;
                operator.tell(news.clone());
            }
        }
        let all_runs: Vec<_> =
            runs.list(&ListParams::default()).await.unwrap().into_iter().filter(own).collect();
        let begun = all_runs.iter().filter(|run| has_begun(run));
        let with_people =
            begun.clone().filter(|run| !run.status.as_ref().unwrap().approvals.is_empty()).count();
        if round >= ROUNDS && begun.count() >= 5 && with_people >= 1 || started.elapsed() > DEADLINE {
            break;
        }
        for run in all_runs {
            let waits = run.status.as_ref().is_some_and(|status| status.phase == Phase::AwaitingApproval);
            if waits && draws.below(4) == 0 {
                approve(&admin, &run, &mut draws).await;
            }
        }
        operator.ahead(5_000_000);
        round += 1;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    operator.stop().await;
    executor.stop();

    let approvals = Api::<Approval>::all(admin.clone());
    let approvals = approvals.list(&ListParams::default()).await.unwrap().items;
    let mut ended = runs.list(&ListParams::default()).await.unwrap().items;
    ended.retain(own);
    let begun: Vec<&Remediation> = ended.iter().filter(|run| has_begun(run)).collect();
    begun.iter().for_each(|run| assert_proven(run, &autonomy, &approvals));
    let with_people = begun.iter().filter(|run| !run.status.as_ref().unwrap().approvals.is_empty()).count();
    let told = format!(
        "{accepted} of {} Runbooks, {} of {NAMESPACES} policies, {} plans, {} begun, {with_people} after an Approval of {}\n",
        NAMESPACES * EACH,
        autonomy.len(),
        ended.len(),
        begun.len(),
        approvals.len()
    );
    std::io::Write::write_all(&mut std::io::stderr(), told.as_bytes()).unwrap();
    if let Some(log) = log {
        assert_eq!(log.changes_by_executor(), Vec::<String>::new());
        let witnessed = log.changes_by_fixers();
        let mut by_target: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for change in &witnessed {
            let mut path = change.split(['/', '?']).skip_while(|part| *part != "namespaces").skip(1);
            let (namespace, name) = (path.next().unwrap(), path.nth(1).unwrap());
            *by_target.entry((namespace, name)).or_default() += 1;
        }
        for ((namespace, name), seen) in by_target {
            let own = begun.iter().filter(|run| {
                run.spec.targets[0].name == name && run.namespace().as_deref() == Some(namespace)
            });
            let steps: usize = own.map(|run| run.status.as_ref().unwrap().results.len()).sum();
            // A claim without a result is possible only where the executor was ended.
            assert!(seen <= steps + 1, "{namespace}/{name}: {seen} changes by {steps} steps");
        }
        assert!(witnessed.len() >= 5, "{} changes", witnessed.len());
    }
    assert!(begun.len() >= 5 && with_people >= 1, "{told}");
    remove(&admin, &places).await;
}

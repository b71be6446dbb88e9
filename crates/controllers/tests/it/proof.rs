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
use crate::deeds::{api, until};
use crate::executor::Executor;
use crate::operator::Operator;
use crate::real_actions::given;
use crate::world::incident;

const NAMESPACE: &str = "proof";
/// Plans that are tried.
const PLANS: usize = 150;
/// Incidents that random Runbooks and policies meet.
const INCIDENTS: usize = 60;
const FLAGS: &str =
    r#"{"flags":{"new-cart":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"on"}}}"#;
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

/// The incident whose cause is this entity.
fn news(index: usize, entity: &str, at: Timestamp) -> causeway_engine::Incident {
    let mut news = incident(at);
    let digest = causeway_actions::sha256_hex(format!("{index} {entity}").as_bytes());
    news.fingerprint = digest["sha256:".len()..][..12].to_owned();
    news.namespace = NAMESPACE.into();
    news.service = format!("{NAMESPACE}/gateway");
    news.root = entity.to_owned();
    for finding in news.symptoms.values_mut() {
        finding.namespace = NAMESPACE.into();
        finding.series.entity = format!("{NAMESPACE}/gateway").as_str().into();
    }
    let draft = news.draft.as_mut().unwrap();
    draft.signature = news.fingerprint.clone();
    draft.cause.entity = entity.to_owned();
    news
}

fn run_of(news: &causeway_engine::Incident) -> String {
    format!("gateway-{}-1", &news.fingerprint[..6])
}

/// A namespace whose fixer may do everything, and limits that hold nothing back.
async fn prepare(admin: &Client) {
    remove(admin, &[NAMESPACE]).await;
    system(admin).await;
    opt_in(admin, NAMESPACE, Fixer::Namespace, &[]).await;
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
const WORDS: [&str; 9] = [
    "/summary",
    "/notes",
    "/risk",
    "/sharedDependencies",
    "/via",
    "/plannedAt",
    "/leaseFor",
    "/cause/evidenceDigest",
    "/cause/margin",
];

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
    in_time.is_some_and(|at| at > now) && stripped[0] == stripped[1]
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
            spec.verify.hold = "1s".parse_duration();
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

trait ParseDuration {
    fn parse_duration(&self) -> causeway_remediate::DurationText;
}

impl ParseDuration for str {
    fn parse_duration(&self) -> causeway_remediate::DurationText {
        causeway_remediate::DurationText::parse(self).unwrap()
    }
}

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
    let all: Vec<_> =
        (0..PLANS).map(|index| news(index, &format!("ConfigMap/{NAMESPACE}/flags-{index}"), now)).collect();
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
    status.phase.is_final() || status.phase == Phase::Verifying || waits
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
    prepare(&admin).await;
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
        let witnessed = log.changes_by_fixers();
        assert_eq!(witnessed.len(), changed, "{witnessed:#?}");
        for change in &witnessed {
            let name =
                change.rsplit_once("/flags-").map(|(_, rest)| rest.trim_end_matches('?').parse::<usize>());
            let (told, may) = &tried[&name.unwrap().unwrap()];
            assert!(may, "{told}: {change}");
        }
    }
    assert!(refused > 10 && changed < PLANS / 3, "{refused} refused, {changed} changed");
    drop(executor);
    remove(&admin, &[NAMESPACE]).await;
}

/// A Runbook with steps, bounds and times at random; the API server refuses some.
fn random_runbook(name: &str, draws: &mut Draws) -> Value {
    let steps: Vec<Value> = (0..=draws.below(2))
        .map(|index| {
            let name = format!("step-{index}");
            match draws.below(9) {
                0 => json!({"name": name, "type": "RolloutRestart", "rolloutRestart": {}}),
                1 => json!({"name": name, "type": "Scale", "scale": {"factor": *draws.of(&["2", "0.5", "20", "x"]),
                    "min": draws.below(3), "max": draws.below(6)}}),
                2 => json!({"name": name, "type": "PauseRollout", "pauseRollout": {}}),
                3 => json!({"name": name, "type": "PatchResources", "patchResources": {"cpuFactor": "1.5", "maxCpu": *draws.of(&["4", "1m", "lots"])}}),
                4 => json!({"name": name, "type": "RolloutUndo", "rolloutUndo": {}}),
                5 => json!({"name": name, "type": "DeletePod", "deletePod": {}}),
                6 => json!({"name": name, "type": "CallWebhook", "callWebhook": {"urlSecretRef": {"name": "none", "key": "url"}}}),
                7 => json!({"name": name, "type": *draws.of(&["Scale", "Exec"]), "rolloutRestart": {}}),
                _ => json!({"name": name, "type": "Wait", "wait": {"seconds": draws.below(3)}}),
            }
        })
        .collect();
    let expressions = ["true", "false", "target.spec.replicas < 3", "target.nothing", "1 +"];
    let mut spec = json!({"summary": "random", "steps": steps,
        "appliesTo": {"causes": [*draws.of(&["FaultyInstance", "BadRelease"])],
            "targets": [{"group": "apps", "kind": *draws.of(&["Deployment", "Deployment", "StatefulSet"])}]},
        "verify": {"within": *draws.of(&["5m", "1m", "0s"]), "hold": *draws.of(&["1m", "2m", "0s"])},
        "rollback": *draws.of(&["Inverse", "Inverse", "None"]), "risk": *draws.of(&["Low", "Medium", "High"])});
    if draws.below(3) == 0 {
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
    let approvals: Api<Approval> = Api::namespaced(admin.clone(), NAMESPACE);
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
    let needs_people = autonomy[&spec.policy_ref.name] != "Auto" || spec.inverse == Inverse::None;
    if needs_people {
        let used = status.approvals.first().unwrap_or_else(|| panic!("nobody approved: {told}"));
        let used = approvals.iter().find(|approval| approval.name_any() == *used).unwrap();
        assert_eq!(used.spec.remediation_ref.name, run.name_any());
        assert_eq!(used.spec.remediation_ref.plan_digest, spec.plan_digest);
        assert_eq!(used.spec.dry_run_digest.as_ref(), Some(&shown.digest));
        assert_eq!(used.spec.approver, "admin");
    }
    assert!(matches!(autonomy[&spec.policy_ref.name].as_str(), "Auto" | "Approve"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn random_runbooks_policies_and_approvals_change_nothing_without_the_full_proof() {
    let Some(kubeconfig) = real_cluster("random Runbooks on a real API server") else { return };
    let _alone = ALONE.lock().await;
    let admin = client(&kubeconfig).await;
    define(&admin).await;
    prepare(&admin).await;
    let folder = tempfile::tempdir().unwrap();
    let Some(executor) = executor(&admin, &kubeconfig, folder.path()).await else { return };
    let mut draws = Draws(1_126);
    let deployments = api(&admin, "apps/v1", "Deployment", NAMESPACE);
    for index in 0..INCIDENTS {
        let labels = json!({"app": format!("app-{index}")});
        // On a node that does not exist: pods are not the point.
        let object = json!({"metadata": {"name": format!("app-{index}")}, "spec": {"replicas": 2, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"nodeSelector": {"none": "such"}, "containers": [
                {"name": "main", "image": "app:1", "resources": {"limits": {"cpu": "100m"}}}]}}}});
        deployments.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }
    let (runbooks, policies) = (
        api(&admin, "causeway.dev/v1alpha1", "Runbook", NAMESPACE),
        Api::<RemediationPolicy>::namespaced(admin.clone(), NAMESPACE),
    );
    let mut accepted = 0;
    let names: Vec<String> = (0..40).map(|index| format!("random-{index}")).collect();
    for name in &names {
        let object = serde_json::from_value(random_runbook(name, &mut draws)).unwrap();
        accepted += usize::from(runbooks.create(&PostParams::default(), &object).await.is_ok());
    }
    assert!((5..35).contains(&accepted), "{accepted} of 40 Runbooks are taken");
    let mut autonomy = BTreeMap::new();
    for index in 0..12 {
        let level = *draws.of(&["Observe", "Suggest", "Approve", "Auto", "Auto"]);
        let listed: Vec<&str> = (0..4).map(|_| draws.of(&names).as_str()).collect();
        let name = format!("random-{index}");
        let object = serde_json::from_value(policy(&name, level, &listed)).unwrap();
        if policies.create(&PostParams::default(), &object).await.is_ok() {
            autonomy.insert(name, level.to_owned());
        }
    }
    let log = AuditLog::from_now();
    let operator = Operator::start(&admin, &kubeconfig, folder.path()).await;
    executor.start();
    let now = Timestamp::now();
    let mut all: Vec<_> =
        (0..INCIDENTS).map(|index| news(index, &format!("{NAMESPACE}/app-{index}"), now)).collect();
    let runs: Api<Remediation> = Api::namespaced(admin.clone(), NAMESPACE);
    for _ in 0..40 {
        for news in &mut all {
            news.revision += 1;
            operator.tell(news.clone());
        }
        for run in runs.list(&ListParams::default()).await.unwrap() {
            let waits = run.status.as_ref().is_some_and(|status| status.phase == Phase::AwaitingApproval);
            if waits && draws.below(3) == 0 {
                approve(&admin, &run, &mut draws).await;
            }
        }
        operator.ahead(20_000_000);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    operator.stop().await;
    drop(executor);

    let approvals = Api::<Approval>::namespaced(admin.clone(), NAMESPACE);
    let approvals = approvals.list(&ListParams::default()).await.unwrap().items;
    let ended = runs.list(&ListParams::default()).await.unwrap().items;
    let begun: Vec<&Remediation> = ended
        .iter()
        .filter(|run| run.status.as_ref().is_some_and(|status| status.began_at.is_some()))
        .collect();
    begun.iter().for_each(|run| assert_proven(run, &autonomy, &approvals));
    let with_people = begun.iter().filter(|run| !run.status.as_ref().unwrap().approvals.is_empty()).count();
    if let Some(log) = log {
        let witnessed = log.changes_by_fixers();
        let mut by_name: BTreeMap<&str, usize> = BTreeMap::new();
        for change in &witnessed {
            let name = change.split(['/', '?']).skip_while(|part| *part != "deployments").nth(1);
            *by_name.entry(name.unwrap()).or_default() += 1;
        }
        for (name, seen) in by_name {
            let own = begun.iter().filter(|run| run.spec.targets[0].name == name);
            let steps: usize = own.map(|run| run.status.as_ref().unwrap().results.len()).sum();
            // A claim without a result is possible only where the executor was ended.
            assert!(seen <= steps + 1, "{name}: {seen} changes by {steps} steps");
        }
        assert!(witnessed.len() >= 5, "{} changes", witnessed.len());
    }
    let told = format!(
        "{accepted} of 40 Runbooks, {} of 12 policies, {} plans, {} begun, {with_people} after an Approval of {}\n",
        autonomy.len(),
        ended.len(),
        begun.len(),
        approvals.len()
    );
    std::io::Write::write_all(&mut std::io::stderr(), told.as_bytes()).unwrap();
    assert!(begun.len() >= 5 && with_people >= 1, "{told}");
    remove(&admin, &[NAMESPACE]).await;
}

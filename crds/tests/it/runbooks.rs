//! Every shipped runbook is valid, is planned against live objects as an API server returns them, and does what its
//! README shows.

use causeway_actions::{Inverse, LiveState, Mutation, Plan, TargetView, live_state, plan_sequence};
use causeway_crds::{CauseKind, Runbook, view};
use serde_json::{Value, json};

use crate::examples::{check, documents, repository};

fn shipped(folder: &str) -> Vec<Runbook> {
    let text =
        std::fs::read_to_string(repository().join("runbooks").join(folder).join("runbook.yaml")).unwrap();
    documents(&text)
        .into_iter()
        .map(|document| {
            assert_eq!(check(&document, None), Ok(()), "{folder}");
            serde_json::from_value(document).unwrap()
        })
        .collect()
}

/// The fenced differences of a README.
fn shown(folder: &str) -> Vec<String> {
    let page = std::fs::read_to_string(repository().join("runbooks").join(folder).join("README.md")).unwrap();
    page.split("```diff\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

fn plan(runbook: &Runbook, view: &TargetView) -> Plan {
    let parameters = runbook.spec.parameters.iter().map(|p| (p.name.clone(), p.default.clone())).collect();
    let actions: Vec<_> =
        runbook.spec.steps.iter().map(|step| step.action.with_parameters(&parameters).unwrap()).collect();
    plan_sequence(&actions, view).unwrap()
}

fn pod_template(name: &str, release: i64) -> Value {
    json!({
        "metadata": {"labels": {"app": name}},
        "spec": {
            "containers": [
                {"name": "proxy", "image": "registry.example.com/proxy:1", "imagePullPolicy": "IfNotPresent",
                 "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File", "resources": {}},
                {"name": name, "image": format!("registry.example.com/{name}:{release}"), "imagePullPolicy": "IfNotPresent",
                 "envFrom": [{"configMapRef": {"name": "tax-rates"}}],
                 "resources": {"limits": {"cpu": "1", "memory": "512Mi"}, "requests": {"cpu": "250m", "memory": "256Mi"}},
                 "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080, "scheme": "HTTP"}, "periodSeconds": 5}},
            ],
            "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler",
            "securityContext": {}, "terminationGracePeriodSeconds": 30,
        },
    })
}

fn deployment(name: &str, replicas: i32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": name, "namespace": "shop", "uid": format!("uid-{name}"), "resourceVersion": "7711", "generation": 12,
            "creationTimestamp": "2026-10-01T08:00:00Z", "labels": {"app": name},
            "annotations": {"deployment.kubernetes.io/revision": "8"},
            "managedFields": [{"manager": "kubectl", "operation": "Update", "apiVersion": "apps/v1", "time": "2026-11-27T19:50:00Z",
                "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:template": {}}}}],
        },
        "spec": {
            "replicas": replicas, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
            "selector": {"matchLabels": {"app": name}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "template": pod_template(name, 8),
        },
        "status": {"observedGeneration": 12, "replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas},
    })
}

fn replica_set(name: &str, release: i64) -> Value {
    let mut template = pod_template(name, release);
    template["metadata"]["labels"]["pod-template-hash"] = json!(format!("6d4b{release}"));
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{name}-6d4b{release}"), "namespace": "shop", "uid": format!("rs-{release}"),
            "annotations": {"deployment.kubernetes.io/revision": release.to_string()},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": format!("uid-{name}"), "controller": true}],
        },
        "spec": {"replicas": 0, "template": template},
    })
}

fn view_of(name: &str, replicas: i32) -> TargetView {
    TargetView {
        workload: Some(deployment(name, replicas)),
        replica_sets: (5..=8).map(|release| replica_set(name, release)).collect(),
        ..TargetView::empty("checkout-7f3a-1", "2026-11-27T20:00:00Z".parse().unwrap())
    }
}

fn config_view() -> TargetView {
    let revision = |number: i64, nl: &str| {
        json!({
            "apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": number,
            "metadata": {"name": format!("tax-rates-{number}"), "namespace": "shop",
                "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "tax-rates", "uid": "uid-cm"}]},
            "data": {"data": {"BE": "0.21", "NL": nl}},
        })
    };
    TargetView {
        config_map: Some(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "tax-rates", "namespace": "shop", "uid": "uid-cm", "resourceVersion": "99"},
            "data": {"BE": "0.21", "NL": "2.1"},
        })),
        config_history: vec![revision(3, "0.19"), revision(4, "0.21"), revision(5, "2.1")],
        ..view_of("pricing", 3)
    }
}

/// The digest of the restored configuration is shortened in the README.
fn shortened(diff: &str) -> String {
    let Some((before, rest)) = diff.split_once("sha256:") else { return diff.to_owned() };
    format!("{before}sha256:…{}", &rest[64..])
}

/// Every mutation finds the old value now, so that it would be accepted.
fn fits(plan: &Plan, view: &TargetView) {
    for mutation in plan.mutations.iter().filter(|m| !matches!(m, Mutation::CreateJob(_))) {
        let live = [&view.workload, &view.config_map, &view.hpa, &view.node]
            .into_iter()
            .flatten()
            .chain(&view.extra)
            .chain(&view.pods)
            .find(|object| object["metadata"]["uid"] == mutation.target().uid.as_str());
        assert_eq!(live_state(mutation, live), LiveState::Old, "{mutation:?}");
    }
}

#[test]
fn bad_release_rolls_back() {
    let runbooks = shipped("bad-release");
    let view = view_of("checkout", 3);
    let plan = plan(&runbooks[0], &view);
    assert_eq!(vec![plan.diff.clone()], shown("bad-release"));
    assert!(matches!(plan.inverse, Inverse::Mutations(_)));
    fits(&plan, &view);
}

#[test]
fn bad_configuration_restores_and_loads() {
    let runbooks = shipped("bad-configuration");
    let view = config_view();
    let plan = plan(&runbooks[0], &view);
    assert_eq!(vec![shortened(&plan.diff)], shown("bad-configuration"));
    fits(&plan, &view);
}

#[test]
fn saturation_adds_replicas_or_moves_the_bounds() {
    let runbooks = shipped("saturation");
    let view = view_of("checkout", 4);
    let grow = plan(&runbooks[0], &view);
    assert!(matches!(&grow.mutations[..], [Mutation::Scale(scale)] if (scale.from, scale.to) == (4, 6)));
    let hpa = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "checkout", "namespace": "shop", "uid": "uid-hpa", "resourceVersion": "5"},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"},
            "minReplicas": 4, "maxReplicas": 20},
    });
    let governed = TargetView { hpa: Some(hpa), ..view.clone() };
    let raise = plan(&runbooks[1], &governed);
    assert_eq!(vec![grow.diff.clone(), raise.diff.clone()], shown("saturation"));
    fits(&grow, &view);
    fits(&raise, &governed);
    let through = plan(&runbooks[0], &governed);
    assert!(through.diff.starts_with("HorizontalPodAutoscaler/"), "{}", through.diff);
}

#[test]
fn faulty_instance_restarts() {
    let runbooks = shipped("faulty-instance");
    let view = view_of("checkout", 3);
    let plan = plan(&runbooks[0], &view);
    assert_eq!(vec![plan.diff.clone()], shown("faulty-instance"));
    assert_eq!(plan.inverse, Inverse::NotNeeded);
    fits(&plan, &view);
}

/// The view that each runbook of a folder is shown on.
fn views(folder: &str) -> TargetView {
    let mut view = view_of("checkout", 8);
    match folder {
        "crash-loop" => {
            let pod = |name: &str, ready: &str| {
                json!({"apiVersion": "v1", "kind": "Pod",
                    "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"),
                        "ownerReferences": [{"kind": "ReplicaSet", "name": "checkout-6d4b8", "uid": "rs-8", "controller": true}]},
                    "status": {"conditions": [{"type": "Ready", "status": ready}]}})
            };
            view.pods = vec![pod("checkout-6d4b8-a", "True"), pod("checkout-6d4b8-b", "False")];
        }
        "full-disk" => {
            view.extra = vec![json!({"apiVersion": "batch/v1", "kind": "Job",
                "metadata": {"name": "clean-disk", "namespace": "shop", "uid": "uid-job",
                    "annotations": {"causeway.dev/runbook-job": "true"}},
                "spec": {"suspend": true, "template": {"spec": {"restartPolicy": "Never",
                    "containers": [{"name": "main", "image": "registry.example.com/clean:3"}]}}}})];
        }
        "dependency-down" => {
            let flags = json!({"flags": {"recommendations": {"state": "ENABLED",
                "variants": {"on": true, "off": false}, "defaultVariant": "on"}}});
            view.extra = vec![json!({"apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "feature-flags", "namespace": "shop", "uid": "uid-flags"},
                "data": {"flagd.json": flags.to_string()}})];
        }
        "node-pressure" => {
            let node = json!({"apiVersion": "v1", "kind": "Node",
                "metadata": {"name": "node-1", "uid": "uid-node", "resourceVersion": "3"}, "spec": {"podCIDR": "10.0.0.0/24"}});
            view = TargetView { node: Some(node), ..TargetView::empty("node-1-run", view.now) };
        }
        "bad-secret" => {
            let name = |object: &mut Value, secret: &str| {
                object["spec"]["template"]["spec"]["containers"][1]["envFrom"] =
                    json!([{"secretRef": {"name": secret}}]);
            };
            name(view.workload.as_mut().unwrap(), "db-v2");
            for (set, secret) in view.replica_sets.iter_mut().zip(["db-v1", "db-v1", "db-v1", "db-v2"]) {
                name(set, secret);
            }
        }
        _ => {}
    }
    view
}

/// The expressions of a runbook hold on what it is shown on.
fn holds(runbook: &Runbook, view: &TargetView) {
    let facts = causeway_remediate::Facts {
        target: view.subject().unwrap().clone(),
        params: runbook.spec.parameters.iter().map(|p| (p.name.clone(), p.default.clone())).collect(),
        ..causeway_remediate::Facts::default()
    };
    for precondition in &runbook.spec.preconditions {
        let compiled = causeway_remediate::Precondition::compile(&precondition.expr).unwrap();
        assert_eq!(compiled.holds(&facts), Ok(true), "{}", precondition.name);
    }
}

const PLAIN: [&str; 9] = [
    "bad-secret",
    "connection-pool",
    "crash-loop",
    "dependency-down",
    "full-disk",
    "memory-leak",
    "node-pressure",
    "queue-growth",
    "stuck-rollout",
];

#[test]
fn every_other_runbook_does_what_its_page_shows() {
    for folder in PLAIN {
        let view = views(folder);
        let mut diffs = Vec::new();
        for runbook in shipped(folder) {
            holds(&runbook, &view);
            let plan = plan(&runbook, &view);
            fits(&plan, &view);
            diffs.push(plan.diff);
        }
        if std::env::var_os("BLESS").is_some() {
            bless(folder, &diffs);
        }
        assert_eq!(diffs, shown(folder), "{folder}: BLESS=1 writes the differences into its page");
    }
}

/// Writes the differences into the page.
fn bless(folder: &str, diffs: &[String]) {
    let path = repository().join("runbooks").join(folder).join("README.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let mut parts = page.split("```diff\n");
    let mut text = parts.next().unwrap().to_owned();
    for (part, diff) in parts.zip(diffs) {
        let (_, after) = part.split_once("```").unwrap();
        text.push_str(&format!("```diff\n{diff}```{after}"));
    }
    std::fs::write(path, text).unwrap();
}

#[test]
fn every_folder_is_tested_and_listed() {
    let mut tested = vec!["bad-configuration", "bad-release", "faulty-instance", "saturation"];
    tested.extend(PLAIN);
    tested.sort_unstable();
    let mut folders: Vec<String> = std::fs::read_dir(repository().join("runbooks"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    folders.sort();
    assert_eq!(folders, tested);
    let list = std::fs::read_to_string(repository().join("runbooks/README.md")).unwrap();
    for folder in folders {
        for runbook in shipped(&folder) {
            let name = runbook.metadata.name.unwrap();
            assert!(list.contains(&format!("`{name}`")), "{name} is not in runbooks/README.md");
        }
    }
}

#[test]
fn the_words_of_causes_are_those_of_the_runbooks() {
    for cause in CauseKind::ALL {
        assert_eq!(serde_json::to_value(cause).unwrap(), cause.as_str());
    }
}

/// From a runbook over a plan to an object that passes the rules, and from there into the state machine.
#[test]
fn a_plan_becomes_a_remediation_that_the_state_machine_takes() {
    let runbook = &shipped("bad-configuration")[0];
    let target_view = config_view();
    let plan = plan(runbook, &target_view);
    let targets: Vec<_> = plan.mutations.iter().map(|m| m.target().clone()).collect();
    let mut object = crate::examples::example("remediation.md");
    object.as_object_mut().unwrap().remove("status");
    let spec = &mut object["spec"];
    spec["runbookRef"]["digest"] = json!(view::spec_digest(&runbook.spec).unwrap());
    spec["targets"] = json!(targets);
    spec["planDigest"] = json!(plan.digest());
    spec["diff"] = json!(plan.diff);
    spec["mutations"] = json!(plan.mutations);
    spec["inverse"] = json!(plan.inverse);
    let effect: causeway_remediate::PredictedEffect =
        serde_json::from_value(spec["predictedEffect"].clone()).unwrap();
    spec["predictedEffect"] = json!(effect.sealed(&plan.digest()));
    assert_eq!(check(&object, None), Ok(()));

    let remediation: causeway_crds::Remediation = serde_json::from_value(object).unwrap();
    let taken = view::remediation_view(&remediation);
    assert_eq!(taken.mutations, plan.mutations, "nothing is lost on the way through the API");
    let policy: causeway_crds::RemediationPolicy =
        serde_json::from_value(crate::examples::example("remediation-policy.md")).unwrap();
    let mut policy = view::policy_view(&policy);
    policy.runbooks.push((taken.runbook.clone(), causeway_crds::Autonomy::Approve));
    let rail: causeway_crds::ClusterGuardrail =
        serde_json::from_value(crate::examples::example("cluster-guardrail.md")).unwrap();
    let incident: causeway_crds::Incident =
        serde_json::from_value(crate::examples::example("incident.md")).unwrap();
    assert_eq!(view::cause_view(&incident).unwrap().target_kind, "ConfigMap");
    let now = "2026-11-27T20:00:00Z".parse().unwrap();
    let live = [&target_view.workload, &target_view.config_map].into_iter().flatten();
    let observed = causeway_remediate::Observed {
        policy: Some(policy),
        guardrails: vec![view::guardrail_view(&rail)],
        pauses: Vec::new(),
        peak_ceiling: None,
        peak: None,
        freeze: None,
        admission_since: Some("2026-11-01T00:00:00Z".parse().unwrap()),
        opted_in: ["shop".to_owned()].into(),
        approvals: Vec::new(),
        symptom: view::symptom_view(&incident),
        live: live.map(|o| (o["metadata"]["uid"].as_str().unwrap().to_owned(), o.clone())).collect(),
        rebuilt_digest: Some(Ok(plan.digest())),
        hurting: None,
        others: vec![view::other_run(&remediation)],
        service_workloads: 1,
        claim_origin: causeway_remediate::ClaimOrigin::Found,
    };
    assert_eq!(causeway_remediate::step(&taken, &observed, now), causeway_remediate::Decision::DryRun);
}

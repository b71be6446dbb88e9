//! Approvals and Pauses in the caller's own name.

use causeway_crds::{ApprovalDecision, Pause};
use kube::Api;
use serde_json::{Value, json};

use crate::world::World;

const FORM: [(&str, &str); 5] = [
    ("planDigest", "plan-digest"),
    ("dryRunDigest", "dry-digest"),
    ("comment", "seen it"),
    ("incident", "slow"),
    ("incident_namespace", "shop"),
];

fn with(decision: &'static str) -> Vec<(&'static str, &'static str)> {
    FORM.into_iter().chain([("decision", decision)]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_writes_an_approval_in_the_callers_name_with_what_was_shown() {
    let world = World::new().await;
    world.incident("shop", "slow", "web is slow").await;
    world.remediation("shop", "fix").await;
    let (_, page) = world.get("ann", "/incidents/shop/slow").await;
    for part in
        ["value=\"Approve\"", "value=\"plan-digest\"", "value=\"dry-digest\"", "Scale cart", "class=\"add\""]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    let request =
        world.form("ann", "/remediations/shop/fix", &with("Approve")).header("origin", &world.console);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
    assert_eq!(answer.headers()["location"], "/incidents/shop/slow#remediation-fix");
    let approvals = world.approvals().await;
    let spec = &approvals[0].spec;
    assert_eq!(approvals.len(), 1);
    assert_eq!((spec.approver.as_str(), spec.decision), ("ann", ApprovalDecision::Approve));
    assert_eq!(
        (spec.remediation_ref.name.as_str(), spec.remediation_ref.plan_digest.as_str()),
        ("fix", "plan-digest")
    );
    assert_eq!(
        (spec.dry_run_digest.as_deref(), spec.comment.as_deref()),
        (Some("dry-digest"), Some("seen it"))
    );
    assert_eq!(approvals[0].metadata.namespace.as_deref(), Some("shop"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_decides_by_the_api() {
    let world = World::new().await;
    world.remediation("shop", "fix").await;
    let post = |body: Value| {
        let url = format!("{}/api/v1/namespaces/shop/remediations/fix/approvals", world.console);
        world.http.post(url).bearer_auth(world.token("admin")).json(&body).send()
    };
    let answer = post(json!({"decision": "Reject", "planDigest": "plan-digest"})).await.unwrap();
    assert_eq!(answer.status(), 201);
    let made: Value = answer.json().await.unwrap();
    assert_eq!((&made["spec"]["approver"], &made["spec"]["decision"]), (&json!("admin"), &json!("Reject")));
    let answer = post(json!({"decision": "Perhaps", "planDigest": "plan-digest"})).await.unwrap();
    assert_eq!(answer.status(), 422);
    assert!(answer.text().await.unwrap().contains("Perhaps"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_is_no_longer_the_one_shown_is_not_approved() {
    let world = World::new().await;
    world.incident("shop", "slow", "web is slow").await;
    world.remediation("shop", "fix").await;
    for (plan, dry_run) in [("plan-digest", "another"), ("another", "dry-digest")] {
        let form = [
            ("planDigest", plan),
            ("dryRunDigest", dry_run),
            ("decision", "Approve"),
            ("incident", "slow"),
            ("incident_namespace", "shop"),
        ];
        let request = world.form("ann", "/remediations/shop/fix", &form).header("origin", &world.console);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 409);
        let page = answer.text().await.unwrap();
        assert!(page.contains("is not what you were shown"), "{page}");
    }
    assert!(world.approvals().await.is_empty());
    // Where one may not read, one may not decide.
    world.remediation("bank", "fix").await;
    let request =
        world.form("ann", "/remediations/bank/fix", &with("Approve")).header("origin", &world.console);
    assert_eq!(request.send().await.unwrap().status(), 403);
    assert!(world.approvals().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn repairs_are_paused_and_resumed_by_who_may() {
    let world = World::new().await;
    let pauses: Api<Pause> = Api::all(world.cluster.client("admin"));
    let form = [("reason", "sale tonight"), ("namespaces", "shop, bank")];
    let refused = world.form("ann", "/pauses", &form).header("origin", &world.console).send().await.unwrap();
    assert_eq!(refused.status(), 403);
    assert!(pauses.list(&Default::default()).await.unwrap().items.is_empty());
    let made = world.form("admin", "/pauses", &form).header("origin", &world.console).send().await.unwrap();
    assert_eq!(made.status(), 303);
    let pause = pauses.list(&Default::default()).await.unwrap().items.remove(0);
    assert_eq!(pause.spec.namespaces, ["shop", "bank"]);
    assert_eq!(
        (pause.spec.by.as_deref(), pause.spec.reason.as_deref()),
        (Some("admin"), Some("sale tonight"))
    );
    let (_, page) = world.get("admin", "/incidents").await;
    assert!(page.contains("Repairs are paused in shop, bank: sale tonight"), "{page}");
    let path = format!("/pauses/{}/delete", pause.metadata.name.unwrap());
    let gone = world.form("admin", &path, &[]).header("origin", &world.console).send().await.unwrap();
    assert_eq!(gone.status(), 303);
    assert!(pauses.list(&Default::default()).await.unwrap().items.is_empty());
}

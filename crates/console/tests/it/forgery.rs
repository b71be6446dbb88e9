//! What a foreign page makes a browser send changes nothing.

use serde_json::json;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_alone_changes_nothing() {
    let world = World::new().await;
    world.remediation("shop", "fix").await;
    let decided = [
        ("planDigest", "plan-digest"),
        ("dryRunDigest", "dry-digest"),
        ("decision", "Approve"),
        ("incident", "slow"),
        ("incident_namespace", "shop"),
    ];
    for origin in [None, Some("null"), Some("https://evil.example"), Some("http://127.0.0.1")] {
        for (path, form) in [("/remediations/shop/fix", &decided[..]), ("/pauses", &[]), ("/sign-out", &[])] {
            let mut request = world.form("admin", path, form);
            if let Some(origin) = origin {
                request = request.header("origin", origin);
            }
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 403, "{path} {origin:?}");
            assert!(answer.text().await.unwrap().contains("does not come from a page of this console"));
        }
    }
    // The same by JSON, which a form can't send, and without a body.
    let cookie = format!("causeway_session={}", world.token("admin"));
    let url = format!("{}/api/v1/pauses", world.console);
    let answer = world.http.post(&url).header("cookie", &cookie).json(&json!({})).send().await.unwrap();
    assert_eq!(answer.status(), 403);
    let answer = world.http.delete(format!("{url}/x")).header("cookie", &cookie).send().await.unwrap();
    assert_eq!(answer.status(), 403);
    assert!(world.approvals().await.is_empty());
    // Who has the token itself needs no page.
    let answer =
        world.http.post(&url).bearer_auth(world.token("admin")).json(&json!({})).send().await.unwrap();
    assert_eq!(answer.status(), 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_signed_in_by_a_foreign_page() {
    let world = World::new().await;
    let request =
        world.http.post(format!("{}/sign-in", world.console)).header("origin", "https://evil.example");
    let body = format!("token={}", world.token("admin"));
    let answer =
        request.header("content-type", "application/x-www-form-urlencoded").body(body).send().await.unwrap();
    assert_eq!(answer.status(), 403);
    assert!(answer.headers().get("set-cookie").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_binds_the_browser_and_nothing_comes_from_elsewhere() {
    let world = World::new().await;
    world.incident("shop", "slow", "web is slow").await;
    for path in [
        "/sign-in",
        "/incidents",
        "/incidents/shop/slow",
        "/services",
        "/explore",
        "/policies",
        "/assets/app.css",
        "/assets/app.js",
        "/api/v1/whoami",
        "/nothing",
    ] {
        let request = world.http.get(format!("{}{path}", world.console)).bearer_auth(world.token("admin"));
        let answer = request.send().await.unwrap();
        let policy = answer.headers()["content-security-policy"].to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"),
            "{path}: {policy}"
        );
        assert!(
            !policy.contains("unsafe") && answer.headers()["x-content-type-options"] == "nosniff",
            "{path}"
        );
        let text = answer.text().await.unwrap();
        for mark in ["src=\"http", "href=\"http", "url(http", "@import", " style=\"", " onclick=", "<script>"]
        {
            assert!(!text.contains(mark), "{path} has {mark}");
        }
    }
}

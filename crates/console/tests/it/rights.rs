//! Who sees what, and how people get in.

use serde_json::{Value, json};

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_by_token_and_out() {
    let world = World::new().await;
    world.incident("shop", "slow", "web is slow").await;
    let get = |path: &str| world.http.get(format!("{}{path}", world.console));
    // Without a token the way leads to the door, and back afterwards.
    let away = get("/incidents/shop/slow").send().await.unwrap();
    assert_eq!(away.status(), 303);
    assert_eq!(away.headers()["location"], "/sign-in?next=%2Fincidents%2Fshop%2Fslow");
    let door = get("/sign-in?next=/incidents/shop/slow").send().await.unwrap().text().await.unwrap();
    assert!(door.replace("&#x2f;", "/").contains("value=\"/incidents/shop/slow\""), "{door}");

    let sign_in = |token: String| {
        let body = format!("token={token}&next=/incidents/shop/slow");
        let request = world.http.post(format!("{}/sign-in", world.console)).body(body);
        request
            .header("content-type", "application/x-www-form-urlencoded")
            .header("origin", &world.console)
            .send()
    };
    let refused = sign_in("a-wrong-token".to_owned()).await.unwrap();
    assert_eq!(refused.status(), 401);
    assert!(refused.headers().get("set-cookie").is_none());
    assert!(refused.text().await.unwrap().contains("not known to the API server"));

    let let_in = sign_in(world.token("ann")).await.unwrap();
    assert_eq!(
        (let_in.status().as_u16(), &let_in.headers()["location"]),
        (303, &"/incidents/shop/slow".parse().unwrap())
    );
    let cookie = let_in.headers()["set-cookie"].to_str().unwrap().to_owned();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let pair = cookie.split(';').next().unwrap();
    let page = get("/incidents/shop/slow").header("cookie", pair).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("web is slow") && page.contains("ann"), "{page}");

    let out = world.form("ann", "/sign-out", &[]).header("origin", &world.console).send().await.unwrap();
    assert!(
        out.headers()["set-cookie"].to_str().unwrap().starts_with("causeway_session=; Path=/; Max-Age=0")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_of_another_site_comes_to_its_page() {
    let world = World::new().await;
    // A browser that follows a foreign link holds a Strict cookie back; the page that it gets goes on by itself.
    let request = world
        .http
        .get(format!("{}/incidents/shop/slow", world.console))
        .header("sec-fetch-site", "cross-site");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let page = answer.text().await.unwrap().replace("&#x2f;", "/");
    assert!(page.contains("http-equiv=\"refresh\"") && page.contains("/incidents/shop/slow"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_sees_what_they_may_read() {
    let world = World::new().await;
    world.incident("shop", "slow", "web is slow").await;
    world.incident("bank", "secret", "bank is slow").await;
    let names = |(code, text): (u16, String)| {
        assert_eq!(code, 200, "{text}");
        let value: Value = serde_json::from_str(&text).unwrap();
        let items = value["items"].as_array().unwrap().iter();
        items.map(|i| i["metadata"]["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(world.get("admin", "/api/v1/incidents").await), ["secret", "slow"]);
    assert_eq!(names(world.get("ann", "/api/v1/incidents").await), ["slow"]);
    let (_, page) = world.get("ann", "/incidents").await;
    assert!(page.contains("web is slow") && !page.contains("bank is slow"));

    let (code, text) = world.get("ann", "/api/v1/namespaces/bank/incidents/secret").await;
    assert_eq!(code, 403);
    assert!(text.contains("User \\\"ann\\\" cannot get resource \\\"incidents\\\""), "{text}");
    assert_eq!(world.get("ann", "/incidents/bank/secret").await.0, 403);

    let (_, text) = world.get("ann", "/api/v1/whoami").await;
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["namespaces"], json!(["shop"]));
    // Telemetry is bound in the same way.
    world.get("ann", "/api/v1/topology").await;
    assert_eq!(world.insight.last_bounds(), Some(vec!["shop".to_owned()]));
    let (code, text) = world.get("ann", "/api/v1/topology?at=2026-11-27T17:20:00Z").await;
    assert!(code == 200 && text.contains("\"calls\":7"), "{text}");
    let (code, text) = world.get("ann", "/api/v1/topology?at=yesterday").await;
    assert!(code == 400 && text.contains("at"), "{text}");
    assert_eq!(world.insight.last_bounds(), Some(vec!["shop".to_owned()]));
    world.get("ann", "/explore?sql=SELECT%201").await;
    assert_eq!(world.insight.last_bounds(), Some(vec!["shop".to_owned()]));
    world.get("admin", "/explore/download?sql=SELECT%201&format=csv").await;
    assert_eq!(world.insight.last_bounds(), None);
    assert!(world.insight.callers.lock().unwrap().iter().all(|caller| caller.byte_budget == 1 << 30));

    assert_eq!(world.get("admin", "/api/v1/bundles/abc0").await, (200, "bundle".to_owned()));
    assert_eq!(world.get("ann", "/api/v1/bundles/abc0").await.0, 403);
    assert_eq!(world.get("admin", "/api/v1/bundles/..%2fsecret").await.0, 400);
    assert_eq!(world.get("admin", "/api/v1/all").await, (200, "everything".to_owned()));
    assert_eq!(world.get("ann", "/api/v1/all").await.0, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_without_telemetry_asks_another_with_the_callers_token() {
    let world = World::new().await;
    let front = world.in_front().await;
    let query = |user: &str, sql: &str| {
        let request = world.http.post(format!("{front}/api/v1/query")).bearer_auth(world.token(user));
        request.json(&json!({"sql": sql})).send()
    };
    let answer: Value = query("ann", "SELECT 1").await.unwrap().json().await.unwrap();
    assert_eq!(answer["rows"][0], json!(["time", "severity_text", "body"]));
    assert_eq!(world.insight.last_bounds(), Some(vec!["shop".to_owned()]));
    let answer = query("ann", "nonsense").await.unwrap();
    assert_eq!(answer.status(), 400);
    assert!(answer.text().await.unwrap().contains("no such table"));
    query("admin", "SELECT 1").await.unwrap();
    assert_eq!(world.insight.last_bounds(), None);
    let page =
        world.http.get(format!("{front}/services")).bearer_auth(world.token("ann")).send().await.unwrap();
    assert!(page.text().await.unwrap().contains("shop/web"));
    let stranger =
        world.http.get(format!("{front}/api/v1/services")).bearer_auth("nobody").send().await.unwrap();
    assert_eq!(stranger.status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_say_what_is_wrong() {
    let world = World::new().await;
    assert_eq!(
        world.get("admin", "/api/v1/nothing").await,
        (404, "{\"error\":\"the API has no such path\"}".to_owned())
    );
    assert_eq!(world.get("admin", "/api/v1/series?entity=x").await.0, 400);
    let (code, page) = world.get("admin", "/nothing").await;
    assert!(code == 404 && page.contains("there is no such page"), "{code} {page}");
    let (code, page) = world.get("admin", "/incidents/shop/absent").await;
    assert!(code == 404 && page.contains("absent"), "{code} {page}");
    let (code, page) = world.get("admin", "/explore?sql=nonsense").await;
    assert!(code == 400 && page.contains("no such table"), "{code} {page}");
    let none = world.http.get(format!("{}/api/v1/incidents", world.console)).send().await.unwrap();
    assert_eq!(none.status(), 401);
    assert!(none.text().await.unwrap().contains("a bearer token of the cluster is needed"));
}

//! Text that an attacker wrote into telemetry or names is text, and nothing else.

use crate::world::World;

const SCRIPT: &str = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'><svg/onload=alert(3)>";
const ANSI: &str = "\u{1b}[31mred\u{1b}]0;title\u{7}\u{1b}[2J";
const BIDI: &str = "invoice\u{202e}fdp.exe\u{2066}\u{200b}";

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_is_shown_inert_everywhere() {
    let world = World::new().await;
    let evil = format!("{SCRIPT}{ANSI}{BIDI}");
    world.incident("shop", "slow", &evil).await;
    world.remediation("shop", "fix").await;
    *world.insight.body.lock().unwrap() = evil.clone();
    let sql = "/explore?sql=%3C/textarea%3E%3Cscript%3Ealert(4)%3C/script%3E";
    for path in [
        "/incidents",
        "/incidents/shop/slow",
        "/service?name=shop/web",
        sql,
        "/incidents?search=%22%3E%3Cscript%3E",
        "/nothing%3Cscript%3E",
    ] {
        let (_, page) = world.get("admin", path).await;
        for mark in [
            "<script>alert",
            "<img src=x",
            "<svg/onload",
            "\u{1b}",
            "\u{7}",
            "\u{202e}",
            "\u{2066}",
            "\u{200b}",
            "\"><script>",
        ] {
            assert!(!page.contains(mark), "{path} has {mark:?}: {page}");
        }
    }
    let (_, page) = world.get("admin", "/incidents/shop/slow").await;
    assert!(page.contains("␛[31mred") && page.contains("invoice⟨U+202E⟩fdp.exe"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_a_megabyte_does_not_drown_the_page() {
    let world = World::new().await;
    world.incident("shop", "slow", "web is slow").await;
    *world.insight.body.lock().unwrap() = "x".repeat(1 << 20);
    for path in ["/incidents/shop/slow", "/explore?sql=SELECT%201", "/service?name=shop/web"] {
        let (code, page) = world.get("admin", path).await;
        assert_eq!(code, 200);
        assert!(page.len() < 100_000, "{path}: {} bytes", page.len());
        assert!(page.contains("more characters)"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_paths_lead_nowhere_else() {
    let world = World::new().await;
    for path in [
        "/incidents/..%2f..%2fapi/x",
        "/incidents/shop/..%2f..%2fsecrets",
        "/api/v1/namespaces/shop%2fsecrets/incidents/x",
    ] {
        let (code, text) = world.get("admin", path).await;
        assert_eq!(code, 404, "{path}: {text}");
    }
}

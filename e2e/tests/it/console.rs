//! A person with a browser: signs in, opens the Incident, approves its repair, and sees it being carried out.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::support::binary;

/// How long the demo may take to come to its question.
const PATIENCE: Duration = Duration::from_secs(400);

/// The demo that asks before every repair; it ends with all that it started.
struct AskingDemo {
    process: Child,
    folder: tempfile::TempDir,
}

impl Drop for AskingDemo {
    fn drop(&mut self) {
        Command::new("kill").args(["-KILL", "--", &format!("-{}", self.process.id())]).status().ok();
        self.process.wait().ok();
    }
}

impl AskingDemo {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(folder.path().join("demo.log")).unwrap();
        let process = Command::new(binary().with_file_name("causeway-e2e"))
            .args(["demo", "--ask", "--keep", "--json", "--root"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
            .arg("--data")
            .arg(folder.path().join("demo"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        Self { process, folder }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("demo/data")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("demo.log")).unwrap_or_default()
    }

    /// Waits until a repair waits; gives the console's address and the token.
    async fn question(&mut self) -> (String, String) {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < PATIENCE, "no repair waits: {}", self.log());
            assert!(self.process.try_wait().unwrap().is_none(), "the demo ended: {}", self.log());
            tokio::time::sleep(Duration::from_millis(200)).await;
            let Ok(endpoints) = std::fs::read_to_string(self.data().join("endpoints.json")) else { continue };
            let endpoints: Value = serde_json::from_str(&endpoints).unwrap();
            let console = endpoints["api"].as_str().unwrap().to_owned();
            let token = std::fs::read_to_string(self.data().join("token")).unwrap().trim().to_owned();
            let Ok(answer) =
                http.get(format!("{console}/api/v1/remediations")).bearer_auth(&token).send().await
            else {
                continue;
            };
            let answer: Value = answer.json().await.unwrap();
            let waits = |r: &Value| r["status"]["phase"] == "AwaitingApproval";
            if answer["items"].as_array().is_some_and(|all| all.iter().any(waits)) {
                return (console, token);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_approves_a_repair_in_the_browser_and_sees_it_happen() {
    let Some(browser) = Browser::start().await else { return };
    let mut demo = AskingDemo::start();
    let (console, token) = demo.question().await;

    browser.open(&format!("{console}/incidents")).await;
    browser.until("location.pathname === '/sign-in'").await;
    browser.write("#token", &token).await;
    browser.click("form button.primary").await;
    browser.until("location.pathname === '/incidents' && document.querySelector('.rows a')").await;
    // The token is out of reach of scripts.
    assert_eq!(browser.script("return document.cookie").await, json!(""));

    browser.click(".rows a").await;
    browser.until("location.pathname.startsWith('/incidents/train-ticket/')").await;
    for part in
        ["svg .band", "svg .blame", ".cite", "tr[id^=evidence-]", ".remediation[data-phase=AwaitingApproval]"]
    {
        browser.until(&format!("document.querySelector('{part}')")).await;
    }
    browser.until("document.querySelector('.live').dataset.state === 'live'").await;

    browser.write(".remediation input[name=comment]", "seen it").await;
    browser.click(".remediation button.approve").await;
    browser.until("location.hash.startsWith('#remediation-')").await;
    // From here on the page is not loaded again: what it shows of the repair comes by live updates.
    browser.script("window.samePage = true").await;
    browser.until("document.querySelector('.remediation').dataset.phase === 'Succeeded'").await;
    assert_eq!(browser.script("return window.samePage").await, json!(true));
    browser.until("document.querySelector('main').innerText.includes('by admin')").await;
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{complaints:?}");
    let status = demo.process.wait().unwrap();
    assert!(status.success(), "{}", demo.log());
}

//! A real browser, driven through the WebDriver protocol (W3C) of chromedriver.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long something on a page may take to come true.
const PATIENCE: Duration = Duration::from_secs(240);
/// The key of an element's id in answers, by the standard.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// One window of a browser without a screen; it is closed at the end.
pub(crate) struct Browser {
    driver: Child,
    http: reqwest::Client,
    session: String,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends its browsers when it is asked to end.
        Command::new("kill").args(["-TERM", &self.driver.id().to_string()]).status().ok();
        self.driver.wait().ok();
    }
}

impl Browser {
    /// Starts the browser; `None` where no driver is at hand (`cargo xtask test` always has one).
    pub(crate) async fn start() -> Option<Self> {
        let driver = std::env::var_os("CAUSEWAY_CHROMEDRIVER")?;
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let driver = Command::new(driver)
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(120)).build().unwrap();
        let mut browser = Self { driver, http, session: format!("http://127.0.0.1:{port}") };
        let begun = Instant::now();
        while browser.http.get(format!("{}/status", browser.session)).send().await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "chromedriver does not answer");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let options =
            json!({"args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,900"]});
        let wanted = json!({"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}});
        let made = browser.post("/session", json!({"capabilities": {"alwaysMatch": wanted}})).await;
        browser.session = format!("{}/session/{}", browser.session, made["sessionId"].as_str().unwrap());
        Some(browser)
    }

    async fn post(&self, command: &str, body: Value) -> Value {
        let answer = self.http.post(format!("{}{command}", self.session)).json(&body).send().await.unwrap();
        let value: Value = answer.json().await.unwrap();
        assert!(value["value"]["error"].is_null(), "{command}: {value}");
        value["value"].clone()
    }

    /// Opens an address.
    pub(crate) async fn open(&self, url: &str) {
        self.post("/url", json!({"url": url})).await;
    }

    /// What a script gives.
    pub(crate) async fn script(&self, text: &str) -> Value {
        self.post("/execute/sync", json!({"script": text, "args": []})).await
    }

    async fn element(&self, selector: &str) -> String {
        let found = self.post("/element", json!({"using": "css selector", "value": selector})).await;
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    /// Clicks on the first element of a selector.
    pub(crate) async fn click(&self, selector: &str) {
        let id = self.element(selector).await;
        self.post(&format!("/element/{id}/click"), json!({})).await;
    }

    /// Types into the first element of a selector.
    pub(crate) async fn write(&self, selector: &str, text: &str) {
        let id = self.element(selector).await;
        self.post(&format!("/element/{id}/value"), json!({"text": text})).await;
    }

    /// Looks until an expression of JavaScript is true.
    pub(crate) async fn until(&self, expression: &str) {
        let begun = Instant::now();
        while self.script(&format!("return Boolean({expression})")).await != json!(true) {
            if begun.elapsed() > PATIENCE {
                let page = self.script("return location.href + '\\n' + document.body.innerText").await;
                panic!("never came true: {expression}\n{}", page.as_str().unwrap_or_default());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What the browser complained of since it was last asked.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.post("/se/log", json!({"type": "browser"})).await;
        let lines = log.as_array().cloned().unwrap_or_default();
        lines.iter().map(|line| line["message"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

//! The lake in an S3-compatible store.

use std::process::{Child, Command, Stdio};

use causeway_e2e::feeder::Feeder;
use causeway_e2e::otlp::Exporter;
use causeway_e2e::recording::Recording;

use crate::support::Fixture;

/// A store on a free port; killed at the end.
struct Store {
    child: Child,
    url: String,
}

impl Store {
    async fn start(http: &reqwest::Client) -> Option<Self> {
        let python = std::env::var_os("CAUSEWAY_PYTHON")?;
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(python)
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let store = Self { child, url: format!("http://127.0.0.1:{port}") };
        let begun = std::time::Instant::now();
        loop {
            let made = http.put(format!("{}/causeway-lake", store.url)).send().await;
            if made.is_ok_and(|answer| answer.status().is_success()) {
                return Some(store);
            }
            assert!(begun.elapsed().as_secs() < 60, "the store does not answer");
            tokio::task::yield_now().await;
        }
    }

    async fn keys(&self, http: &reqwest::Client, prefix: &str) -> String {
        let url = format!("{}/causeway-lake?list-type=2&prefix={prefix}", self.url);
        http.get(url).send().await.unwrap().text().await.unwrap()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_live_in_a_bucket_and_survive_kill_and_restart() {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let Some(store) = Store::start(&http).await else {
        return;
    };
    let argument = |name: &str, value: &str| format!("--{name}={value}");
    let mut fixture = Fixture::start_with(vec![
        argument("store", "s3://causeway-lake/production"),
        argument("s3-endpoint", &store.url),
        argument("s3-access-key-id", "test"),
        argument("s3-secret-access-key", "test"),
    ])
    .await;
    let folder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/train-ticket/recordings/280661e3");
    let from = jiff::Timestamp::now().as_microsecond();
    let mut feeder = Feeder::new(Recording::load(&folder).unwrap(), from);
    let mut sent = 0;
    for step in 0..3 {
        let exporter = Exporter::new(&fixture.endpoints.otlp_http, "clients-token", "clients").unwrap();
        let payload = feeder.step(from + step * 10_000_000, from + (step + 1) * 10_000_000);
        let requests = exporter.encode(payload);
        for (path, body) in &requests.bodies {
            exporter.post(path, body).await.unwrap();
        }
        sent += i64::try_from(requests.sent.logs).unwrap();
        match step {
            // Ends in order: everything goes into the bucket.
            0 => fixture.causeway.stop().unwrap(),
            // What was acknowledged is in the write-ahead log only.
            _ => fixture.causeway.kill().unwrap(),
        }
        if step == 0 {
            let keys = store.keys(&http, "production/logs/").await;
            assert!(keys.contains("_delta_log/") && keys.contains(".parquet"), "{keys}");
        }
        fixture.start_again().await;
        assert_eq!(fixture.number("SELECT count(*) FROM logs").await, sent, "after step {step}");
    }
}

//! Series and events that windows do not hold, by a person at a terminal: numbers in log lines and records that meet a
//! condition, learned from what was stored before; an objective over logs; a simulation with its picture, by the plugin of
//! kubectl.

use std::path::Path;
use std::process::Command;

use causeway_e2e::otlp::{Exporter, Payload, attribute, nanos};
use jiff::Timestamp;
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use serde_json::json;

use crate::support::{Fixture, binary};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;

const OBJECTS: &str = r#"
apiVersion: causeway.dev/v1alpha1
kind: MonitoredService
metadata: {name: pay, namespace: clients}
spec: {}
---
apiVersion: causeway.dev/v1alpha1
kind: Baseline
metadata: {name: provider, namespace: clients}
spec:
  serviceRef: {name: pay}
  series:
    type: LogPattern
    logPattern: {contains: "provider answered", number: "took <duration>", groupBy: [country]}
  model: {type: Auto}
  training: {history: 6h, minimum: 2h}
---
apiVersion: causeway.dev/v1alpha1
kind: Baseline
metadata: {name: late, namespace: clients}
spec:
  serviceRef: {name: pay}
  series: {type: LogPattern, logPattern: {contains: "provider answered"}}
  model: {type: Static, upper: "100"}
  window: {delay: 3m}
---
apiVersion: causeway.dev/v1alpha1
kind: Baseline
metadata: {name: typo, namespace: clients}
spec:
  serviceRef: {name: pay}
  series: {type: Query, query: {sql: "SELECT time, valeu AS value FROM metrics WHERE time >= $from AND time < $to"}}
  model: {type: Static, upper: "100"}
---
apiVersion: causeway.dev/v1alpha1
kind: SLO
metadata: {name: accepted, namespace: clients}
spec:
  serviceRef: {name: pay}
  indicator:
    type: Ratio
    ratio:
      bad: {type: Logs, logs: {query: 'service == "clients/pay" && status >= 500'}}
      total: {type: Logs, logs: {query: 'service == "clients/pay" && has(status)'}}
  target: "99"
  burn:
    - {severity: Page, rate: "14.4", long: 10m, short: 1m}
"#;

/// Ten lines of the ten seconds from `from_us` on; the provider of one country takes `slow` times as long and refuses.
fn lines(from_us: i64, slow: i64) -> Payload {
    let line = |n: i64| {
        let country = if n % 2 == 0 { "nl" } else { "de" };
        let is_slow = slow > 1 && country == "nl";
        let took = (100 + (from_us / SECOND * 7 + n * 13) % 20) * if is_slow { slow } else { 1 };
        let status = if is_slow { "503" } else { "200" };
        LogRecord {
            time_unix_nano: nanos(from_us + n * SECOND),
            severity_number: 9,
            body: Some(AnyValue {
                value: Some(Value::StringValue(format!("provider answered for order {n}, took {took} ms"))),
            }),
            attributes: vec![attribute("country", country), attribute("status", status)],
            ..LogRecord::default()
        }
    };
    Payload { logs: [("pay".to_owned(), (0..10).map(line).collect())].into(), ..Payload::default() }
}

async fn step(fixture: &Fixture, now_us: i64) {
    let now = Timestamp::from_microsecond(now_us).unwrap();
    let answer = fixture
        .http
        .post(format!("{}/api/v1/clock", fixture.endpoints.api))
        .bearer_auth(&fixture.token)
        .json(&json!({"now": now}))
        .send()
        .await
        .unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{text}");
}

/// The binary by the name of kubectl's plugin, called through kubectl.
fn plugin(fixture: &Fixture, arguments: &[&str]) -> String {
    let folder = fixture.places.logs.join("bin");
    std::fs::create_dir_all(&folder).unwrap();
    let link = folder.join("kubectl-causeway");
    if !link.exists() {
        std::os::unix::fs::symlink(std::fs::canonicalize(binary()).unwrap(), &link).unwrap();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(folder.clone()).chain(std::env::split_paths(&path));
    let program = std::env::var("KUBECTL").unwrap_or_else(|_| "kubectl".to_owned());
    let output = Command::new(program)
        .arg("causeway")
        .args(arguments)
        .env("PATH", std::env::join_paths(paths).unwrap())
        .env("KUBECONFIG", fixture.places.kubeconfig())
        .env("HOME", &folder)
        .current_dir(&folder)
        .output()
        .unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_in_lines_are_judged_by_what_was_stored_before_the_object() {
    let fixture = Fixture::start().await;
    let exporter = Exporter::new(&fixture.endpoints.otlp_http, "clients-token", "clients").unwrap();
    let start = Timestamp::now().as_microsecond().div_euclid(MINUTE) * MINUTE;
    // What is there before anybody asks.
    for window in -180 * 6..0 {
        exporter.send(lines(start + window * 10 * SECOND, 1)).await.unwrap();
    }
    step(&fixture, start).await;
    let file = fixture.places.logs.join("objects.yaml");
    std::fs::write(&file, OBJECTS).unwrap();
    let (applied, text) = fixture.kubectl(&["apply", "-f", file.to_str().unwrap()]);
    assert!(applied, "{text}");
    step(&fixture, start + 5 * SECOND).await;
    let table = |kinds: &str| {
        let (success, text) = fixture.kubectl(&["get", kinds, "-n", "clients", "-o", "wide"]);
        assert!(success, "{text}");
        text
    };
    let run = |windows: std::ops::Range<i64>, slow: i64| {
        let (fixture, exporter) = (&fixture, &exporter);
        async move {
            for window in windows {
                exporter.send(lines(start + window * 10 * SECOND, slow)).await.unwrap();
                step(fixture, start + (window + 1) * 10 * SECOND).await;
            }
        }
    };
    run(0..24, 1).await;
    let text = table("baselines");
    let row = |text: &str, name: &str| text.lines().find(|l| l.starts_with(name)).unwrap().to_owned();
    let provider = row(&text, "provider");
    for words in ["WithinBand", " 100 ", "All of 2 series are within their bands"] {
        assert!(provider.contains(words), "{words}\n{text}");
    }
    assert!(row(&text, "typo").contains("False"), "{text}");
    let (_, text) = fixture.kubectl(&["get", "baseline", "typo", "-n", "clients", "-o", "yaml"]);
    assert!(text.contains("QueryFailed") && text.contains("valeu"), "{text}");
    let text = table("slos");
    assert!(row(&text, "accepted").contains("Healthy"), "what was stored before it counts\n{text}");

    run(24..84, 20).await;
    let text = table("baselines");
    let provider = row(&text, "provider");
    assert!(provider.contains("Deviating") && provider.contains("country=nl"), "{text}");
    assert!(row(&text, "late").contains("WithinBand"), "{text}");
    let text = table("slos");
    let accepted = row(&text, "accepted");
    assert!(accepted.contains("BurningFast") && accepted.contains("of events were bad"), "{text}");

    let png = fixture.places.logs.join("provider.png");
    let text = plugin(
        &fixture,
        &[
            "simulate",
            "baseline",
            "provider",
            "-n",
            "clients",
            "--from",
            "-4h",
            "--png",
            png.to_str().unwrap(),
        ],
    );
    assert!(text.contains("would have been raised 1 times"), "{text}");
    assert!(is_png(&png));
    let text = plugin(&fixture, &["simulate", "slo", "accepted", "-n", "clients", "--from", "-4h"]);
    assert!(text.contains("would have been raised 1 times"), "{text}");
    assert!(plugin(&fixture, &["test", "--help"]).contains("kubectl causeway test"));
}

fn is_png(path: &Path) -> bool {
    std::fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"\x89PNG\r\n\x1a\n") && bytes.len() > 1_000)
}

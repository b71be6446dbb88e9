//! Bad input: each a clear error on the right surface, and everything else goes on.

use std::process::Command;

use causeway_e2e::otlp::{Exporter, Payload};
use causeway_e2e::recording::Recording;
use serde_json::{Value, json};

use crate::support::{Fixture, binary};

#[tokio::test(flavor = "multi_thread")]
async fn senders_are_told_what_is_wrong_and_others_go_on() {
    let fixture = Fixture::start().await;
    let url = format!("{}/v1/logs", fixture.endpoints.otlp_http);
    let post = |token: &'static str, kind: &'static str, body: Vec<u8>| {
        let request = fixture.http.post(&url).bearer_auth(token).header("content-type", kind).body(body);
        async move { request.send().await.unwrap() }
    };
    assert_eq!(post("wrong", "application/json", b"{}".to_vec()).await.status(), 401);
    let answer = post("clients-token", "application/json", b"{\"resourceLogs\": 7}".to_vec()).await;
    assert_eq!(answer.status(), 400);
    assert_eq!(post("clients-token", "application/x-protobuf", vec![0xff; 64]).await.status(), 400);
    assert_eq!(post("clients-token", "text/plain", b"hello".to_vec()).await.status(), 415);
    assert_eq!(post("clients-token", "application/json", vec![b' '; 80 << 20]).await.status(), 413);
    let record = |time: &str| {
        json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [
            {"timeUnixNano": time, "body": {"stringValue": "odd time"}}]}]}]})
    };
    // 1754 does not fit unsigned nanoseconds; 0 stands for it. 2099 does.
    for time in ["1", "4070908800000000000"] {
        let answer = post("clients-token", "application/json", record(time).to_string().into_bytes()).await;
        assert_eq!(answer.status(), 200);
    }
    let odd =
        fixture.number("SELECT count(*) FROM logs WHERE body = 'odd time' AND time = observed_time").await;
    assert_eq!(odd, 2, "stored under the observed time");
    let metrics = fixture.http.get(format!("{}/metrics", fixture.endpoints.admin)).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.contains("time_adjusted"), "counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_is_acknowledged_and_stored_once() {
    let fixture = Fixture::start().await;
    let exporter = Exporter::new(&fixture.endpoints.otlp_http, "clients-token", "clients").unwrap();
    let folder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/train-ticket/recordings/280661e3");
    let recording = Recording::load(&folder).unwrap();
    let mut feeder = causeway_e2e::feeder::Feeder::new(recording, jiff::Timestamp::now().as_microsecond());
    let from = jiff::Timestamp::now().as_microsecond();
    let payload: Payload = feeder.step(from, from + 10_000_000);
    let requests = exporter.encode(payload);
    for (path, body) in &requests.bodies {
        exporter.post(path, body).await.unwrap();
        exporter.post(path, body).await.unwrap();
    }
    let stored = fixture.number("SELECT count(*) FROM logs").await;
    assert_eq!(stored, i64::try_from(requests.sent.logs).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_say_what_they_lack() {
    let fixture = Fixture::start().await;
    let (_, text) = fixture.kubectl(&["get", "logsource", "no-secret", "-n", "clients", "-o", "json"]);
    let object: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
    let ready = object
        .pointer("/status/conditions")
        .and_then(Value::as_array)
        .and_then(|c| c.iter().find(|c| c["type"] == "Ready"))
        .unwrap_or_else(|| panic!("{object}"));
    assert_eq!(ready["status"], "False");
    assert!(ready["message"].as_str().unwrap().contains("absent"), "{ready}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_refuses_strangers_and_bad_sql() {
    let fixture = Fixture::start().await;
    let url = format!("{}/api/v1/query", fixture.endpoints.api);
    let ask = |token: &str, sql: &str| {
        let request = fixture.http.post(&url).bearer_auth(token).json(&json!({"sql": sql}));
        async move { request.send().await.unwrap() }
    };
    assert_eq!(ask("nobody", "SELECT 1").await.status(), 401);
    for sql in
        ["SELECT nope FROM logs", "SELECT * FROM nowhere", "DROP TABLE logs", "SELECT", "SELECT 1; SELECT 2"]
    {
        let answer = ask(&fixture.token, sql).await;
        assert_eq!(answer.status(), 400, "{sql}");
        assert!(!answer.text().await.unwrap().is_empty());
    }
}

#[test]
fn a_start_that_can_t_succeed_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let start = |arguments: &[&str]| {
        let output = Command::new(binary()).arg("standalone").args(arguments).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let data = folder.path().join("a").to_string_lossy().into_owned();
    let text = start(&[
        "--data",
        &data,
        "--api-port",
        &port,
        "--otlp-grpc-port=0",
        "--otlp-http-port=0",
        "--forward-port=0",
        "--kubernetes-port=0",
        "--admin-port=0",
    ]);
    assert!(text.contains("--api-port"), "{text}");
    let text = start(&["--data", "/proc/causeway"]);
    assert!(text.contains("data folder /proc/causeway"), "{text}");
}

use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use causeway_ingest::{IngestLimits, Secret, SourceLimits};
use causeway_model::SinkError;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message;

use crate::fake::{NOW_US, Rig, credential, logs};

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");
const WEB: (&str, &str) = ("authorization", "Bearer web-token");
const GZIP: (&str, &str) = ("content-encoding", "gzip");

/// Path, headers, body, and what is to be answered: status and a part of the reason.
type Case<'a> = (&'a str, Vec<(&'a str, &'a str)>, Vec<u8>, u16, &'a str);

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

async fn request(
    method: &str,
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Answer {
    let mut request = http::Request::builder().method(method).uri(format!("http://{address}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let response = client.request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    Answer { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
}

async fn post(rig: &Rig, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    request("POST", rig.handles.http, path, headers, body).await
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn protobuf_json_and_compression_are_accepted() {
    let rig = Rig::start().await;
    let body = logs(&["plain"]).encode_to_vec();
    let answer = post(&rig, "/v1/logs", &[PROTOBUF, WEB], body).await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 0));
    assert_eq!(answer.headers["content-type"], "application/x-protobuf");
    let body = gzip(&logs(&["gzip"]).encode_to_vec());
    assert_eq!(post(&rig, "/v1/logs", &[PROTOBUF, WEB, GZIP], body).await.status, StatusCode::OK);
    let body = zstd::encode_all(logs(&["zstd"]).encode_to_vec().as_slice(), 1).unwrap();
    let answer = post(&rig, "/v1/logs", &[PROTOBUF, WEB, ("content-encoding", "zstd")], body).await;
    assert_eq!(answer.status, StatusCode::OK);
    let body = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"json"}}]}]}]}"#;
    let answer = post(&rig, "/v1/logs", &[JSON, ("authorization", "bearer batch-token")], body).await;
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, "{}"));
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(rig.sink.bodies(), ["plain", "gzip", "zstd", "json"]);
    assert_eq!(rig.sink.sources(), ["web", "web", "web", "batch"]);
    assert_eq!(request("GET", rig.handles.http, "/extra", &[], "").await.text(), "extra");
    let metrics = rig.metrics();
    for line in [
        r#"ingest_requests_total{transport="http",protocol="otlp-logs",outcome="accepted"} 4"#,
        r#"ingest_records_total{namespace="shop",source="web",outcome="accepted"} 3"#,
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn partial_success_says_what_was_left_out() {
    let rig = Rig::start().await;
    let body = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"no id"}]}]}]}"#;
    let answer = post(&rig, "/v1/traces", &[JSON, WEB], body).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.text(),
        r#"{"partialSuccess":{"rejectedSpans":"1","errorMessage":"a span has no valid trace id and span id"}}"#
    );
    assert!(rig.sink.deliveries.lock().is_empty(), "an empty batch is not delivered");
    let mut request = logs(&["good"]);
    let huge = LogRecord { severity_text: "x".repeat(1 << 20), ..LogRecord::default() };
    request.resource_logs[0].scope_logs[0].log_records.push(huge);
    let rig = Rig::with(
        vec![credential("web", vec![Secret::Bearer("web-token".into())], SourceLimits::default())],
        IngestLimits::default(),
    )
    .await;
    let answer = post(&rig, "/v1/logs", &[PROTOBUF, WEB], request.encode_to_vec()).await;
    let partial = ExportLogsServiceResponse::decode(answer.body).unwrap().partial_success.unwrap();
    assert_eq!(
        (partial.rejected_log_records, partial.error_message.as_str()),
        (1, "a record exceeds 1048576 bytes")
    );
    assert_eq!(rig.sink.bodies(), ["good"]);
}

#[tokio::test]
async fn what_is_not_acceptable_has_a_clear_answer() {
    let rig = Rig::start().await;
    let good = logs(&["x"]).encode_to_vec();
    let bomb = gzip(&vec![0; 4 << 20]);
    let zstd_bomb = zstd::encode_all(vec![0; 4 << 20].as_slice(), 1).unwrap();
    let truncated = gzip(&good)[..12].to_vec();
    let zstd = ("content-encoding", "zstd");
    let cases: Vec<Case<'_>> = vec![
        ("/v1/logs", vec![JSON], good.clone(), 401, "no valid credential"),
        ("/v1/logs", vec![JSON, ("authorization", "Bearer nope")], good.clone(), 401, "no valid credential"),
        (
            "/v1/logs",
            vec![JSON, ("authorization", "Basic web-token")],
            good.clone(),
            401,
            "no valid credential",
        ),
        // The answer must reach senders that are still writing a body larger than the socket's buffers.
        ("/v1/logs", vec![JSON], vec![b' '; 12 << 20], 401, "no valid credential"),
        ("/v1/logs", vec![PROTOBUF, WEB], vec![0; 12 << 20], 413, "the body exceeds 1048576 bytes"),
        ("/v1/logs", vec![JSON, WEB], b"{".to_vec(), 400, "malformed JSON: EOF"),
        ("/v1/logs", vec![PROTOBUF, WEB], b"\x0a\x7f".to_vec(), 400, "malformed protobuf"),
        ("/v1/logs", vec![JSON, WEB, GZIP], b"not gzip".to_vec(), 400, "the body can't be read"),
        ("/v1/logs", vec![JSON, WEB, GZIP], truncated, 400, "the body can't be read"),
        ("/v1/logs", vec![PROTOBUF, WEB], vec![0; (1 << 20) + 1], 413, "the body exceeds 1048576 bytes"),
        ("/v1/logs", vec![PROTOBUF, WEB, GZIP], bomb, 413, "the body exceeds 1048576 bytes"),
        ("/v1/logs", vec![PROTOBUF, WEB, zstd], zstd_bomb, 413, "the body exceeds 1048576 bytes"),
        (
            "/v1/logs",
            vec![("content-type", "text/plain"), WEB],
            good.clone(),
            415,
            "content type 'text/plain'",
        ),
        ("/v1/logs", vec![JSON, WEB, ("content-encoding", "br")], good.clone(), 415, "content encoding 'br'"),
        ("/v1/profiles", vec![JSON, WEB], good.clone(), 404, ""),
    ];
    for (path, headers, body, status, reason) in cases {
        let answer = post(&rig, path, &headers, body).await;
        let text = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status.as_u16(), status, "{path} {headers:?} {text}");
        assert!(text.contains(reason), "{text}");
        assert!(!answer.headers.contains_key("retry-after"), "a retry does not help");
        assert_eq!(answer.headers.contains_key("www-authenticate"), status == 401);
    }
    assert_eq!(request("GET", rig.handles.http, "/v1/logs", &[WEB], "").await.status, 405);
    assert!(rig.sink.deliveries.lock().is_empty());
    assert_eq!(
        post(&rig, "/v1/logs", &[PROTOBUF, WEB], good).await.status,
        StatusCode::OK,
        "all else goes on"
    );
}

#[tokio::test]
async fn failures_of_the_sink_ask_for_a_retry_which_is_not_stored_twice() {
    let rig = Rig::start().await;
    let body = logs(&["once"]).encode_to_vec();
    rig.fail_once(SinkError::Overloaded { retry_after_ms: 2_500 });
    let answer = post(&rig, "/v1/logs", &[JSON, WEB], r#"{"resourceLogs":[]}"#).await;
    assert_eq!(answer.status, StatusCode::OK, "nothing to store");
    let answer = post(&rig, "/v1/logs", &[PROTOBUF, WEB], body.clone()).await;
    assert_eq!((answer.status.as_u16(), &answer.headers["retry-after"]), (429, &"3".parse().unwrap()));
    rig.fail_once(SinkError::Unavailable("disk full".to_owned()));
    let answer = post(&rig, "/v1/logs", &[PROTOBUF, WEB], body.clone()).await;
    assert_eq!((answer.status.as_u16(), &answer.headers["retry-after"]), (503, &"5".parse().unwrap()));
    rig.fail_once(SinkError::Invalid("no".to_owned()));
    let answer = post(&rig, "/v1/logs", &[PROTOBUF, WEB], body.clone()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    for _ in 0..2 {
        assert_eq!(post(&rig, "/v1/logs", &[PROTOBUF, WEB], body.clone()).await.status, StatusCode::OK);
    }
    let compressed = post(&rig, "/v1/logs", &[PROTOBUF, WEB, GZIP], gzip(&body)).await;
    assert_eq!(compressed.status, StatusCode::OK);
    assert_eq!(rig.sink.bodies(), ["once"], "the hash is that of the body before compression");
    let other = ("authorization", "Bearer batch-token");
    assert_eq!(post(&rig, "/v1/logs", &[PROTOBUF, other], body).await.status, StatusCode::OK);
    assert_eq!(rig.sink.sources(), ["web", "batch"], "another source's equal body is another request");
    let line = r#"ingest_records_total{namespace="shop",source="web",outcome="duplicate"} 2"#;
    assert!(rig.metrics().contains(line), "{}", rig.metrics());
}

#[tokio::test]
async fn sources_have_bounds_and_credentials_are_swapped_while_running() {
    let source = |limits| vec![credential("web", vec![Secret::Bearer("web-token".into())], limits)];
    let limits = SourceLimits {
        max_records_per_second: Some(2),
        max_body_bytes: Some(1_000),
        ..SourceLimits::default()
    };
    let rig = Rig::with(source(limits), IngestLimits::default()).await;
    let send = |bodies: &[&str]| logs(bodies).encode_to_vec();
    assert_eq!(post(&rig, "/v1/logs", &[PROTOBUF, WEB], vec![0; 1_001]).await.status, 413);
    assert_eq!(post(&rig, "/v1/logs", &[PROTOBUF, WEB], send(&["a", "b", "c", "d"])).await.status, 200);
    let answer = post(&rig, "/v1/logs", &[PROTOBUF, WEB], send(&["e"])).await;
    assert_eq!((answer.status.as_u16(), &answer.headers["retry-after"]), (429, &"1".parse().unwrap()));
    rig.clock.0.store(NOW_US + 1_000_001, Ordering::SeqCst);
    assert_eq!(post(&rig, "/v1/logs", &[PROTOBUF, WEB], send(&["e"])).await.status, 200);
    let suspended = SourceLimits { suspended: true, ..SourceLimits::default() };
    assert_eq!(rig.credentials.replace(source(suspended), NOW_US), []);
    assert_eq!(post(&rig, "/v1/logs", &[PROTOBUF, WEB], send(&["f"])).await.status, 503);
    assert_eq!(rig.credentials.replace(vec![], NOW_US), []);
    assert_eq!(post(&rig, "/v1/logs", &[PROTOBUF, WEB], send(&["g"])).await.status, 401);
    assert_eq!(rig.sink.bodies(), ["a", "b", "c", "d", "e"]);
}

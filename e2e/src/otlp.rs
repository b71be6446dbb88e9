//! Recorded data as OTLP requests, and an HTTP sender for them.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

/// Records of one step, grouped by service.
#[derive(Debug, Default)]
pub struct Payload {
    /// Spans by service.
    pub spans: BTreeMap<String, Vec<Span>>,
    /// Log records by service.
    pub logs: BTreeMap<String, Vec<LogRecord>>,
    /// Metrics by service.
    pub metrics: BTreeMap<String, Vec<Metric>>,
}

/// How many records were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Sent {
    /// Spans.
    pub spans: u64,
    /// Log records.
    pub logs: u64,
    /// Metric points.
    pub points: u64,
}

impl Sent {
    /// All records.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.spans + self.logs + self.points
    }

    /// Adds another count.
    pub fn add(&mut self, other: Self) {
        self.spans += other.spans;
        self.logs += other.logs;
        self.points += other.points;
    }
}

/// A text attribute.
#[must_use]
pub fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) }),
        ..KeyValue::default()
    }
}

/// Text attributes.
#[must_use]
pub fn attributes(named: &[(&str, &str)]) -> Vec<KeyValue> {
    named.iter().map(|(key, value)| attribute(key, value)).collect()
}

/// A gauge point.
#[must_use]
pub fn gauge(name: &str, unit: &str, time_us: i64, value: f64, attributes: Vec<KeyValue>) -> Metric {
    Metric {
        name: name.to_owned(),
        unit: unit.to_owned(),
        data: Some(Data::Gauge(Gauge {
            data_points: vec![NumberDataPoint {
                attributes,
                time_unix_nano: nanos(time_us),
                value: Some(number_data_point::Value::AsDouble(value)),
                ..NumberDataPoint::default()
            }],
        })),
        ..Metric::default()
    }
}

/// Microseconds as OTLP's unsigned nanoseconds.
#[must_use]
pub fn nanos(time_us: i64) -> u64 {
    u64::try_from(time_us).unwrap_or_default() * 1_000
}

fn resource(namespace: &str, service: &str) -> Option<Resource> {
    Some(Resource {
        attributes: vec![
            attribute("service.name", service),
            attribute("service.namespace", namespace),
            attribute("k8s.namespace.name", namespace),
            attribute("k8s.deployment.name", service),
        ],
        ..Resource::default()
    })
}

/// Sends OTLP over HTTP with a bearer token, gzip, and retries while the receiver is away or overloaded.
#[derive(Clone, Debug)]
pub struct Exporter {
    client: reqwest::Client,
    base: String,
    token: String,
    namespace: String,
}

impl Exporter {
    /// An exporter for `base`, such as `http://127.0.0.1:4318`.
    ///
    /// # Errors
    /// When the HTTP client can't be built.
    pub fn new(base: &str, token: &str, namespace: &str) -> Result<Self> {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build()?;
        Ok(Self { client, base: base.to_owned(), token: token.to_owned(), namespace: namespace.to_owned() })
    }

    /// Points the exporter at another address, after a restart of the receiver.
    pub fn set_base(&mut self, base: &str) {
        base.clone_into(&mut self.base);
    }

    /// Sends a step; returns when every request has been acknowledged.
    ///
    /// # Errors
    /// When a request is refused, or not acknowledged at all.
    pub async fn send(&self, payload: Payload) -> Result<Sent> {
        let requests = self.encode(payload);
        for (path, body) in &requests.bodies {
            self.post(path, body).await?;
        }
        Ok(requests.sent)
    }

    /// Encodes a step as at most three requests.
    #[must_use]
    pub fn encode(&self, payload: Payload) -> Requests {
        let mut sent = Sent::default();
        let mut bodies = Vec::new();
        if !payload.metrics.is_empty() {
            sent.points = payload.metrics.values().map(|m| m.len() as u64).sum();
            let resource_metrics = payload.metrics.into_iter().map(|(service, metrics)| ResourceMetrics {
                resource: resource(&self.namespace, &service),
                scope_metrics: vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }],
                ..ResourceMetrics::default()
            });
            let request = ExportMetricsServiceRequest { resource_metrics: resource_metrics.collect() };
            bodies.push(("/v1/metrics", request.encode_to_vec()));
        }
        if !payload.logs.is_empty() {
            sent.logs = payload.logs.values().map(|l| l.len() as u64).sum();
            let resource_logs = payload.logs.into_iter().map(|(service, log_records)| ResourceLogs {
                resource: resource(&self.namespace, &service),
                scope_logs: vec![ScopeLogs { log_records, ..ScopeLogs::default() }],
                ..ResourceLogs::default()
            });
            let request = ExportLogsServiceRequest { resource_logs: resource_logs.collect() };
            bodies.push(("/v1/logs", request.encode_to_vec()));
        }
        if !payload.spans.is_empty() {
            sent.spans = payload.spans.values().map(|s| s.len() as u64).sum();
            let resource_spans = payload.spans.into_iter().map(|(service, spans)| ResourceSpans {
                resource: resource(&self.namespace, &service),
                scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
                ..ResourceSpans::default()
            });
            let request = ExportTraceServiceRequest { resource_spans: resource_spans.collect() };
            bodies.push(("/v1/traces", request.encode_to_vec()));
        }
        Requests { bodies, sent }
    }

    /// Posts one request until it is acknowledged.
    ///
    /// # Errors
    /// On an answer that says a retry will not help, or when the receiver can't be reached at all.
    pub async fn post(&self, path: &str, body: &[u8]) -> Result<()> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body)?;
        let body = encoder.finish()?;
        let url = format!("{}{path}", self.base);
        for attempt in 0..20 {
            let answer = self
                .client
                .post(&url)
                .bearer_auth(&self.token)
                .header("content-type", "application/x-protobuf")
                .header("content-encoding", "gzip")
                .body(body.clone())
                .send()
                .await
                .with_context(|| format!("cannot send to {url}"))?;
            match answer.status().as_u16() {
                200 => return Ok(()),
                429 | 502 | 503 | 504 => {
                    let wait =
                        answer.headers().get("retry-after").and_then(|v| v.to_str().ok()?.parse().ok());
                    let backoff = Duration::from_millis(100 << attempt.min(5));
                    tokio::time::sleep(wait.map_or(backoff, Duration::from_secs)).await;
                }
                code => bail!("{url} answered {code}: {}", answer.text().await.unwrap_or_default()),
            }
        }
        bail!("{url} stayed overloaded")
    }
}

/// Encoded requests of one step.
#[derive(Debug)]
pub struct Requests {
    /// Path and protobuf body.
    pub bodies: Vec<(&'static str, Vec<u8>)>,
    /// Records in them.
    pub sent: Sent,
}

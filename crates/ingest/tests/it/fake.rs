use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use causeway_ingest::{
    Credentials, IngestConfig, IngestHandles, IngestLimits, IngestMetrics, IngestServer, Secret,
    SourceCredential, SourceLimits,
};
use causeway_model::{
    Accepted, Batch, BoxFuture, Clock, Delivery, LogRows, Micros, Sink, SinkError, SourceRef,
};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// 2026-11-22T00:00:00Z.
pub(crate) const NOW_US: Micros = 1_795_305_600_000_000;

/// Keeps deliveries; drops a hash that it knows; fails as told, once for each entry.
pub(crate) struct FakeSink {
    pub(crate) deliveries: Mutex<Vec<Delivery>>,
    pub(crate) failures: Mutex<VecDeque<SinkError>>,
    known: Mutex<HashSet<u64>>,
    /// Deliveries that have reached the sink.
    pub(crate) entered: Semaphore,
    /// Deliveries that may leave it.
    pub(crate) gate: Semaphore,
}

impl Sink for FakeSink {
    fn accept(&self, delivery: Delivery) -> BoxFuture<'_, Result<Accepted, SinkError>> {
        Box::pin(async move {
            self.entered.add_permits(1);
            self.gate.acquire().await.expect("open").forget();
            self.gate.add_permits(1);
            if let Some(failure) = self.failures.lock().pop_front() {
                return Err(failure);
            }
            let rows = delivery.batch.len();
            if !self.known.lock().insert(delivery.request_hash) {
                return Ok(Accepted { rows: 0, duplicate: true });
            }
            self.deliveries.lock().push(delivery);
            Ok(Accepted { rows, duplicate: false })
        })
    }
}

impl FakeSink {
    /// Bodies of all log records, in order.
    pub(crate) fn bodies(&self) -> Vec<String> {
        let deliveries = self.deliveries.lock();
        let logs = deliveries.iter().filter_map(|d| match &d.batch {
            Batch::Logs(batch) => Some(batch),
            _ => None,
        });
        logs.flat_map(|batch| {
            let rows = LogRows::new(batch).expect("columns");
            (0..batch.len()).map(|i| rows.body.value(i).to_owned()).collect::<Vec<_>>()
        })
        .collect()
    }

    pub(crate) fn sources(&self) -> Vec<String> {
        self.deliveries.lock().iter().map(|d| d.source.name.clone()).collect()
    }
}

pub(crate) struct FakeClock(pub(crate) AtomicI64);

impl Clock for FakeClock {
    fn now_us(&self) -> Micros {
        self.0.load(Ordering::SeqCst)
    }
}

pub(crate) struct Rig {
    pub(crate) handles: IngestHandles,
    pub(crate) sink: Arc<FakeSink>,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) credentials: Credentials,
    pub(crate) shutdown: CancellationToken,
    registry: Registry,
}

/// Every Forward connection of a test.
pub(crate) fn loopback() -> Secret {
    Secret::TrustedNetwork("127.0.0.0/8".parse().unwrap())
}

pub(crate) fn credential(name: &str, secrets: Vec<Secret>, limits: SourceLimits) -> SourceCredential {
    SourceCredential {
        source: SourceRef { namespace: "shop".to_owned(), name: name.to_owned() },
        secrets,
        limits,
    }
}

impl Rig {
    /// Sources: `web` with the bearer token `web-token`, `batch` with `batch-token`.
    pub(crate) async fn start() -> Self {
        let bearer = |token: &str| vec![Secret::Bearer(token.to_owned())];
        Self::with(
            vec![
                credential("web", bearer("web-token"), SourceLimits::default()),
                credential("batch", bearer("batch-token"), SourceLimits::default()),
            ],
            IngestLimits {
                max_body_bytes: 1 << 20,
                read_timeout: Duration::from_secs(20),
                ..IngestLimits::default()
            },
        )
        .await
    }

    pub(crate) async fn with(sources: Vec<SourceCredential>, limits: IngestLimits) -> Self {
        let sink = Arc::new(FakeSink {
            deliveries: Mutex::default(),
            failures: Mutex::default(),
            known: Mutex::default(),
            entered: Semaphore::new(0),
            gate: Semaphore::new(1),
        });
        let clock = Arc::new(FakeClock(AtomicI64::new(NOW_US)));
        let credentials = Credentials::new();
        assert_eq!(credentials.replace(sources, NOW_US), []);
        let mut registry = Registry::default();
        let metrics = IngestMetrics::register(&mut registry);
        let shutdown = CancellationToken::new();
        let bind = || TcpListener::bind("127.0.0.1:0");
        let config = IngestConfig {
            grpc: bind().await.expect("port"),
            http: bind().await.expect("port"),
            forward: bind().await.expect("port"),
            extra_http: axum::Router::new().route("/extra", axum::routing::get(|| async { "extra" })),
            server_name: "gateway".to_owned(),
            limits,
        };
        let handles = IngestServer::start(
            config,
            credentials.clone(),
            Arc::clone(&sink) as Arc<dyn Sink>,
            Arc::clone(&clock) as Arc<dyn Clock>,
            metrics,
            shutdown.clone(),
        )
        .expect("start");
        Self { handles, sink, clock, credentials, shutdown, registry }
    }

    /// All metrics as text.
    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("text");
        text
    }

    pub(crate) fn fail_once(&self, failure: SinkError) {
        self.sink.failures.lock().push_back(failure);
    }
}

/// A request with one log record for each body.
pub(crate) fn logs(bodies: &[&str]) -> ExportLogsServiceRequest {
    let text = |text: &str| Some(AnyValue { value: Some(Value::StringValue(text.to_owned())) });
    let log_records = bodies
        .iter()
        .map(|body| LogRecord {
            time_unix_nano: NOW_US as u64 * 1_000,
            body: text(body),
            ..LogRecord::default()
        })
        .collect();
    let service = KeyValue { key: "service.name".to_owned(), value: text("cart"), ..KeyValue::default() };
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(Resource { attributes: vec![service], ..Resource::default() }),
            scope_logs: vec![ScopeLogs { log_records, ..ScopeLogs::default() }],
            ..ResourceLogs::default()
        }],
    }
}

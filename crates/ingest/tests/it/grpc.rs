use causeway_model::SinkError;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric, number_data_point,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;
use tonic::{Code, Request};

use crate::fake::{Rig, logs};

async fn channel(rig: &Rig) -> Channel {
    Channel::from_shared(format!("http://{}", rig.handles.grpc)).unwrap().connect().await.unwrap()
}

fn with_token<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", "Bearer web-token".parse().unwrap());
    request
}

#[tokio::test]
async fn all_signals_and_compressions() {
    let rig = Rig::start().await;
    let channel = channel(&rig).await;
    let client = LogsServiceClient::new(channel.clone());
    client.clone().export(with_token(logs(&["plain"]))).await.unwrap();
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        let answer = client
            .clone()
            .send_compressed(encoding)
            .export(with_token(logs(&[&format!("{encoding}")])))
            .await;
        assert_eq!(answer.unwrap().into_inner().partial_success, None);
    }
    assert_eq!(rig.sink.bodies(), ["plain", "gzip", "zstd"]);

    let point =
        NumberDataPoint { value: Some(number_data_point::Value::AsInt(1)), ..NumberDataPoint::default() };
    let metric = Metric {
        name: "m".to_owned(),
        data: Some(metric::Data::Gauge(Gauge { data_points: vec![point] })),
        ..Metric::default()
    };
    let scope_metrics = vec![ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() }];
    let request = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }],
    };
    MetricsServiceClient::new(channel.clone()).export(with_token(request)).await.unwrap();

    let good = Span { trace_id: vec![1; 16], span_id: vec![2; 8], ..Span::default() };
    let scope_spans = vec![ScopeSpans { spans: vec![good, Span::default()], ..ScopeSpans::default() }];
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }],
    };
    let answer = TraceServiceClient::new(channel).export(with_token(request)).await.unwrap().into_inner();
    assert_eq!(answer.partial_success.unwrap().rejected_spans, 1);
    let tables: Vec<_> = rig.sink.deliveries.lock().iter().skip(3).map(|d| d.batch.table().name()).collect();
    assert_eq!(tables, ["metrics", "spans"]);
}

#[tokio::test]
async fn failures_have_the_codes_that_exporters_expect() {
    let rig = Rig::start().await;
    let mut client = LogsServiceClient::new(channel(&rig).await);
    let status = client.export(logs(&["x"])).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    rig.fail_once(SinkError::Overloaded { retry_after_ms: 1_500 });
    let status = client.export(with_token(logs(&["x"]))).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.details().windows(9).any(|w| w == b"RetryInfo"), "says when to retry");
    rig.fail_once(SinkError::Invalid("bad".to_owned()));
    let status = client.export(with_token(logs(&["x"]))).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "cannot process: bad"));
    let huge = "x".repeat(2 << 20);
    let status = client.export(with_token(logs(&[&huge]))).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    let bomb =
        client.clone().send_compressed(CompressionEncoding::Gzip).export(with_token(logs(&[&huge]))).await;
    assert!(bomb.is_err());
    client.export(with_token(logs(&["good"]))).await.unwrap();
    assert_eq!(rig.sink.bodies(), ["good"]);
}

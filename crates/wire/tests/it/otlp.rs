use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use causeway_model::{Batch, LogRows, MetricRows, SpanRows, map_get};
use causeway_wire::{
    DecodeError, DecodeLimits, Decoded, Decoder, Failure, OtlpDecoder, OtlpEncoding, OtlpSignal, Reply,
};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
    metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::prelude::*;
use prost::Message;

use crate::{NOW_US, context};

const SIGNALS: [OtlpSignal; 3] = [OtlpSignal::Logs, OtlpSignal::Metrics, OtlpSignal::Traces];
const ENCODINGS: [OtlpEncoding; 2] = [OtlpEncoding::Protobuf, OtlpEncoding::Json];

fn decode(signal: OtlpSignal, encoding: OtlpEncoding, body: &[u8]) -> Result<Decoded, DecodeError> {
    OtlpDecoder { signal, encoding }.decode(body, &context())
}

fn kv(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn resource() -> Resource {
    Resource {
        attributes: vec![kv("service.name", "cart"), kv("service.namespace", "shop")],
        ..Resource::default()
    }
}

fn logs(records: Vec<LogRecord>) -> Vec<u8> {
    let scope = InstrumentationScope { name: "com.acme.Cart".to_owned(), ..InstrumentationScope::default() };
    let scope_logs = vec![ScopeLogs { scope: Some(scope), log_records: records, ..ScopeLogs::default() }];
    let group = ResourceLogs { resource: Some(resource()), scope_logs, ..ResourceLogs::default() };
    ExportLogsServiceRequest { resource_logs: vec![group] }.encode_to_vec()
}

fn record(time_us: i64, body: &str) -> LogRecord {
    LogRecord {
        time_unix_nano: time_us as u64 * 1_000,
        body: Some(AnyValue { value: Some(Value::StringValue(body.to_owned())) }),
        ..LogRecord::default()
    }
}

#[test]
fn a_log_record_keeps_what_it_says() {
    let full = LogRecord {
        severity_number: 17,
        severity_text: "Error".to_owned(),
        attributes: vec![
            kv("http.route", "/cart"),
            KeyValue {
                key: "list".to_owned(),
                value: Some(AnyValue {
                    value: Some(Value::ArrayValue(ArrayValue {
                        values: vec![AnyValue { value: Some(Value::IntValue(1)) }, AnyValue { value: None }],
                    })),
                }),
                ..KeyValue::default()
            },
        ],
        trace_id: vec![0xab; 16],
        span_id: vec![0; 8],
        ..record(NOW_US - 5, "no stock")
    };
    let decoded = decode(OtlpSignal::Logs, OtlpEncoding::Protobuf, &logs(vec![full])).unwrap();
    let Batch::Logs(batch) = &decoded.batch else { panic!("logs") };
    let rows = LogRows::new(batch).unwrap();
    assert_eq!((rows.time.value(0), rows.service.value(0)), (NOW_US - 5, "shop/cart"));
    assert_eq!((rows.severity_number.value(0), rows.severity_text.value(0)), (17, "Error"));
    assert_eq!(rows.body.value(0), "no stock");
    assert_eq!(rows.trace_id.value(0), "ab".repeat(16));
    assert!(rows.span_id.is_null(0), "an id of zeros is none");
    assert_eq!(map_get(rows.attributes, 0, "list"), Some("[1,null]"));
    assert_eq!(map_get(rows.attributes, 0, "otel.scope.name"), Some("com.acme.Cart"));
    assert_eq!(map_get(rows.resource, 0, "service.name"), Some("cart"));
    let table: &RecordBatch = batch.record_batch();
    assert_eq!(table.column_by_name("namespace").unwrap().as_string::<i32>().value(0), "shop");
    assert_eq!(table.column_by_name("source").unwrap().as_string::<i32>().value(0), "otel");
}

#[test]
fn times_that_nobody_believes_become_the_time_of_observation() {
    let year_1754 = LogRecord { time_unix_nano: u64::MAX, ..record(0, "wraps below zero in a signed clock") };
    let year_2099 = record(4_070_908_800_000_000, "x");
    let observed_only =
        LogRecord { observed_time_unix_nano: (NOW_US as u64 - 7) * 1_000, ..record(0, "no time of its own") };
    let records = vec![year_1754, year_2099, observed_only, record(0, "none"), record(NOW_US - 1, "good")];
    let decoded = decode(OtlpSignal::Logs, OtlpEncoding::Protobuf, &logs(records)).unwrap();
    let Batch::Logs(batch) = &decoded.batch else { panic!("logs") };
    let times: Vec<i64> = LogRows::new(batch).unwrap().time.values().to_vec();
    assert_eq!(times, [NOW_US, NOW_US, NOW_US - 7, NOW_US, NOW_US - 1]);
    assert_eq!((decoded.stats.records, decoded.stats.time_adjusted, decoded.stats.rejected), (5, 2, 0));
}

#[test]
fn metrics_of_all_kinds() {
    let number = |v: number_data_point::Value| NumberDataPoint {
        time_unix_nano: NOW_US as u64 * 1_000,
        attributes: vec![kv("route", "/")],
        value: Some(v),
        ..NumberDataPoint::default()
    };
    let metric = |name: &str, data: metric::Data| Metric {
        name: name.to_owned(),
        unit: "ms".to_owned(),
        data: Some(data),
        ..Metric::default()
    };
    let histogram = |bounds: Vec<f64>| HistogramDataPoint {
        count: 4,
        sum: Some(10.0),
        bucket_counts: vec![1, 2, 1],
        explicit_bounds: bounds,
        ..HistogramDataPoint::default()
    };
    let metrics = vec![
        metric(
            "g",
            metric::Data::Gauge(Gauge {
                data_points: vec![
                    number(number_data_point::Value::AsInt(3)),
                    number(number_data_point::Value::AsDouble(f64::NAN)),
                ],
            }),
        ),
        metric(
            "s",
            metric::Data::Sum(Sum {
                data_points: vec![number(number_data_point::Value::AsDouble(1.5))],
                aggregation_temporality: 1,
                is_monotonic: true,
            }),
        ),
        metric(
            "h",
            metric::Data::Histogram(Histogram {
                data_points: vec![histogram(vec![1.0, 5.0]), histogram(vec![5.0, 1.0])],
                aggregation_temporality: 2,
            }),
        ),
    ];
    let scope_metrics = vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }];
    let group = ResourceMetrics { resource: Some(resource()), scope_metrics, ..ResourceMetrics::default() };
    let body = ExportMetricsServiceRequest { resource_metrics: vec![group] }.encode_to_vec();
    let decoded = decode(OtlpSignal::Metrics, OtlpEncoding::Protobuf, &body).unwrap();
    let Batch::Metrics(batch) = &decoded.batch else { panic!("metrics") };
    let rows = MetricRows::new(batch).unwrap();
    let names: Vec<_> = (0..batch.len()).map(|i| (rows.name.value(i), rows.kind.value(i))).collect();
    assert_eq!(names, [("g", "gauge"), ("s", "sum"), ("h", "histogram")], "NaN is no value");
    assert_eq!((rows.value.value(0), rows.value.value(1), rows.value.value(2)), (3.0, 1.5, 2.5));
    assert_eq!((rows.delta.value(1), rows.monotonic.value(1), rows.delta.value(2)), (true, true, false));
    assert_eq!(rows.bounds.value(2).as_primitive::<Float64Type>().values(), &[1.0, 5.0]);
    assert_eq!(rows.bucket_counts.value(2).as_primitive::<Int64Type>().values(), &[1, 2, 1]);
    assert_eq!(decoded.stats.rejected, 1);
    assert_eq!(decoded.errors, ["metric h: buckets contradict themselves"]);
}

#[test]
fn spans() {
    let span = Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        parent_span_id: vec![3; 8],
        name: "GET /".to_owned(),
        kind: 2,
        start_time_unix_nano: NOW_US as u64 * 1_000,
        end_time_unix_nano: NOW_US as u64 * 1_000 + 42,
        status: Some(Status { message: "boom".to_owned(), code: 2 }),
        ..Span::default()
    };
    let backwards = Span { end_time_unix_nano: 1, parent_span_id: vec![], status: None, ..span.clone() };
    let no_id = Span { trace_id: vec![1; 3], ..span.clone() };
    let scope_spans = vec![ScopeSpans { spans: vec![span, backwards, no_id], ..ScopeSpans::default() }];
    let group = ResourceSpans { resource: Some(resource()), scope_spans, ..ResourceSpans::default() };
    let body = ExportTraceServiceRequest { resource_spans: vec![group] }.encode_to_vec();
    let decoded = decode(OtlpSignal::Traces, OtlpEncoding::Protobuf, &body).unwrap();
    let Batch::Spans(batch) = &decoded.batch else { panic!("spans") };
    let rows = SpanRows::new(batch).unwrap();
    assert_eq!((rows.kind.value(0), rows.duration_ns.value(0), rows.error.value(0)), ("server", 42, true));
    assert_eq!(rows.parent_span_id.value(0), "03".repeat(8));
    assert_eq!((rows.duration_ns.value(1), rows.error.value(1)), (0, false), "a negative duration is none");
    assert!(rows.parent_span_id.is_null(1));
    assert_eq!((decoded.stats.records, decoded.stats.rejected), (2, 1));
}

#[test]
fn json_is_read_leniently() {
    let body = br#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"a"}}]},
        "unknownField":{"x":[1]},"scopeLogs":[{"scope":null,"logRecords":[
        {"timeUnixNano":"1795305600000000000","severityNumber":9,"body":{"stringValue":"text","extra":1},
         "traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174"},
        {"time_unix_nano":1795305600000000000,"severityNumber":"SEVERITY_NUMBER_ERROR","body":{"intValue":7},
         "attributes":[{"key":"i","value":{"intValue":"9007199254740993"}},{"key":"d","value":{"doubleValue":1}},
                       {"key":"n","value":null},{"key":"k","value":{"kvlistValue":{"values":[{"key":"a","value":{"boolValue":true}}]}}},
                       {"key":"y","value":{"bytesValue":"aGk="}}]},
        null]}]}]}"#;
    let decoded = decode(OtlpSignal::Logs, OtlpEncoding::Json, body).unwrap();
    let Batch::Logs(batch) = &decoded.batch else { panic!("logs") };
    let rows = LogRows::new(batch).unwrap();
    assert_eq!(batch.len(), 2);
    assert_eq!((rows.time.value(0), rows.time.value(1)), (NOW_US, NOW_US));
    assert_eq!((rows.severity_number.value(0), rows.severity_number.value(1)), (9, 17));
    assert_eq!(
        (rows.trace_id.value(0), rows.span_id.value(0)),
        ("5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174")
    );
    for (key, want) in
        [("i", "9007199254740993"), ("d", "1"), ("n", ""), ("k", r#"{"a":true}"#), ("y", "aGk=")]
    {
        assert_eq!(map_get(rows.attributes, 1, key), Some(want), "{key}");
    }
    let metrics = br#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[
        {"name":"a","sum":{"aggregationTemporality":"AGGREGATION_TEMPORALITY_DELTA","isMonotonic":true,"dataPoints":[{"asInt":"5"}]}},
        {"name":"b","histogram":{"aggregationTemporality":2,"dataPoints":[{"count":"2","sum":3,"bucketCounts":["1",1],"explicitBounds":[1]}]}},
        {"name":"c","gauge":{"dataPoints":[{"asDouble":"NaN"},{"asDouble":2.5}]}},
        {"name":"d","exponentialHistogram":{"dataPoints":[{"count":1,"scale":0,"positive":{"offset":0,"bucketCounts":["1"]}}]}},
        {"name":"e","summary":{"dataPoints":[{"count":"2","sum":4,"quantileValues":[{"quantile":0.5,"value":1.5}]}]}}]}]}]}"#;
    let decoded = decode(OtlpSignal::Metrics, OtlpEncoding::Json, metrics).unwrap();
    let Batch::Metrics(batch) = &decoded.batch else { panic!("metrics") };
    let rows = MetricRows::new(batch).unwrap();
    let values: Vec<_> = (0..batch.len())
        .map(|i| (rows.name.value(i), rows.value.is_valid(i).then(|| rows.value.value(i))))
        .collect();
    assert_eq!(values, [("a", Some(5.0)), ("b", Some(1.5)), ("c", Some(2.5)), ("d", None), ("e", Some(2.0))]);
    assert_eq!(map_get(rows.attributes, 4, "quantile.0.5"), Some("1.5"));
    let spans = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"01010101010101010101010101010101",
        "spanId":"0202020202020202","parentSpanId":"","name":"x","kind":3,"startTimeUnixNano":"1795305600000000000",
        "endTimeUnixNano":1795305600000000009,"status":{"code":"STATUS_CODE_ERROR"},
        "events":[{"name":"exception","attributes":[{"key":"exception.type","value":{"stringValue":"E"}}]}]}]}]}]}"#;
    let decoded = decode(OtlpSignal::Traces, OtlpEncoding::Json, spans).unwrap();
    let Batch::Spans(batch) = &decoded.batch else { panic!("spans") };
    let rows = SpanRows::new(batch).unwrap();
    assert_eq!((rows.kind.value(0), rows.duration_ns.value(0), rows.error.value(0)), ("client", 9, true));
    assert_eq!(map_get(rows.attributes, 0, "exception.type"), Some("E"));
}

#[test]
fn malformed_bodies_say_where() {
    for (signal, encoding, body, want) in [
        (OtlpSignal::Logs, OtlpEncoding::Json, &b"{"[..], "EOF"),
        (OtlpSignal::Logs, OtlpEncoding::Json, b"[]", "request: expected an object"),
        (OtlpSignal::Logs, OtlpEncoding::Json, br#"{"resourceLogs":{}}"#, "resourceLogs: expected a list"),
        (
            OtlpSignal::Traces,
            OtlpEncoding::Json,
            br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"xyz"}]}]}]}"#,
            "traceId: expected hexadecimal digits",
        ),
        (OtlpSignal::Logs, OtlpEncoding::Protobuf, b"\x0a\x7f\x00", "longer than its message"),
        (OtlpSignal::Metrics, OtlpEncoding::Protobuf, b"\xff\xff\xff", "malformed protobuf"),
    ] {
        let error = decode(signal, encoding, body).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }
}

#[test]
fn bounds_hold() {
    let mut context = context();
    context.limits = DecodeLimits {
        max_records: 3,
        max_attributes: 3,
        max_value_bytes: 8,
        max_key_bytes: 16,
        max_body_bytes: 5,
        max_record_bytes: 400,
        ..DecodeLimits::default()
    };
    let many = LogRecord {
        attributes: (0..9).map(|i| kv(&format!("k{i}"), "äöüäöü")).collect(),
        ..record(NOW_US, "äöü")
    };
    let large = record(NOW_US, &"x".repeat(500));
    let body = logs(vec![large, many, record(NOW_US, "a"), record(NOW_US, "b"), record(NOW_US, "c")]);
    let decoder = OtlpDecoder { signal: OtlpSignal::Logs, encoding: OtlpEncoding::Protobuf };
    let decoded = decoder.decode(&body, &context).unwrap();
    let Batch::Logs(batch) = &decoded.batch else { panic!("logs") };
    let rows = LogRows::new(batch).unwrap();
    assert_eq!(rows.body.value(0), "äö");
    assert_eq!(rows.attributes.value_length(0), 3);
    assert_eq!(map_get(rows.attributes, 0, "k0"), Some("äöüä"));
    assert_eq!((decoded.stats.records, decoded.stats.rejected, decoded.errors.len()), (3, 2, 2));
    assert!(decoded.stats.truncated >= 1);

    // A large resource on many small records can't blow the batch up.
    context.limits = DecodeLimits { max_batch_bytes: 10_000, ..DecodeLimits::default() };
    let decoded = decoder.decode(&logs((0..1_000).map(|_| record(NOW_US, "x")).collect()), &context).unwrap();
    assert!(decoded.stats.records < 100 && decoded.stats.records + decoded.stats.rejected == 1_000);
    assert_eq!(decoded.errors, ["texts of a request exceed 10000 bytes: split it"]);
}

#[test]
fn deep_values_are_cut_not_followed() {
    let mut value = AnyValue { value: Some(Value::IntValue(1)) };
    for _ in 0..40 {
        value = AnyValue { value: Some(Value::ArrayValue(ArrayValue { values: vec![value] })) };
    }
    let deep = LogRecord { body: Some(value), ..record(NOW_US, "") };
    let decoded = decode(OtlpSignal::Logs, OtlpEncoding::Protobuf, &logs(vec![deep])).unwrap();
    let Batch::Logs(batch) = &decoded.batch else { panic!("logs") };
    assert_eq!(
        LogRows::new(batch).unwrap().body.value(0),
        format!("{}null{}", "[".repeat(16), "]".repeat(16))
    );
    assert_eq!(decoded.stats.truncated, 1);
}

#[test]
fn replies_are_those_of_the_specification() {
    let protobuf = OtlpDecoder { signal: OtlpSignal::Logs, encoding: OtlpEncoding::Protobuf };
    assert!(protobuf.reply(Reply::Accepted { rejected: 0, message: "" }).is_empty());
    let partial = protobuf.reply(Reply::Accepted { rejected: 2, message: "why" });
    let partial = ExportLogsServiceResponse::decode(partial.as_slice()).unwrap().partial_success.unwrap();
    assert_eq!((partial.rejected_log_records, partial.error_message.as_str()), (2, "why"));
    let json = OtlpDecoder { signal: OtlpSignal::Traces, encoding: OtlpEncoding::Json };
    assert_eq!(json.reply(Reply::Accepted { rejected: 0, message: "" }), b"{}");
    assert_eq!(
        String::from_utf8(json.reply(Reply::Accepted { rejected: 2, message: "why" })).unwrap(),
        r#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"why"}}"#
    );
    assert_eq!(
        String::from_utf8(json.reply(Reply::Failed { failure: Failure::Invalid, message: "no" })).unwrap(),
        r#"{"code":3,"message":"no"}"#
    );
}

proptest! {
    #[test]
    fn any_bytes_give_a_result_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for signal in SIGNALS {
            for encoding in ENCODINGS {
                drop(decode(signal, encoding, &bytes));
            }
        }
    }

    #[test]
    fn damaged_requests_never_panic(at in 0usize..400, to in any::<u8>(), cut in 0usize..400) {
        let mut body = logs(vec![record(NOW_US, "one"), record(NOW_US, "two")]);
        let (at, cut) = (at % body.len(), cut % body.len());
        body[at] = to;
        for signal in SIGNALS {
            drop(decode(signal, OtlpEncoding::Protobuf, &body));
            drop(decode(signal, OtlpEncoding::Protobuf, &body[..cut]));
        }
    }

    #[test]
    fn every_record_is_counted_once(bodies in prop::collection::vec(".{0,40}", 0..60), max_records in 0usize..60) {
        let mut context = context();
        context.limits.max_records = max_records;
        let body = logs(bodies.iter().map(|b| record(NOW_US, b)).collect());
        let decoder = OtlpDecoder { signal: OtlpSignal::Logs, encoding: OtlpEncoding::Protobuf };
        let decoded = decoder.decode(&body, &context).unwrap();
        prop_assert_eq!(decoded.stats.records + decoded.stats.rejected, bodies.len());
        prop_assert_eq!(decoded.stats.records, decoded.batch.len());
    }
}

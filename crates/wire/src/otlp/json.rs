//! OTLP/JSON into the messages of OTLP, as lenient as the specification asks receivers to be: unknown fields are
//! ignored, `null` is a default, integers may be text, enums may be numbers or names, field names may be in
//! `snake_case`.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, ExponentialHistogramDataPoint, HistogramDataPoint, NumberDataPoint,
    SummaryDataPoint,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use serde_json::{Map, Value};

use super::Assemble;
use super::metrics::{Point, PointKind, is_delta};
use crate::DecodeError;

type Object = Map<String, Value>;

fn malformed(reason: impl Into<String>) -> DecodeError {
    DecodeError::Malformed { protocol: "JSON", reason: reason.into() }
}

fn expected(field: &str, what: &str) -> DecodeError {
    malformed(format!("{field}: expected {what}"))
}

/// Takes a field by its name in `lowerCamelCase` or in `snake_case`; `None` when it is missing or null.
fn take(object: &mut Object, field: &str) -> Option<Value> {
    let value = object.remove(field).or_else(|| {
        let mut snake = String::with_capacity(field.len() + 4);
        for c in field.chars() {
            if c.is_ascii_uppercase() {
                snake.push('_');
            }
            snake.push(c.to_ascii_lowercase());
        }
        if snake == field { None } else { object.remove(&snake) }
    });
    value.filter(|v| !v.is_null())
}

fn object(value: Value, field: &str) -> Result<Object, DecodeError> {
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(expected(field, "an object")),
    }
}

fn list(parent: &mut Object, field: &str) -> Result<Vec<Value>, DecodeError> {
    match take(parent, field) {
        None => Ok(Vec::new()),
        Some(Value::Array(list)) => Ok(list),
        Some(_) => Err(expected(field, "a list")),
    }
}

fn objects(parent: &mut Object, field: &str) -> Result<Vec<Object>, DecodeError> {
    list(parent, field)?.into_iter().filter(|v| !v.is_null()).map(|v| object(v, field)).collect()
}

fn text(parent: &mut Object, field: &str) -> Result<String, DecodeError> {
    match take(parent, field) {
        None => Ok(String::new()),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(expected(field, "a text")),
    }
}

fn as_i64(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(n) => n.as_i64().or_else(|| {
            let float = n.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 9.0e18)?;
            Some(float as i64)
        }),
        _ => None,
    }
}

fn as_u64(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(n) => n.as_u64().or_else(|| {
            let float = n.as_f64().filter(|f| f.fract() == 0.0 && (0.0..1.8e19).contains(f))?;
            Some(float as u64)
        }),
        _ => None,
    }
}

/// `"NaN"`, `"Infinity"` and `"-Infinity"` are texts in protobuf's JSON; Rust's parser knows them too.
fn as_f64(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_f64(),
    }
}

fn u64(parent: &mut Object, field: &str) -> Result<u64, DecodeError> {
    take(parent, field)
        .map_or(Ok(0), |v| as_u64(&v).ok_or_else(|| expected(field, "an unsigned 64-bit integer")))
}

fn i32(parent: &mut Object, field: &str) -> Result<i32, DecodeError> {
    let number = |v: Value| as_i64(&v).and_then(|n| n.try_into().ok());
    take(parent, field).map_or(Ok(0), |v| number(v).ok_or_else(|| expected(field, "a 32-bit integer")))
}

fn f64(parent: &mut Object, field: &str) -> Result<Option<f64>, DecodeError> {
    take(parent, field).map(|v| as_f64(&v).ok_or_else(|| expected(field, "a number"))).transpose()
}

/// An enum as a number or as its name; an unknown name is the default.
fn enumeration(
    parent: &mut Object,
    field: &str,
    by_name: fn(&str) -> Option<i32>,
) -> Result<i32, DecodeError> {
    match take(parent, field) {
        None => Ok(0),
        Some(Value::String(name)) => Ok(name.parse().ok().or_else(|| by_name(&name)).unwrap_or_default()),
        Some(value) => {
            as_i64(&value).and_then(|n| n.try_into().ok()).ok_or_else(|| expected(field, "an enum's number"))
        }
    }
}

/// An id in hex, whatever its case.
fn hex(parent: &mut Object, field: &str) -> Result<Vec<u8>, DecodeError> {
    let id = text(parent, field)?;
    let digit = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
    let bytes: Option<Vec<u8>> = id
        .as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect();
    bytes.ok_or_else(|| expected(field, "hexadecimal digits"))
}

fn any(value: Value) -> Result<AnyValue, DecodeError> {
    let mut object = object(value, "value")?;
    let mut found = None;
    if let Some(v) = take(&mut object, "stringValue") {
        found = Some(match v {
            Value::String(text) => Any::StringValue(text),
            other => Any::StringValue(other.to_string()),
        });
    } else if let Some(v) = take(&mut object, "boolValue") {
        found = Some(Any::BoolValue(v.as_bool().ok_or_else(|| expected("boolValue", "true or false"))?));
    } else if let Some(v) = take(&mut object, "intValue") {
        found = Some(Any::IntValue(as_i64(&v).ok_or_else(|| expected("intValue", "a 64-bit integer"))?));
    } else if let Some(v) = take(&mut object, "doubleValue") {
        found = Some(Any::DoubleValue(as_f64(&v).ok_or_else(|| expected("doubleValue", "a number"))?));
    } else if let Some(v) = take(&mut object, "bytesValue") {
        let text = v.as_str().unwrap_or_default();
        let bytes = STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text));
        found = Some(Any::BytesValue(bytes.map_err(|_| expected("bytesValue", "base64"))?));
    } else if let Some(v) = take(&mut object, "arrayValue") {
        let mut inner = self::object(v, "arrayValue")?;
        let values = list(&mut inner, "values")?.into_iter().map(any).collect::<Result<_, _>>()?;
        found = Some(Any::ArrayValue(ArrayValue { values }));
    } else if let Some(v) = take(&mut object, "kvlistValue") {
        let mut inner = self::object(v, "kvlistValue")?;
        found = Some(Any::KvlistValue(KeyValueList { values: key_values(&mut inner, "values")? }));
    }
    Ok(AnyValue { value: found })
}

fn key_values(parent: &mut Object, field: &str) -> Result<Vec<KeyValue>, DecodeError> {
    objects(parent, field)?
        .into_iter()
        .map(|mut kv| {
            let key = text(&mut kv, "key")?;
            let value = take(&mut kv, "value").map(any).transpose()?;
            Ok(KeyValue { key, value, ..KeyValue::default() })
        })
        .collect()
}

/// Hands all parts of a request to the assembler.
///
/// # Errors
/// When the bytes are not JSON, or a known field has another type; the message names it.
pub(super) fn walk<A: Assemble>(body: &[u8], assembler: &mut A) -> Result<(), DecodeError> {
    let root: Value = serde_json::from_slice(body).map_err(|e| malformed(e.to_string()))?;
    let [groups, scopes, records] = A::JSON_LISTS;
    for mut group in objects(&mut object(root, "request")?, groups)? {
        let mut resource = Resource::default();
        if let Some(value) = take(&mut group, "resource") {
            resource.attributes = key_values(&mut object(value, "resource")?, "attributes")?;
        }
        assembler.resource(resource);
        for mut scoped in objects(&mut group, scopes)? {
            let mut scope = InstrumentationScope::default();
            if let Some(value) = take(&mut scoped, "scope") {
                scope.name = text(&mut object(value, "scope")?, "name")?;
            }
            assembler.scope(scope);
            for record in objects(&mut scoped, records)? {
                assembler.json_record(record)?;
            }
        }
    }
    Ok(())
}

pub(super) fn log_record(mut r: Object) -> Result<LogRecord, DecodeError> {
    Ok(LogRecord {
        time_unix_nano: u64(&mut r, "timeUnixNano")?,
        observed_time_unix_nano: u64(&mut r, "observedTimeUnixNano")?,
        severity_number: enumeration(&mut r, "severityNumber", |name| {
            SeverityNumber::from_str_name(name).map(|s| s as i32)
        })?,
        severity_text: text(&mut r, "severityText")?,
        body: take(&mut r, "body").map(any).transpose()?,
        attributes: key_values(&mut r, "attributes")?,
        trace_id: hex(&mut r, "traceId")?,
        span_id: hex(&mut r, "spanId")?,
        event_name: text(&mut r, "eventName")?,
        ..LogRecord::default()
    })
}

pub(super) fn span(mut s: Object) -> Result<Span, DecodeError> {
    let events = objects(&mut s, "events")?
        .into_iter()
        .map(|mut e| {
            let (name, attributes) = (text(&mut e, "name")?, key_values(&mut e, "attributes")?);
            Ok(Event { name, attributes, ..Event::default() })
        })
        .collect::<Result<_, DecodeError>>()?;
    let status = take(&mut s, "status").map(|status| {
        let mut status = object(status, "status")?;
        let code =
            enumeration(&mut status, "code", |name| StatusCode::from_str_name(name).map(|c| c as i32))?;
        Ok::<_, DecodeError>(Status { message: text(&mut status, "message")?, code })
    });
    Ok(Span {
        trace_id: hex(&mut s, "traceId")?,
        span_id: hex(&mut s, "spanId")?,
        parent_span_id: hex(&mut s, "parentSpanId")?,
        name: text(&mut s, "name")?,
        kind: enumeration(&mut s, "kind", |name| SpanKind::from_str_name(name).map(|k| k as i32))?,
        start_time_unix_nano: u64(&mut s, "startTimeUnixNano")?,
        end_time_unix_nano: u64(&mut s, "endTimeUnixNano")?,
        attributes: key_values(&mut s, "attributes")?,
        events,
        status: status.transpose()?,
        ..Span::default()
    })
}

/// A metric whose points are not read yet.
pub(super) struct Metric {
    pub(super) name: String,
    pub(super) unit: String,
    pub(super) kind: PointKind,
    pub(super) delta: bool,
    pub(super) monotonic: bool,
    pub(super) points: Vec<Object>,
}

/// A metric; `None` when it has no data of a known kind.
pub(super) fn metric(mut m: Object) -> Result<Option<Metric>, DecodeError> {
    let found =
        PointKind::ALL.iter().find_map(|(_, field, kind)| Some((*kind, *field, take(&mut m, field)?)));
    let Some((kind, field, data)) = found else { return Ok(None) };
    let mut data = object(data, field)?;
    let temporality = enumeration(&mut data, "aggregationTemporality", |name| {
        AggregationTemporality::from_str_name(name).map(|t| t as i32)
    })?;
    Ok(Some(Metric {
        name: text(&mut m, "name")?,
        unit: text(&mut m, "unit")?,
        kind,
        delta: is_delta(i64::from(temporality)),
        monotonic: take(&mut data, "isMonotonic").and_then(|v| v.as_bool()).unwrap_or(false),
        points: objects(&mut data, "dataPoints")?,
    }))
}

fn numbers<T>(
    parent: &mut Object,
    field: &str,
    number: fn(&Value) -> Option<T>,
) -> Result<Vec<T>, DecodeError> {
    list(parent, field)?.iter().map(|v| number(v).ok_or_else(|| expected(field, "numbers"))).collect()
}

fn buckets(parent: &mut Object, field: &str) -> Result<Option<Buckets>, DecodeError> {
    let Some(value) = take(parent, field) else { return Ok(None) };
    let mut value = object(value, field)?;
    Ok(Some(Buckets {
        offset: i32(&mut value, "offset")?,
        bucket_counts: numbers(&mut value, "bucketCounts", as_u64)?,
    }))
}

pub(super) fn point(kind: PointKind, mut p: Object) -> Result<Point, DecodeError> {
    let attributes = key_values(&mut p, "attributes")?;
    let time_unix_nano = u64(&mut p, "timeUnixNano")?;
    let flags = u32::try_from(u64(&mut p, "flags")?).unwrap_or_default();
    let (count, sum) = match kind {
        PointKind::Gauge | PointKind::Sum => (0, None),
        _ => (u64(&mut p, "count")?, f64(&mut p, "sum")?),
    };
    Ok(match kind {
        PointKind::Gauge | PointKind::Sum => {
            let value = match take(&mut p, "asInt") {
                Some(v) => {
                    Some(Number::AsInt(as_i64(&v).ok_or_else(|| expected("asInt", "a 64-bit integer"))?))
                }
                None => f64(&mut p, "asDouble")?.map(Number::AsDouble),
            };
            Point::Number(NumberDataPoint {
                attributes,
                time_unix_nano,
                flags,
                value,
                ..NumberDataPoint::default()
            })
        }
        PointKind::Histogram => Point::Histogram(HistogramDataPoint {
            attributes,
            time_unix_nano,
            flags,
            count,
            sum,
            bucket_counts: numbers(&mut p, "bucketCounts", as_u64)?,
            explicit_bounds: numbers(&mut p, "explicitBounds", as_f64)?,
            ..HistogramDataPoint::default()
        }),
        PointKind::Exponential => Point::Exponential(ExponentialHistogramDataPoint {
            attributes,
            time_unix_nano,
            flags,
            count,
            sum,
            scale: i32(&mut p, "scale")?,
            zero_count: u64(&mut p, "zeroCount")?,
            zero_threshold: f64(&mut p, "zeroThreshold")?.unwrap_or_default(),
            positive: buckets(&mut p, "positive")?,
            negative: buckets(&mut p, "negative")?,
            ..ExponentialHistogramDataPoint::default()
        }),
        PointKind::Summary => Point::Summary(SummaryDataPoint {
            attributes,
            time_unix_nano,
            flags,
            count,
            sum: sum.unwrap_or_default(),
            quantile_values: objects(&mut p, "quantileValues")?
                .into_iter()
                .map(|mut q| {
                    let quantile = f64(&mut q, "quantile")?.unwrap_or_default();
                    Ok(ValueAtQuantile { quantile, value: f64(&mut q, "value")?.unwrap_or_default() })
                })
                .collect::<Result<_, DecodeError>>()?,
            ..SummaryDataPoint::default()
        }),
    })
}

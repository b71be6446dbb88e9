//! Values of OTLP as text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use serde_json::Value as Json;

use crate::assemble::{Assembly, Pairs};

/// Attributes as text, within the bounds.
pub(super) fn attributes(assembly: &mut Assembly<'_>, values: Vec<KeyValue>) -> Pairs {
    let mut pairs = Vec::with_capacity(values.len().min(assembly.context.limits.max_attributes));
    for KeyValue { key, value, .. } in values {
        if key.is_empty() {
            continue;
        }
        let text = text(assembly, value);
        assembly.push(&mut pairs, key, text);
    }
    pairs
}

/// A value as text: scalars as they are, bytes in base64, lists and maps as JSON.
pub(super) fn text(assembly: &mut Assembly<'_>, value: Option<AnyValue>) -> String {
    match value.and_then(|v| v.value) {
        None => String::new(),
        Some(Value::StringValue(text)) => text,
        Some(Value::BoolValue(v)) => v.to_string(),
        Some(Value::IntValue(v)) => v.to_string(),
        Some(Value::DoubleValue(v)) => v.to_string(),
        Some(Value::BytesValue(bytes)) => STANDARD.encode(bytes),
        Some(nested) => {
            let depth = assembly.context.limits.max_depth;
            json(assembly, AnyValue { value: Some(nested) }, depth).to_string()
        }
    }
}

fn json(assembly: &mut Assembly<'_>, value: AnyValue, depth: usize) -> Json {
    if depth == 0 {
        assembly.mark_cut();
        return Json::Null;
    }
    match value.value {
        None | Some(Value::StringValueStrindex(_)) => Json::Null,
        Some(Value::StringValue(text)) => Json::String(text),
        Some(Value::BoolValue(v)) => Json::Bool(v),
        Some(Value::IntValue(v)) => Json::from(v),
        // JSON has no number for NaN and the infinities; their text is kept.
        Some(Value::DoubleValue(v)) if !v.is_finite() => Json::String(v.to_string()),
        Some(Value::DoubleValue(v)) => Json::from(v),
        Some(Value::BytesValue(bytes)) => Json::String(STANDARD.encode(bytes)),
        Some(Value::ArrayValue(list)) => {
            list.values.into_iter().map(|v| json(assembly, v, depth - 1)).collect()
        }
        Some(Value::KvlistValue(map)) => map
            .values
            .into_iter()
            .map(|kv| (kv.key, kv.value.map_or(Json::Null, |v| json(assembly, v, depth - 1))))
            .collect(),
    }
}

/// An id in lower-case hex; `None` when it has another length or is all zero.
pub(super) fn id(bytes: &[u8], length: usize) -> Option<String> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    (bytes.len() == length && bytes.iter().any(|b| *b != 0)).then(|| {
        bytes
            .iter()
            .flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]])
            .map(char::from)
            .collect()
    })
}

/// Bytes of a trace id.
pub(super) const TRACE_ID: usize = 16;
/// Bytes of a span id.
pub(super) const SPAN_ID: usize = 8;

//! A record of the Forward protocol as a log row: which keys are the body, the severity, the resource.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use causeway_model::{BatchError, LogBuilder, LogRow};
use rmpv::ValueRef;
use serde_json::Value as Json;

use crate::assemble::{Assembly, Pairs, borrow};
use crate::severity::severity_number;

/// Keys of the message, the best first.
const BODY: [&str; 3] = ["log", "message", "msg"];
/// Keys of the severity, the best first.
const SEVERITY: [&str; 6] = ["level", "severity", "lvl", "loglevel", "log_level", "levelname"];
const TRACE_ID: [&str; 3] = ["trace_id", "traceId", "trace.id"];
const SPAN_ID: [&str; 3] = ["span_id", "spanId", "span.id"];
const SERVICE: [&str; 3] = ["service.name", "service_name", "service"];

/// Keys that FireLens, Docker and Fluent Bit set, and the resource attribute that each is.
const RESOURCE: [(&str, &str); 9] = [
    ("ecs_cluster", "aws.ecs.cluster.name"),
    ("ecs_task_arn", "aws.ecs.task.arn"),
    ("container_id", "container.id"),
    ("container_name", "container.name"),
    ("ec2_instance_id", "host.id"),
    ("hostname", "host.name"),
    ("image_name", "container.image.name"),
    ("service.namespace", "service.namespace"),
    ("service.version", "service.version"),
];

/// Keys of the `kubernetes` map that the Kubernetes filters set, and the resource attribute that each is.
const KUBERNETES: [(&str, &str); 8] = [
    ("namespace_name", "k8s.namespace.name"),
    ("pod_name", "k8s.pod.name"),
    ("pod_id", "k8s.pod.uid"),
    ("host", "k8s.node.name"),
    ("container_name", "k8s.container.name"),
    ("container_image", "container.image.name"),
    ("docker_id", "container.id"),
    ("deployment_name", "k8s.deployment.name"),
];

/// Labels of a pod that name its service, the best first.
const SERVICE_LABELS: [&str; 2] = ["app.kubernetes.io/name", "app"];

type Fields<'a> = Vec<(ValueRef<'a>, ValueRef<'a>)>;

/// Appends a record.
pub(super) fn append(
    assembly: &mut Assembly<'_>,
    builder: &mut LogBuilder,
    tag: &str,
    time_us: i64,
    mut fields: Fields<'_>,
) -> Result<(), BatchError> {
    let resource = resource(assembly, &mut fields);
    assembly.set_resource(resource);
    let severity_text = take(&mut fields, &SEVERITY).map(|v| plain(assembly, v)).unwrap_or_default();
    let key_limit = assembly.context.limits.max_key_bytes;
    let severity_text = assembly.cut_to(severity_text, key_limit);
    let trace_id = take_id(&mut fields, &TRACE_ID, 32);
    let span_id = take_id(&mut fields, &SPAN_ID, 16);
    let body = match take(&mut fields, &BODY) {
        Some(body) => plain(assembly, body).trim_end_matches(['\n', '\r']).to_owned(),
        None => {
            let depth = assembly.context.limits.max_depth;
            json_object(assembly, &fields, depth).to_string()
        }
    };
    let body_limit = assembly.context.limits.max_body_bytes;
    let body = assembly.cut_to(body, body_limit);
    let mut own = Pairs::new();
    assembly.push(&mut own, "fluent.tag".to_owned(), tag.to_owned());
    let depth = assembly.context.limits.max_depth;
    flatten(assembly, &mut own, "", fields, depth);
    if !assembly.admit(&own, body.len() + severity_text.len() + 48) {
        return Ok(());
    }
    let time_us = assembly.believed(time_us);
    builder.append(&LogRow {
        time_us,
        observed_us: assembly.context.observed_us,
        namespace: &assembly.context.source.namespace,
        source: &assembly.context.source.name,
        service: &assembly.service,
        severity_number: severity_number(&severity_text),
        severity_text: &severity_text,
        body: &body,
        trace_id: trace_id.as_deref(),
        span_id: span_id.as_deref(),
        resource: &borrow(&assembly.resource),
        attributes: &borrow(&own),
    })
}

/// The text of a text or a byte string, if it is UTF-8.
pub(super) fn str_of<'a>(value: &'a ValueRef<'_>) -> Option<&'a str> {
    match value {
        ValueRef::String(text) => text.as_str(),
        ValueRef::Binary(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

/// Takes the first of the keys that is there and is no nil.
fn take<'a>(fields: &mut Fields<'a>, keys: &[&str]) -> Option<ValueRef<'a>> {
    keys.iter().find_map(|key| {
        let at = fields.iter().position(|(k, v)| str_of(k) == Some(key) && *v != ValueRef::Nil)?;
        Some(fields.remove(at).1)
    })
}

/// Takes an id if it is one: hexadecimal digits of the right length, not all zero.
fn take_id(fields: &mut Fields<'_>, keys: &[&str], digits: usize) -> Option<String> {
    let is_id = |text: &str| {
        text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit()) && text.bytes().any(|b| b != b'0')
    };
    let at = fields
        .iter()
        .position(|(k, v)| str_of(k).is_some_and(|k| keys.contains(&k)) && str_of(v).is_some_and(is_id))?;
    str_of(&fields.remove(at).1).map(str::to_ascii_lowercase)
}

fn resource(assembly: &mut Assembly<'_>, fields: &mut Fields<'_>) -> Pairs {
    let mut pairs = Pairs::new();
    let at = fields.iter().position(|(k, v)| {
        SERVICE.iter().any(|key| str_of(k) == Some(key)) && str_of(v).is_some_and(|name| !name.is_empty())
    });
    if let Some(at) = at {
        let name = plain(assembly, fields.remove(at).1);
        assembly.push(&mut pairs, "service.name".to_owned(), name);
    }
    for (key, attribute) in RESOURCE {
        if let Some(value) = take(fields, &[key]) {
            let value = plain(assembly, value);
            // Docker writes the name of a container with a slash before it.
            assembly.push(&mut pairs, attribute.to_owned(), value.trim_start_matches('/').to_owned());
        }
    }
    if let Some(definition) = take(fields, &["ecs_task_definition"]) {
        let definition = plain(assembly, definition);
        let (family, revision) = definition.rsplit_once(':').unwrap_or((&definition, ""));
        let family = family.rsplit('/').next().unwrap_or(family).to_owned();
        assembly.push(&mut pairs, "aws.ecs.task.family".to_owned(), family);
        if !revision.is_empty() {
            assembly.push(&mut pairs, "aws.ecs.task.revision".to_owned(), revision.to_owned());
        }
    }
    match take(fields, &["kubernetes"]) {
        Some(ValueRef::Map(kubernetes)) => kubernetes_resource(assembly, &mut pairs, kubernetes),
        Some(other) => fields.push(("kubernetes".into(), other)),
        None => {}
    }
    pairs
}

fn kubernetes_resource(assembly: &mut Assembly<'_>, pairs: &mut Pairs, mut fields: Fields<'_>) {
    for (key, attribute) in KUBERNETES {
        if let Some(value) = take(&mut fields, &[key]) {
            let value = plain(assembly, value);
            assembly.push(pairs, attribute.to_owned(), value);
        }
    }
    let Some(ValueRef::Map(labels)) = take(&mut fields, &["labels"]) else { return };
    let label = |name: &str| {
        labels.iter().find(|(k, _)| str_of(k) == Some(name)).and_then(|(_, v)| str_of(v)).map(str::to_owned)
    };
    if pairs.iter().all(|(key, _)| key != "service.name")
        && let Some(name) = SERVICE_LABELS.iter().find_map(|l| label(l))
    {
        assembly.push(pairs, "service.name".to_owned(), name);
        let namespace = pairs.iter().find(|(k, _)| k == "k8s.namespace.name").map(|(_, v)| v.clone());
        if let Some(namespace) = namespace {
            assembly.push(pairs, "service.namespace".to_owned(), namespace);
        }
    }
    for (key, value) in labels {
        let (key, value) = (plain(assembly, key), plain(assembly, value));
        assembly.push(pairs, format!("k8s.pod.label.{key}"), value);
    }
}

/// Adds fields as attributes; nested maps give dotted keys.
fn flatten(assembly: &mut Assembly<'_>, own: &mut Pairs, prefix: &str, fields: Fields<'_>, depth: usize) {
    for (key, value) in fields {
        let key = plain(assembly, key);
        let key = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        match value {
            ValueRef::Nil => {}
            // A map below the last level is one value, whose text is bounded too.
            ValueRef::Map(inner) if depth > 1 && key.len() <= assembly.context.limits.max_key_bytes => {
                flatten(assembly, own, &key, inner, depth - 1);
            }
            value => {
                let value = plain(assembly, value);
                assembly.push(own, key, value);
            }
        }
    }
}

/// A value as text: scalars as they are, bytes that are not UTF-8 with replacement characters, lists and maps as JSON.
fn plain(assembly: &mut Assembly<'_>, value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Nil => String::new(),
        ValueRef::String(text) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
        ValueRef::Binary(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        ValueRef::Boolean(v) => v.to_string(),
        ValueRef::Integer(v) => v.to_string(),
        ValueRef::F32(v) => v.to_string(),
        ValueRef::F64(v) => v.to_string(),
        ValueRef::Ext(_, bytes) => STANDARD.encode(bytes),
        nested => {
            let depth = assembly.context.limits.max_depth;
            match json(assembly, &nested, depth) {
                Json::String(text) => text,
                other => other.to_string(),
            }
        }
    }
}

fn json(assembly: &mut Assembly<'_>, value: &ValueRef<'_>, depth: usize) -> Json {
    match value {
        ValueRef::Array(_) | ValueRef::Map(_) if depth == 0 => {
            assembly.mark_cut();
            Json::Null
        }
        ValueRef::Array(list) => list.iter().map(|v| json(assembly, v, depth - 1)).collect(),
        ValueRef::Map(fields) => json_object(assembly, fields, depth),
        ValueRef::Nil => Json::Null,
        ValueRef::Boolean(v) => Json::Bool(*v),
        ValueRef::Integer(v) => {
            v.as_i64().map(Json::from).or(v.as_u64().map(Json::from)).unwrap_or(Json::Null)
        }
        ValueRef::F32(v) if v.is_finite() => Json::from(*v),
        ValueRef::F64(v) if v.is_finite() => Json::from(*v),
        ValueRef::F32(v) => Json::String(v.to_string()),
        ValueRef::F64(v) => Json::String(v.to_string()),
        ValueRef::String(text) => Json::String(String::from_utf8_lossy(text.as_bytes()).into_owned()),
        ValueRef::Binary(bytes) => Json::String(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Ext(_, bytes) => Json::String(STANDARD.encode(bytes)),
    }
}

fn json_object(assembly: &mut Assembly<'_>, fields: &[(ValueRef<'_>, ValueRef<'_>)], depth: usize) -> Json {
    fields
        .iter()
        .map(|(k, v)| {
            let key = match str_of(k) {
                Some(key) => key.to_owned(),
                None => json(assembly, k, depth.saturating_sub(1)).to_string(),
            };
            (key, json(assembly, v, depth.saturating_sub(1)))
        })
        .collect()
}

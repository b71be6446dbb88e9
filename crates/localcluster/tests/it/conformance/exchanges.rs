//! Exchanges: requests of a script, and the whole answers of a real API server.
//!
//! A script is a YAML file of `tests/exchanges`: behaviour → steps. `$N:/pointer` in a step is that part of the answer
//! to step N. The answers are in the JSON file of the same name. With `CAUSEWAY_RECORD=1` the run against the real API
//! server writes them; every other run, of either target, compares.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::{StreamExt, stream};
use http_body_util::BodyExt;
use regex::{Captures, Regex};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::differences::DIFFERENCES;
use super::normal::{compare, normal};
use super::target::Target;

/// How long an answer may take; only a watch takes longer.
const LONGEST: Duration = Duration::from_secs(10);

/// One request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    /// Method and path; `NS` is the namespace, `BOATS` the collection of boats in it.
    ask: String,
    /// Query parameters.
    #[serde(default)]
    query: BTreeMap<String, String>,
    /// Kind of patch: `json`, `merge`, `strategic`, `apply`.
    patch: Option<String>,
    accept: Option<String>,
    content_type: Option<String>,
    body: Option<Value>,
    /// A body that is no JSON.
    text: Option<String>,
}

/// The steps of a behaviour, which share a namespace.
pub(crate) struct Exchange {
    topic: String,
    name: String,
    steps: Vec<Step>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exchanges")
}

/// All scripts.
pub(crate) fn load() -> Vec<Exchange> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "yaml") {
            continue;
        }
        let topic = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let script: BTreeMap<String, Vec<Step>> =
            serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        all.extend(script.into_iter().map(|(name, steps)| Exchange { topic: topic.clone(), name, steps }));
    }
    all
}

/// Runs the exchanges and says what is not as recorded.
pub(crate) async fn run(target: &Target, exchanges: &[Exchange]) -> Vec<String> {
    let answers: Vec<Vec<Value>> =
        stream::iter(exchanges).map(|exchange| answers(target, exchange)).buffered(4).collect().await;
    let mut found: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for (exchange, answers) in exchanges.iter().zip(answers) {
        found.entry(&exchange.topic).or_default().insert(exchange.name.clone(), answers.into());
    }
    if target.real && std::env::var_os("CAUSEWAY_RECORD").is_some() {
        for (topic, answers) in &found {
            std::fs::write(folder().join(format!("{topic}.json")), lines(answers)).unwrap();
        }
    }
    let mut failed = Vec::new();
    let mut used = BTreeSet::new();
    for (topic, answers) in found {
        let path = folder().join(format!("{topic}.json"));
        let recorded: Map<String, Value> =
            serde_json::from_str(&std::fs::read_to_string(&path).unwrap_or_else(|_| "{}".to_owned()))
                .unwrap();
        for (name, answers) in answers {
            let behaviour = format!("{topic}/{name}");
            let Some(expected) = recorded.get(&name) else {
                failed
                    .push(format!("{behaviour}: nothing is recorded; see tests/it/conformance/exchanges.rs"));
                continue;
            };
            let mut differences = Vec::new();
            for (index, (expected, found)) in steps(expected).iter().zip(steps(&answers)).enumerate() {
                let (expected, found) = (&expected["answer"], &found["answer"]);
                let failures =
                    [expected, found].map(|answer| answer["code"].as_u64().unwrap_or_default() >= 400);
                if expected["code"] == found["code"] || failures == [true, true] {
                    compare(expected, found, &format!("/{index}"), &mut differences);
                } else {
                    differences.push((format!("/{index}"), expected.clone(), found.clone()));
                }
            }
            if steps(expected).len() != steps(&answers).len() {
                failed.push(format!("{behaviour}: the script has other steps than the record"));
            }
            differences.retain(|(at, ..)| {
                let intended = DIFFERENCES.iter().position(|d| !target.real && d.covers(&behaviour, at));
                used.extend(intended);
                intended.is_none()
            });
            failed.extend(differences.into_iter().map(|(at, expected, found)| {
                format!("{behaviour} {at}:\n    recorded {expected}\n    found    {found}")
            }));
        }
    }
    if !target.real {
        let unused = DIFFERENCES.iter().enumerate().filter(|(index, _)| !used.contains(index));
        failed.extend(unused.map(|(_, d)| format!("is listed as a difference and is none: {}", d.line())));
    }
    failed
}

/// JSON with a line for each answer, so that a change of one is a change of one line.
fn lines(answers: &Map<String, Value>) -> String {
    let exchanges: Vec<String> = answers
        .iter()
        .map(|(name, steps)| {
            let steps: Vec<String> = steps.as_array().into_iter().flatten().map(Value::to_string).collect();
            format!("\"{name}\": [\n  {}\n]", steps.join(",\n  "))
        })
        .collect();
    format!("{{\n{}\n}}\n", exchanges.join(",\n"))
}

fn steps(answers: &Value) -> &[Value] {
    answers.as_array().map(Vec::as_slice).unwrap_or_default()
}

async fn answers(target: &Target, exchange: &Exchange) -> Vec<Value> {
    let namespace = target.namespace().await;
    let mut raw: Vec<Value> = Vec::new();
    for step in &exchange.steps {
        let request = request(step, &namespace, &raw);
        let response = target.client.send(request.map(kube::client::Body::from)).await.unwrap();
        let (parts, body) = response.into_parts();
        let Ok(body) = tokio::time::timeout(LONGEST, body.collect()).await else {
            raw.push(json!({ "code": parts.status.as_u16(), "body": "an answer without end" }));
            continue;
        };
        let bytes = body.unwrap().to_bytes();
        let text = || Value::from(String::from_utf8_lossy(&bytes).into_owned());
        let mut answer = json!({
            "code": parts.status.as_u16(),
            "body": serde_json::from_slice(&bytes).unwrap_or_else(|_| text()),
        });
        let warnings: Vec<&str> =
            parts.headers.get_all("warning").iter().filter_map(|value| value.to_str().ok()).collect();
        if !warnings.is_empty() {
            answer["warnings"] = json!(warnings);
        }
        raw.push(answer);
    }
    let bodies = raw.iter().map(|answer| normal(answer, &namespace));
    exchange
        .steps
        .iter()
        .zip(bodies)
        .map(|(step, answer)| json!({ "ask": step.ask, "answer": answer }))
        .collect()
}

fn request(step: &Step, namespace: &str, answers: &[Value]) -> http::Request<Vec<u8>> {
    let fill = |text: &str| fill(text, namespace, answers);
    let (method, path) = step.ask.split_once(' ').unwrap();
    let mut uri = fill(&path.replace("BOATS", "/apis/test.dev/v1/namespaces/NS/boats"));
    let encode = |text: &str| {
        text.bytes().fold(String::new(), |out, byte| {
            if byte.is_ascii_alphanumeric() {
                out + &char::from(byte).to_string()
            } else {
                format!("{out}%{byte:02X}")
            }
        })
    };
    for (index, (name, value)) in step.query.iter().enumerate() {
        uri += &format!("{}{name}={}", if index == 0 { '?' } else { '&' }, encode(&fill(value)));
    }
    let content_type = match step.patch.as_deref() {
        Some("apply") => "application/apply-patch+yaml",
        Some("json") => "application/json-patch+json",
        Some("merge") => "application/merge-patch+json",
        Some("strategic") => "application/strategic-merge-patch+json",
        Some(other) => panic!("no patch is named {other}"),
        None => step.content_type.as_deref().unwrap_or("application/json"),
    };
    let body = match (&step.body, &step.text) {
        (Some(body), _) => fill_all(body, &fill).to_string(),
        (None, Some(text)) => fill(text),
        (None, None) => String::new(),
    };
    let mut request = http::Request::builder().method(method).uri(uri).header("user-agent", "conformance/1");
    if !body.is_empty() {
        request = request.header("content-type", content_type);
    }
    request
        .header("accept", step.accept.as_deref().unwrap_or("application/json"))
        .body(body.into_bytes())
        .unwrap()
}

/// Puts in the namespace, and parts of earlier answers.
fn fill(text: &str, namespace: &str, answers: &[Value]) -> String {
    let part = Regex::new(r"\$(\d+):((/[A-Za-z0-9_]+)+)").unwrap();
    let text = part.replace_all(text, |found: &Captures<'_>| {
        let answer = &answers[found[1].parse::<usize>().unwrap()];
        let value = answer["body"].pointer(&found[2]).unwrap_or_else(|| panic!("{text}: not in {answer}"));
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    });
    Regex::new(r"\bNS\b").unwrap().replace_all(&text, namespace).into_owned()
}

fn fill_all(value: &Value, fill: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => fill(text).into(),
        Value::Array(items) => items.iter().map(|item| fill_all(item, fill)).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), fill_all(value, fill))).collect(),
        other => other.clone(),
    }
}

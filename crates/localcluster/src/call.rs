//! One request, taken apart: who asks, what for, in which form.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::admission::Identity;
use crate::kind::{Kind, Origin, Registry};
use crate::protobuf;
use crate::status::{ApiError, ApiResult, Cause};

/// Largest body, in bytes; the API server's own limit.
pub(crate) const BODY_LIMIT: usize = 3 * 1024 * 1024;

/// A request of a known user with its whole body.
pub(crate) struct Call {
    pub(crate) user: Identity,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: HashMap<String, String>,
    pub(crate) accept: String,
    pub(crate) content_type: String,
    pub(crate) agent: String,
    pub(crate) body: Bytes,
    /// Becomes true when a watch of this request has to end.
    pub(crate) closing: watch::Receiver<bool>,
}

/// What a path names.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) kind: Arc<Kind>,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) sub: Option<String>,
}

impl Target {
    /// Namespace part of a store key.
    pub(crate) fn namespace_key(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }

    /// The name, which paths of single objects have.
    pub(crate) fn name(&self) -> ApiResult<&str> {
        self.name.as_deref().ok_or_else(ApiError::no_such_path)
    }

    /// Takes apart `/api/v1/…` and `/apis/GROUP/VERSION/…`.
    pub(crate) fn parse(registry: &Registry, path: &str) -> ApiResult<Self> {
        let parts: Vec<String> = path.split('/').filter(|p| !p.is_empty()).map(decode).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return Err(ApiError::no_such_path()),
        };
        let find =
            |plural: &str| registry.get(group, version, plural).cloned().ok_or_else(ApiError::no_such_path);
        let owned = |text: Option<&&str>| text.map(|t| (*t).to_owned());
        let (kind, namespace, rest) = match rest {
            ["namespaces", namespace, plural, rest @ ..]
                if registry.get(group, version, plural).is_some() =>
            {
                (find(plural)?, Some((*namespace).to_owned()), rest)
            }
            [plural, rest @ ..] => (find(plural)?, None, rest),
            [] => return Err(ApiError::no_such_path()),
        };
        if rest.len() > 2 {
            return match rest.get(1) {
                Some(&"proxy") => Err(ApiError::left_out("proxying")),
                _ if kind.origin == Origin::Custom => {
                    Err(ApiError::not_found(&kind, rest.first().copied().unwrap_or_default()))
                }
                _ => Err(ApiError::no_such_path()),
            };
        }
        let target = Self { kind, namespace, name: owned(rest.first()), sub: owned(rest.get(1)) };
        if target.namespace.is_some() && !target.kind.namespaced() {
            return Err(ApiError::no_such_path());
        }
        if target.kind.namespaced() && target.namespace.is_none() && target.name.is_some() {
            return Err(ApiError::no_such_path());
        }
        Ok(target)
    }
}

/// Whether a write is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DryRun {
    /// Stored.
    No,
    /// Checked and answered as if it were stored.
    All,
}

impl Call {
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(crate) fn query_flag(&self, name: &str) -> bool {
        self.query.get(name).is_some_and(|value| matches!(value.as_str(), "true" | "1" | "True"))
    }

    /// Name of the options that the parameters are decoded into.
    pub(crate) fn options(&self) -> &'static str {
        match self.method {
            Method::POST => "CreateOptions",
            Method::PUT => "UpdateOptions",
            Method::PATCH => "PatchOptions",
            Method::DELETE => "DeleteOptions",
            _ => "ListOptions",
        }
    }

    pub(crate) fn dry_run(&self) -> ApiResult<DryRun> {
        match self.query("dryRun") {
            None => Ok(DryRun::No),
            Some("All") => Ok(DryRun::All),
            Some(other) => {
                let cause = Cause::unsupported("dryRun", &json!([other]), &["All".into()]);
                Err(ApiError::invalid_options(self.options(), &[cause]))
            }
        }
    }

    /// Manager that owns what this request writes.
    pub(crate) fn manager(&self) -> String {
        self.query("fieldManager").map_or_else(
            || {
                let agent = self.agent.split('/').next().unwrap_or_default();
                if agent.is_empty() { "unknown".to_owned() } else { agent.to_owned() }
            },
            str::to_owned,
        )
    }

    /// The body as an object, from JSON or YAML.
    pub(crate) fn object(&self) -> ApiResult<Value> {
        let value = self.parse_body()?;
        if value.is_object() { Ok(value) } else { Err(ApiError::bad_request("the body must be one object")) }
    }

    /// The body as any value; an empty body is `null`.
    pub(crate) fn parse_body(&self) -> ApiResult<Value> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        let kind = self.content_type.split(';').next().unwrap_or_default().trim();
        if kind == "application/vnd.kubernetes.protobuf"
            && let Some(object) = protobuf::decode(&self.body)
        {
            return Ok(object);
        }
        if kind.contains("protobuf") || kind.contains("cbor") {
            return Err(ApiError::unsupported_media(
                "application/json, application/yaml; with kubectl use -f FILE",
            ));
        }
        if !kind.is_empty() && !kind.ends_with("json") && !kind.ends_with("yaml") {
            return Err(ApiError::unsupported_media("application/json, application/yaml"));
        }
        // JSON is YAML; kubectl sends it under this name.
        if kind.ends_with("yaml") && !self.body.trim_ascii_start().starts_with(b"{") {
            let text = std::str::from_utf8(&self.body)
                .map_err(|e| ApiError::bad_request(format!("the body is not UTF-8: {e}")))?;
            return serde_saphyr::from_str(text)
                .map_err(|e| ApiError::bad_request(format!("error parsing YAML: {e}")));
        }
        serde_json::from_slice(&self.body)
            .map_err(|e| ApiError::bad_request(format!("error parsing JSON: {e}")))
    }
}

/// Splits a query string; of repeated names the last wins.
pub(crate) fn parse_query(query: &str) -> HashMap<String, String> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(&name.replace('+', " ")), decode(&value.replace('+', " ")))
        })
        .collect()
}

/// Undoes percent-encoding; what is not valid stays as it is.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let hex = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = (bytes.get(at + 1).copied().and_then(hex), bytes.get(at + 2).copied().and_then(hex));
        if let (b'%', (Some(high), Some(low))) = (bytes[at], pair) {
            out.push(high * 16 + low);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded() {
        let query = parse_query("labelSelector=app%3Dweb%2Ctier+in+%28a%29&watch=&limit=5&bad=%zz");
        assert_eq!(query["labelSelector"], "app=web,tier in (a)");
        assert_eq!(query["watch"], "");
        assert_eq!(query["limit"], "5");
        assert_eq!(query["bad"], "%zz");
    }
}

//! Telemetry of another process: its console's API, asked with the caller's own token.

use std::time::Duration;

use causeway_model::{
    BandPoint, BoxFuture, CallEdge, Caller, Insight, QueryError, Rows, ServiceView, TextFormat,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::draw::encoded;
use crate::session::Token;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Largest bundle or answer, in bytes.
const MAX_ANSWER: usize = 256 << 20;

/// Another process that has telemetry.
pub struct Remote {
    http: reqwest::Client,
    address: String,
}

impl Remote {
    /// The process at an address such as `http://causeway:8080`. A proxy is not used.
    ///
    /// # Errors
    /// When the HTTP client can't be made.
    pub fn new(address: &str) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .timeout(TIMEOUT)
            .build()?;
        Ok(Self { http, address: address.trim_end_matches('/').to_owned() })
    }

    pub(crate) fn with(&self, token: Token) -> RemoteReader {
        RemoteReader { http: self.http.clone(), address: self.address.clone(), token }
    }
}

/// [`Remote`] with a caller's token.
pub(crate) struct RemoteReader {
    http: reqwest::Client,
    address: String,
    token: Token,
}

impl RemoteReader {
    fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.get(format!("{}/api/v1/{path}", self.address))
    }

    fn query(&self, sql: &str, format: &str) -> reqwest::RequestBuilder {
        self.http.post(format!("{}/api/v1/query", self.address)).json(&json!({"sql": sql, "format": format}))
    }

    /// The body, or the error that the other process told; `None` when it has nothing there.
    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Option<Vec<u8>>, QueryError> {
        let away = |error: reqwest::Error| {
            QueryError::Storage(format!("no telemetry from {}: {}", self.address, error.without_url()))
        };
        let mut answer = request.bearer_auth(self.token.expose()).send().await.map_err(away)?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(away)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(QueryError::Invalid(format!("the answer is larger than {MAX_ANSWER} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return Ok(Some(body));
        }
        let told = serde_json::from_slice::<Value>(&body).ok();
        let told =
            told.as_ref().and_then(|value| value.get("error")?.as_str()).unwrap_or("no reason was given");
        match status.as_u16() {
            404 => Ok(None),
            400 | 413 => Err(QueryError::Invalid(told.to_owned())),
            401 | 403 => Err(QueryError::Forbidden(told.to_owned())),
            code => Err(QueryError::Storage(format!("{} answered {code}: {told}", self.address))),
        }
    }

    async fn json<T: DeserializeOwned + Default>(
        &self,
        request: reqwest::RequestBuilder,
        member: &str,
    ) -> Result<T, QueryError> {
        let Some(body) = self.send(request).await? else { return Ok(T::default()) };
        let strange = |error| QueryError::Storage(format!("{} answered strangely: {error}", self.address));
        let mut value: Value = serde_json::from_slice(&body).map_err(strange)?;
        let part = if member.is_empty() { Some(&mut value) } else { value.get_mut(member) };
        serde_json::from_value(part.map(Value::take).unwrap_or_default()).map_err(strange)
    }
}

impl Insight for RemoteReader {
    fn rows<'a>(&'a self, _: &'a Caller, sql: &'a str) -> BoxFuture<'a, Result<Rows, QueryError>> {
        Box::pin(async move { self.json(self.query(sql, "table"), "").await })
    }

    fn text<'a>(
        &'a self,
        _: &'a Caller,
        sql: &'a str,
        format: TextFormat,
    ) -> BoxFuture<'a, Result<String, QueryError>> {
        let format = match format {
            TextFormat::Json => "json",
            TextFormat::Csv => "csv",
        };
        Box::pin(async move {
            let body = self.send(self.query(sql, format)).await?.unwrap_or_default();
            Ok(String::from_utf8_lossy(&body).into_owned())
        })
    }

    fn series<'a>(
        &'a self,
        _: &'a Caller,
        entity: &'a str,
        signal: &'a str,
    ) -> BoxFuture<'a, Result<Vec<BandPoint>, QueryError>> {
        let request = self.get(&format!("series?entity={}&signal={}", encoded(entity), encoded(signal)));
        Box::pin(async move { self.json(request, "points").await })
    }

    fn topology<'a>(
        &'a self,
        _: &'a Caller,
        at_us: Option<i64>,
    ) -> BoxFuture<'a, Result<Vec<CallEdge>, QueryError>> {
        let at = at_us.and_then(|at| jiff::Timestamp::from_microsecond(at).ok());
        let asked = at.map_or("topology".to_owned(), |at| format!("topology?at={at}"));
        Box::pin(async move { self.json(self.get(&asked), "edges").await })
    }

    fn services<'a>(&'a self, _: &'a Caller) -> BoxFuture<'a, Result<Vec<ServiceView>, QueryError>> {
        Box::pin(async move { self.json(self.get("services"), "services").await })
    }

    fn bundle<'a>(
        &'a self,
        _: &'a Caller,
        fingerprint: &'a str,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, QueryError>> {
        let request = self.get(&format!("bundles/{fingerprint}"));
        Box::pin(async move { self.send(request).await })
    }

    fn namespaces(&self) -> BoxFuture<'_, Result<Vec<String>, QueryError>> {
        Box::pin(async move { self.json(self.get("namespaces"), "namespaces").await })
    }
}

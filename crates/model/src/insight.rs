//! What surfaces read of telemetry and of what was learned from it, as far as the caller may see it.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{BoxFuture, Caller, Micros, QueryError, rfc3339};

/// Form of an answer as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TextFormat {
    /// One JSON object a line.
    Json,
    /// Comma-separated, with a header.
    Csv,
}

/// An answer as cells of text; nulls are empty, maps and lists are JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rows {
    /// The header, then the rows.
    pub rows: Vec<Vec<String>>,
    /// Bytes scanned.
    pub scanned_bytes: u64,
}

/// One window of a series with the band that it was held against.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BandPoint {
    /// End of the window; RFC 3339 in JSON.
    #[serde(serialize_with = "to_text", deserialize_with = "from_text")]
    pub at: Micros,
    /// Observed value; absent when there was no data.
    pub value: Option<f64>,
    /// Expected value; absent while learning, as are the bounds.
    pub expected: Option<f64>,
    /// Band, low.
    pub lower: Option<f64>,
    /// Band, high.
    pub upper: Option<f64>,
}

/// Who calls whom, or what runs where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallEdge {
    /// Caller.
    pub from: String,
    /// Callee.
    pub to: String,
    /// Calls seen in the interval that covers now.
    pub calls: u64,
    /// Whether no trace or object shows it.
    pub inferred: bool,
    /// 0 to 1, from the kinds of evidence.
    pub confidence: f64,
}

/// A golden signal of a service as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignalView {
    /// Name, such as `latency` or `error_ratio`.
    pub signal: String,
    /// Begin of the open finding; RFC 3339 in JSON, absent when the signal is within its band.
    #[serde(serialize_with = "maybe_to_text", deserialize_with = "maybe_from_text", default)]
    pub open_since: Option<Micros>,
    /// The newest windows, oldest first.
    pub points: Vec<BandPoint>,
}

/// A service and its golden signals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceView {
    /// `service.namespace/service.name`, or the bare name.
    pub service: String,
    /// The tenant whose source told of it.
    pub namespace: String,
    /// Signals in order of their names.
    pub signals: Vec<SignalView>,
}

/// Reads telemetry and what was learned from it for a [`Caller`]: what belongs to other namespaces does not exist there.
pub trait Insight: Send + Sync {
    /// Rows of one read-only statement.
    ///
    /// # Errors
    /// See [`QueryError`]; so below.
    fn rows<'a>(&'a self, caller: &'a Caller, sql: &'a str) -> BoxFuture<'a, Result<Rows, QueryError>>;

    /// The same as text, for programs.
    ///
    /// # Errors
    /// See [`QueryError`].
    fn text<'a>(
        &'a self,
        caller: &'a Caller,
        sql: &'a str,
        format: TextFormat,
    ) -> BoxFuture<'a, Result<String, QueryError>>;

    /// A series with its band, oldest first; empty when there is none.
    ///
    /// # Errors
    /// See [`QueryError`].
    fn series<'a>(
        &'a self,
        caller: &'a Caller,
        entity: &'a str,
        signal: &'a str,
    ) -> BoxFuture<'a, Result<Vec<BandPoint>, QueryError>>;

    /// The topology as it was at a time, in microseconds since the Unix epoch, or as it stands. An edge is seen by who may
    /// see one of its ends.
    ///
    /// # Errors
    /// See [`QueryError`].
    fn topology<'a>(
        &'a self,
        caller: &'a Caller,
        at_us: Option<i64>,
    ) -> BoxFuture<'a, Result<Vec<CallEdge>, QueryError>>;

    /// Services with their golden signals, by name.
    ///
    /// # Errors
    /// See [`QueryError`].
    fn services<'a>(&'a self, caller: &'a Caller) -> BoxFuture<'a, Result<Vec<ServiceView>, QueryError>>;

    /// The newest bundle of the incident with that fingerprint. It holds evidence of all namespaces: for callers without
    /// bounds only.
    ///
    /// # Errors
    /// See [`QueryError`].
    fn bundle<'a>(
        &'a self,
        caller: &'a Caller,
        fingerprint: &'a str,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, QueryError>>;

    /// Namespaces that send telemetry, in order. For finding out which of them somebody may read; not to be shown.
    ///
    /// # Errors
    /// See [`QueryError`].
    fn namespaces(&self) -> BoxFuture<'_, Result<Vec<String>, QueryError>>;
}

fn to_text<S: Serializer>(at: &Micros, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*at))
}

fn from_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Micros, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_microsecond).map_err(D::Error::custom)
}

fn maybe_to_text<S: Serializer>(at: &Option<Micros>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(rfc3339).serialize(serializer)
}

fn maybe_from_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Micros>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let parse = |text: String| text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_microsecond);
    text.map(parse).transpose().map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let point = BandPoint {
            at: 1_795_374_896_123_456,
            value: Some(0.5),
            expected: None,
            lower: None,
            upper: Some(1.0),
        };
        let signal =
            SignalView { signal: "latency".into(), open_since: Some(1_000_000), points: vec![point] };
        let view =
            ServiceView { service: "shop/web".into(), namespace: "shop".into(), signals: vec![signal] };
        let text = serde_json::to_string(&view).unwrap();
        assert!(text.contains("\"at\":\"2026-11-22T19:14:56.123456Z\""), "{text}");
        assert_eq!(serde_json::from_str::<ServiceView>(&text).unwrap(), view);
    }
}

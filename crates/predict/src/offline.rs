//! The offline commands: a CSV in, JSON out. Reading files and printing is the caller's.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::forecast::{self, ForecastError, ForecastOptions};
use crate::{Config, Detector, PeakEvent, Verdict};

/// Why a document could not be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfflineError {
    /// A line of the CSV.
    #[error("line {line}: {problem}")]
    Line {
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// There are no rows.
    #[error("no rows")]
    Empty,
    /// The rows can't be forecast.
    #[error("forecast: {0}")]
    Forecast(#[from] ForecastError),
}

/// A row: its time as written, in unix seconds, and its value.
pub type Row = (String, i64, Option<f64>);

/// Rows of a CSV `timestamp,value`: times in RFC 3339, `YYYY-MM-DD HH:MM:SS` (UTC) or unix seconds. An empty value, or
/// one that is not a finite number, is a gap.
///
/// # Errors
/// A line without two fields, or with an unreadable time; no rows.
pub fn read_series(csv: &str) -> Result<Vec<Row>, OfflineError> {
    let mut rows = Vec::new();
    for (i, line) in csv.lines().enumerate() {
        let line = line.trim_end_matches('\r');
        if line.trim().is_empty() || (i == 0 && !starts_with_time(line)) {
            continue;
        }
        let bad = |problem: &str| OfflineError::Line { line: i + 1, problem: problem.to_owned() };
        let (time, value) = line.split_once(',').ok_or_else(|| bad("expected timestamp,value"))?;
        let t = parse_time(time.trim()).ok_or_else(|| bad("unreadable timestamp"))?;
        let value = value.split(',').next().unwrap_or_default().trim().trim_matches('"');
        rows.push((time.trim().to_owned(), t, value.parse::<f64>().ok().filter(|v| v.is_finite())));
    }
    if rows.is_empty() { Err(OfflineError::Empty) } else { Ok(rows) }
}

/// Events of a CSV `name,start,end[,multiplier]`.
///
/// # Errors
/// A line with fewer fields or an unreadable time.
pub fn read_events(csv: &str) -> Result<Vec<PeakEvent>, OfflineError> {
    let mut events = Vec::new();
    for (i, line) in csv.lines().enumerate() {
        let fields: Vec<&str> = line.trim().split(',').map(str::trim).collect();
        if fields == [""] || (i == 0 && fields.first() == Some(&"name")) {
            continue;
        }
        let bad = |problem: &str| OfflineError::Line { line: i + 1, problem: problem.to_owned() };
        let [name, start, end, rest @ ..] = fields.as_slice() else {
            return Err(bad("expected name,start,end"));
        };
        events.push(PeakEvent {
            name: (*name).to_owned(),
            start: parse_time(start).ok_or_else(|| bad("unreadable start"))?,
            end: parse_time(end).ok_or_else(|| bad("unreadable end"))?,
            multiplier: rest.first().and_then(|m| m.parse().ok()).filter(|m: &f64| m.is_finite() && *m > 0.0),
            warm_up: 0,
            cool_down: 0,
        });
    }
    Ok(events)
}

fn starts_with_time(line: &str) -> bool {
    line.split(',').next().is_some_and(|time| parse_time(time.trim()).is_some())
}

fn parse_time(text: &str) -> Option<i64> {
    let text = text.trim_matches('"');
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp.as_second());
    }
    if let Ok(civil) = text.parse::<DateTime>() {
        return civil.to_zoned(TimeZone::UTC).ok().map(|z| z.timestamp().as_second());
    }
    text.parse::<f64>().ok().filter(|s| s.is_finite() && s.abs() < 1e12).map(|s| s as i64)
}

/// One JSON object a row, in order: `{"t","expected","lower","upper","score","anomalous"}`, numbers `null` while learning.
///
/// # Errors
/// As [`read_series`] and [`read_events`].
pub fn baseline(
    csv: &str,
    events: Option<&str>,
) -> Result<impl Iterator<Item = String> + use<>, OfflineError> {
    let rows = read_series(csv)?;
    let events = events.map_or(Ok(Vec::new()), read_events)?;
    let mut detector = Detector::new(Config { events: events.into(), ..Config::default() });
    Ok(rows.into_iter().map(move |(time, t, value)| line(&time, &detector.observe(t, value))))
}

/// One JSON object: `{"mean":[H],"quantiles":{"0.025":[H],…,"0.975":[H]}}`.
///
/// # Errors
/// As [`read_series`] and [`read_events`]; no finite value; a horizon out of range.
pub fn forecast(csv: &str, horizon: usize, events: Option<&str>) -> Result<String, OfflineError> {
    let rows = read_series(csv)?;
    let events = events.map_or(Ok(Vec::new()), read_events)?;
    let history: Vec<(i64, f64)> = rows.iter().filter_map(|&(_, t, v)| Some((t, v?))).collect();
    let options = ForecastOptions { events: events.into(), step: None };
    let made = forecast::forecast(&history, horizon, &options)?;
    let quantiles: serde_json::Map<String, serde_json::Value> =
        made.quantiles.into_iter().map(|(level, values)| (level.to_string(), values.into())).collect();
    Ok(serde_json::json!({ "mean": made.mean, "quantiles": quantiles }).to_string())
}

/// A line of [`baseline`].
#[derive(Serialize)]
struct Line<'a> {
    t: &'a str,
    expected: Option<f64>,
    lower: Option<f64>,
    upper: Option<f64>,
    score: f64,
    anomalous: bool,
}

fn line(t: &str, v: &Verdict) -> String {
    let Verdict { expected, lower, upper, anomalous, .. } = *v;
    let score = (v.score * 1e6).round() / 1e6;
    // Numbers that are not finite become null, and nothing else can go wrong.
    serde_json::to_string(&Line { t, expected, lower, upper, score, anomalous }).unwrap_or_default()
}

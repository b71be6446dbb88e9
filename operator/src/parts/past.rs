//! What is stored of the series of a Baseline or an objective: the statements that fetch it, and their answers.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result};
use causeway_engine::{BaselineConfig, EventSource, Indicator, ObjectiveConfig, Past, Question, Selector};
use causeway_model::{LogHistogram, Micros, SeriesId, SeriesKind, SeriesPartial, rfc3339};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// The past by the begin of each point, Unix microseconds.
pub(crate) type Stored = BTreeMap<Micros, Past>;

/// A kind of statement; answers of each are read in another way.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Wanted {
    /// Requests served; with the limit in seconds above which one is slow.
    Requests(Option<f64>),
    /// Points of a metric.
    Metric(String),
    /// Log lines that contain a text.
    Lines(String),
    /// What the lake answers to a question.
    Question(Question),
    /// At which points anything was stored at all.
    Presence,
}

/// Points of a metric so long before the time that is asked for are fetched, so that a total has one before its first.
const BEFORE: i64 = 300_000_000;

/// What is fetched, from when to when, and in points of which length.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) from_us: Micros,
    pub(crate) to_us: Micros,
    pub(crate) step_us: i64,
}

/// What a Baseline needs.
pub(crate) fn of_baseline(config: &BaselineConfig) -> Vec<Wanted> {
    match &config.selector {
        Selector::Latency | Selector::Errors | Selector::Traffic => vec![Wanted::Requests(None)],
        Selector::Metric(name) => vec![Wanted::Metric(name.clone())],
        Selector::LogPattern(text) => vec![Wanted::Lines(text.clone())],
        Selector::Query(question) => vec![Wanted::Question(question.clone()), Wanted::Presence],
    }
}

/// What an objective needs.
pub(crate) fn of_objective(config: &ObjectiveConfig) -> Vec<Wanted> {
    let sources = match &config.indicator {
        Indicator::SlowerThan { seconds } => return vec![Wanted::Requests(Some(*seconds))],
        Indicator::BadRatio { bad, total } => [bad, total],
        Indicator::GoodRatio { good, total } => [good, total],
    };
    let mut wanted: Vec<Wanted> = Vec::new();
    for source in sources {
        let one = match source {
            EventSource::Requests | EventSource::Errors => Wanted::Requests(None),
            EventSource::Metric { name, .. } => Wanted::Metric(name.clone()),
            EventSource::Query(question) => Wanted::Question(question.clone()),
        };
        if !wanted.contains(&one) {
            wanted.push(one);
        }
    }
    wanted
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

impl Wanted {
    /// The statement for these entities.
    pub(crate) fn sql(&self, entities: &[String], span: &Span) -> String {
        let services: Vec<String> = entities.iter().map(|entity| quoted(entity)).collect();
        let when = format!(
            "service IN ({}) AND time >= TIMESTAMP '{}' AND time < TIMESTAMP '{}'",
            services.join(", "),
            rfc3339(span.from_us),
            rfc3339(span.to_us)
        );
        let point = format!("CAST(time AS BIGINT) / {step} * {step}", step = span.step_us);
        let instant = |us: Micros| format!("TIMESTAMP '{}'", rfc3339(us));
        match self {
            Self::Requests(limit) => {
                let limit_ns = limit.map_or(i64::MAX, |seconds| (seconds * 1e9) as i64);
                format!(
                    "SELECT service, {point} AS t, count(*) AS n, \
                     sum(CASE WHEN error THEN 1 ELSE 0 END) AS bad, \
                     sum(CAST(duration_ns AS DOUBLE)) / 1e9 AS seconds, \
                     sum(CASE WHEN duration_ns > {limit_ns} THEN 1 ELSE 0 END) AS slow \
                     FROM spans WHERE {when} AND (kind IN ('server', 'consumer') \
                     OR (kind NOT IN ('client', 'producer') AND (parent_span_id IS NULL OR parent_span_id = ''))) \
                     GROUP BY 1, 2 ORDER BY 2"
                )
            }
            Self::Metric(name) => format!(
                "SELECT service, CAST(time AS BIGINT) AS t, kind, monotonic, delta, value, count, sum, attributes \
                 FROM metrics WHERE name = {} AND service IN ({}) AND time >= {} AND time < {} ORDER BY time",
                quoted(name),
                services.join(", "),
                instant(span.from_us - BEFORE),
                instant(span.to_us)
            ),
            Self::Question(question) => question
                .sql
                .replace("$from", &instant(span.from_us))
                .replace("$to", &instant(span.to_us))
                .replace("$step", &span.step_us.to_string()),
            Self::Presence => {
                let within =
                    format!("WHERE time >= {} AND time < {}", instant(span.from_us), instant(span.to_us));
                let tables = ["logs", "metrics", "spans"];
                tables
                    .map(|table| format!("SELECT {point} AS t FROM {table} {within} GROUP BY {point}"))
                    .join(" UNION ")
            }
            Self::Lines(text) => format!(
                "SELECT service, {point} AS t, template_id, \
                 sum(CASE WHEN strpos(body, {}) > 0 THEN 1 ELSE 0 END) AS n \
                 FROM logs WHERE {when} GROUP BY 1, 2, 3 ORDER BY 2",
                quoted(text)
            ),
        }
    }

    /// Whether people wrote it, so that it sees what their namespace has, and no more.
    pub(crate) fn is_written(&self) -> bool {
        matches!(self, Self::Question(_) | Self::Presence)
    }

    /// Puts an answer, one JSON object a line, into what is stored. Of a question the series are of `entity`.
    pub(crate) fn read(&self, answer: &str, entity: &str, span: &Span, stored: &mut Stored) -> Result<()> {
        let step_us = span.step_us;
        let lines = answer.lines().filter(|line| !line.trim().is_empty());
        match self {
            Self::Requests(limit) => lines.map(row).try_for_each(|found| {
                requests(found?, *limit, stored);
                Ok(())
            }),
            Self::Metric(name) => {
                let mut totals = HashMap::new();
                lines.map(row).try_for_each(|found| {
                    metric(name, &found?, span, &mut totals, stored);
                    Ok(())
                })
            }
            Self::Question(question) => {
                lines.map(row).try_for_each(|found| answered(question, entity, found?, step_us, stored))
            }
            Self::Presence => lines.map(row).try_for_each(|found| {
                let PresenceRow { t } = found?;
                stored.entry(t).or_default();
                Ok(())
            }),
            Self::Lines(_) => lines.map(row).try_for_each(|found| {
                let LinesRow { service, t, template_id, n } = found?;
                // A point with lines, and none that match, is a zero and not a gap.
                let past = stored.entry(t).or_default();
                if n > 0 {
                    let template = template_id.and_then(|id| u64::from_str_radix(&id, 16).ok());
                    past.lines.push((service, template.unwrap_or_default(), n));
                }
                Ok(())
            }),
        }
    }
}

fn row<'a, T: Deserialize<'a>>(line: &'a str) -> Result<T> {
    serde_json::from_str(line).with_context(|| format!("an answer can't be read: {line}"))
}

#[derive(Deserialize)]
struct RequestsRow {
    service: String,
    t: Micros,
    n: u64,
    bad: u64,
    seconds: f64,
    slow: u64,
}

#[derive(Deserialize)]
struct PresenceRow {
    t: Micros,
}

#[derive(Deserialize)]
struct LinesRow {
    service: String,
    t: Micros,
    template_id: Option<String>,
    n: u64,
}

#[derive(Deserialize)]
struct MetricRow {
    service: String,
    t: Micros,
    kind: String,
    #[serde(default)]
    monotonic: bool,
    #[serde(default)]
    delta: bool,
    value: Option<f64>,
    count: Option<f64>,
    sum: Option<f64>,
    #[serde(default)]
    attributes: BTreeMap<String, Option<String>>,
}

fn requests(found: RequestsRow, limit: Option<f64>, stored: &mut Stored) {
    let RequestsRow { service, t, n, bad, seconds, slow } = found;
    let id =
        |signal: &str| SeriesId { entity: service.as_str().into(), signal: signal.into(), group: "".into() };
    let values = |kind, count, sum| SeriesPartial { kind, count, sum, ..SeriesPartial::default() };
    let histogram = limit.map(|limit| {
        let many = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let mut histogram = LogHistogram::default();
        histogram.add_many(limit * 2.0, many(slow));
        histogram.add_many(limit / 2.0, many(n.saturating_sub(slow)));
        histogram
    });
    let latency = SeriesPartial { histogram, ..values(SeriesKind::Latency, n, seconds) };
    stored.entry(t).or_default().series.extend([
        (id("requests"), values(SeriesKind::Count, n, n as f64)),
        (id("errors"), values(SeriesKind::Count, bad, bad as f64)),
        (id("latency"), latency),
    ]);
}

/// Adds a point of a metric, as gateways do: totals become what was added since the last one.
fn metric(
    name: &str,
    found: &MetricRow,
    span: &Span,
    totals: &mut HashMap<(String, String), (f64, f64)>,
    stored: &mut Stored,
) {
    let pairs = found.attributes.iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_ref()?)));
    let group = pairs.collect::<Vec<_>>().join(",");
    let mut added = |first: f64, second: f64| {
        let old = totals.insert((found.service.clone(), group.clone()), (first, second))?;
        Some(if first < old.0 { (first, second) } else { (first - old.0, second - old.1) })
    };
    let values = match (found.kind.as_str(), found.value, found.count, found.sum) {
        ("gauge", Some(value), ..) => Some((SeriesKind::Gauge, 1.0, value)),
        ("sum", Some(value), ..) if !found.monotonic => Some((SeriesKind::Gauge, 1.0, value)),
        ("sum", Some(value), ..) if found.delta => Some((SeriesKind::Count, 1.0, value)),
        ("sum", Some(value), ..) => added(value, 0.0).map(|(value, _)| (SeriesKind::Count, 1.0, value)),
        ("gauge" | "sum", ..) => None,
        (_, _, Some(count), Some(sum)) => {
            let grown = if found.delta { Some((count, sum)) } else { added(count, sum) };
            let grown = grown.filter(|(count, _)| *count > 0.0);
            grown.map(|(count, sum)| (SeriesKind::Latency, count, sum))
        }
        _ => None,
    };
    let wanted = values.filter(|(_, _, sum)| sum.is_finite() && found.t >= span.from_us);
    let Some((kind, count, sum)) = wanted else { return };
    let id = SeriesId { entity: found.service.as_str().into(), signal: name.into(), group: group.into() };
    let values = SeriesPartial { kind, count: count as u64, sum, ..SeriesPartial::default() };
    add(id, values, found.t.div_euclid(span.step_us) * span.step_us, stored);
}

fn add(id: SeriesId, added: SeriesPartial, start_us: Micros, stored: &mut Stored) {
    let past = stored.entry(start_us).or_default();
    match past.series.iter_mut().find(|(known, _)| *known == id) {
        Some((_, values)) => {
            values.count += added.count;
            values.sum += added.sum;
        }
        None => past.series.push((id, added)),
    }
}

/// A row of a question: a time, a value, perhaps of how many, and what makes the series.
fn answered(
    question: &Question,
    entity: &str,
    mut row: BTreeMap<String, Value>,
    step_us: i64,
    stored: &mut Stored,
) -> Result<()> {
    let mut take = |name: &str| row.remove(name);
    let time = take("time").context("the answer has no column `time`: write AS time")?;
    let value = take("value").context("the answer has no column `value`: write AS value")?;
    let count = take("count").as_ref().and_then(Value::as_f64);
    let at_us = instant(&time).with_context(|| format!("{time} in the column `time` is no time"))?;
    if value.is_null() {
        return Ok(());
    }
    let value = value.as_f64().with_context(|| format!("{value} in the column `value` is no number"))?;
    let count = count.unwrap_or(1.0).max(0.0);
    let sum = if question.kind == SeriesKind::Count { value } else { value * count };
    let pairs = row.iter().map(|(name, value)| match value {
        Value::String(text) => format!("{name}={text}"),
        Value::Null => format!("{name}="),
        other => format!("{name}={other}"),
    });
    let group = pairs.collect::<Vec<_>>().join(",");
    let id = SeriesId { entity: entity.into(), signal: question.signal.as_str().into(), group: group.into() };
    let values = SeriesPartial { kind: question.kind, count: count as u64, sum, ..SeriesPartial::default() };
    add(id, values, at_us.div_euclid(step_us) * step_us, stored);
    Ok(())
}

/// Unix microseconds of a time as SQL gives it: a number of them, or text, in UTC where it names no zone.
fn instant(time: &Value) -> Option<Micros> {
    match time {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => {
            let zoned = text.parse::<Timestamp>().or_else(|_| format!("{text}Z").parse());
            zoned.ok().map(Timestamp::as_microsecond)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Span = Span { from_us: 0, to_us: 86_400_000_000, step_us: 60_000_000 };

    #[test]
    fn statements_quote_what_people_wrote() {
        let entities = ["shop/web".to_owned(), "o'neill".to_owned()];
        let sql = Wanted::Lines("can't pay".into()).sql(&entities, &SPAN);
        assert!(sql.contains("strpos(body, 'can''t pay')"), "{sql}");
        assert!(sql.contains("service IN ('shop/web', 'o''neill')"), "{sql}");
        assert!(sql.contains("time < TIMESTAMP '1970-01-02T00:00:00"), "{sql}");
        let sql = Wanted::Requests(Some(0.25)).sql(&entities, &SPAN);
        assert!(sql.contains("duration_ns > 250000000"), "{sql}");
    }

    #[test]
    fn requests_have_their_slow_ones() {
        let answer = "{\"service\":\"web\",\"t\":60000000,\"n\":10,\"bad\":2,\"seconds\":1.5,\"slow\":3}\n";
        let mut stored = Stored::new();
        Wanted::Requests(Some(0.2)).read(answer, "web", &SPAN, &mut stored).unwrap();
        let series = &stored[&60_000_000].series;
        assert_eq!(series.iter().map(|(_, v)| v.sum).collect::<Vec<_>>(), [10.0, 2.0, 1.5]);
        assert_eq!(series[2].1.histogram.as_ref().unwrap().count_above(0.2), 3.0);
        assert!(Wanted::Requests(None).read("nonsense", "web", &SPAN, &mut stored).is_err());
    }

    #[test]
    fn totals_become_what_was_added() {
        let total = |t: i64, value: f64, pool: &str| {
            format!(
                "{{\"service\":\"web\",\"t\":{t},\"kind\":\"sum\",\"monotonic\":true,\"delta\":false,\"value\":{value},\
                 \"attributes\":{{\"pool\":\"{pool}\"}}}}"
            )
        };
        let answer = [
            total(0, 100.0, "a"),
            total(1, 5.0, "b"),
            total(10_000_000, 104.0, "a"),
            total(60_000_000, 110.0, "a"),
            total(61_000_000, 2.0, "a"),
        ]
        .join("\n");
        let mut stored = Stored::new();
        Wanted::Metric("hits".into()).read(&answer, "web", &SPAN, &mut stored).unwrap();
        let sums: Vec<(i64, &str, f64)> = stored
            .iter()
            .flat_map(|(t, past)| past.series.iter().map(move |(id, v)| (*t, id.group.as_ref(), v.sum)))
            .collect();
        assert_eq!(sums, [(0, "pool=a", 4.0), (60_000_000, "pool=a", 8.0)]);
    }

    #[test]
    fn a_point_without_a_matching_line_is_a_zero() {
        let answer = "{\"service\":\"web\",\"t\":0,\"template_id\":\"0a\",\"n\":0}\n\
                      {\"service\":\"web\",\"t\":60000000,\"template_id\":\"0b\",\"n\":4}\n";
        let mut stored = Stored::new();
        Wanted::Lines("x".into()).read(answer, "web", &SPAN, &mut stored).unwrap();
        assert!(stored[&0].lines.is_empty());
        assert_eq!(stored[&60_000_000].lines, [("web".to_owned(), 11, 4)]);
    }

    #[test]
    fn a_question_says_its_time_and_gives_series() {
        let question = Question {
            sql: "SELECT time, ms AS value, country FROM t WHERE time >= $from AND time < $to".into(),
            signal: "took".into(),
            kind: SeriesKind::Gauge,
        };
        let wanted = Wanted::Question(question);
        let sql = wanted.sql(&[], &SPAN);
        assert!(
            sql.ends_with(
                "time >= TIMESTAMP '1970-01-01T00:00:00Z' AND time < TIMESTAMP '1970-01-02T00:00:00Z'"
            ),
            "{sql}"
        );
        let answer = "{\"time\":\"1970-01-01T00:01:00Z\",\"value\":4,\"country\":\"nl\"}\n\
                      {\"time\":\"1970-01-01T00:01:30\",\"value\":8,\"country\":\"nl\"}\n\
                      {\"time\":60000000,\"value\":3.5,\"count\":10,\"country\":\"de\"}\n\
                      {\"time\":60000000,\"value\":null,\"country\":\"de\"}\n";
        let mut stored = Stored::new();
        wanted.read(answer, "web", &SPAN, &mut stored).unwrap();
        let series: Vec<(&str, u64, f64)> =
            stored[&60_000_000].series.iter().map(|(id, v)| (id.group.as_ref(), v.count, v.sum)).collect();
        assert_eq!(series, [("country=nl", 2, 12.0), ("country=de", 10, 35.0)]);
        for (answer, message) in [
            ("{\"t\":1}", "no column `time`"),
            ("{\"time\":1}", "no column `value`"),
            ("{\"time\":true,\"value\":1}", "is no time"),
        ] {
            let error = wanted.read(answer, "web", &SPAN, &mut stored).unwrap_err();
            assert!(format!("{error:#}").contains(message), "{error:#}");
        }
    }
}

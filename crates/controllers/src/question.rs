//! What the lake is asked for series and events that windows do not hold, made from what people wrote.

use causeway_crds::baseline::{LogPatternSeries, LogQuerySeries, QuerySeries, QueryValues};
use causeway_crds::{MonitoredService, Reason};
use causeway_engine::{Labels, Question, SeriesKind};

use crate::log_query::{condition, field, quoted};
use crate::objective::Refusal;
use crate::services::entities;

/// A number as log lines have it.
const NUMBER: &str = "([-+]?[0-9]+(?:[.][0-9]+)?(?:[eE][-+]?[0-9]+)?)";
/// Units of a duration, and their length in seconds.
const UNITS: [(&str, &str); 8] = [
    ("ns", "1e-9"),
    ("us", "1e-6"),
    ("µs", "1e-6"),
    ("ms", "1e-3"),
    ("s", "1"),
    ("m", "60"),
    ("h", "3600"),
    ("d", "86400"),
];

/// The condition of a field as SQL.
pub(crate) fn where_of(query: &str, path: &str) -> Result<String, Refusal> {
    condition(query).map_err(|error| (Reason::InvalidSpec, format!("{path}: {error}")))
}

/// Lines of the service that contain a text: how many by some attributes, or a number in each.
pub(crate) fn of_pattern(
    pattern: &LogPatternSeries,
    service: &MonitoredService,
) -> Result<Question, Refusal> {
    let named: Vec<String> = entities(service).iter().map(|entity| quoted(entity)).collect();
    let condition =
        format!("service IN ({}) AND strpos(body, {}) > 0", named.join(", "), quoted(&pattern.contains));
    let value = pattern.number.as_deref().map(number).transpose()?;
    let signal = pattern.number.as_ref().unwrap_or(&pattern.contains);
    Ok(question(signal.clone(), &condition, value.as_deref(), &pattern.group_by))
}

/// Log records that meet a condition: how many, or a number in each.
pub(crate) fn of_logs(query: &LogQuerySeries) -> Result<Question, Refusal> {
    let condition = where_of(&query.query, "spec.series.logQuery.query")?;
    let value = query.value.as_deref().map(|name| format!("TRY_CAST({} AS DOUBLE)", field(name)));
    let signal = match &query.value {
        Some(value) => format!("{value} where {}", query.query),
        None => query.query.clone(),
    };
    Ok(question(signal, &condition, value.as_deref(), &query.group_by))
}

/// A statement as it is.
pub(crate) fn of_sql(query: &QuerySeries, name: &str) -> Result<Question, Refusal> {
    if !query.sql.contains("$from") || !query.sql.contains("$to") {
        let message = "spec.series.query.sql must say which time it reads by $from and $to, such as \
                       WHERE time >= $from AND time < $to: it is asked for every point";
        return Err((Reason::InvalidSpec, message.to_owned()));
    }
    let kind = match query.values {
        QueryValues::Levels => SeriesKind::Gauge,
        QueryValues::Counts => SeriesKind::Count,
    };
    Ok(Question { sql: query.sql.clone(), signal: name.to_owned(), kind })
}

/// Log records that are events of an objective.
pub(crate) fn events(query: &str, path: &str) -> Result<Question, Refusal> {
    Ok(question(query.to_owned(), &where_of(query, path)?, None, &[]))
}

/// Log records with a number in a field; `bad`: of those the ones whose number is not below the limit.
pub(crate) fn log_numbers(
    query: &str,
    value: &str,
    limit: f64,
    path: &str,
) -> Result<[Question; 2], Refusal> {
    let number = format!("TRY_CAST({} AS DOUBLE)", field(value));
    let all = format!("{} AND {number} IS NOT NULL", where_of(query, path)?);
    let bad = format!("{all} AND {number} >= {limit:?}");
    let signal = |condition: &str| format!("{value}{condition} where {query}");
    Ok([question(signal(&format!(" from {limit}")), &bad, None, &[]), question(signal(""), &all, None, &[])])
}

/// Values of a metric that is a level; `bad`: of those the ones that are not below the limit.
pub(crate) fn levels(name: &str, labels: &Labels, limit: f64, service: &MonitoredService) -> [Question; 2] {
    let named: Vec<String> = entities(service).iter().map(|entity| quoted(entity)).collect();
    let mut all =
        format!("name = {} AND service IN ({}) AND value IS NOT NULL", quoted(name), named.join(", "));
    for (label, negated, pattern) in labels.matchers() {
        let value = format!("COALESCE(attributes[{}], '')", quoted(label));
        let not = if negated { "NOT " } else { "" };
        all.push_str(&format!(" AND {not}regexp_like({value}, {})", quoted(&pattern)));
    }
    let count = |signal: String, condition: &str| Question {
        sql: counted("metrics", condition, "count(*) AS value", &[]),
        signal,
        kind: SeriesKind::Count,
    };
    [
        count(format!("{name} from {limit}"), &format!("{all} AND value >= {limit:?}")),
        count(format!("values of {name}"), &all),
    ]
}

fn question(signal: String, condition: &str, value: Option<&str>, group_by: &[String]) -> Question {
    let (values, kind, condition) = match value {
        Some(value) => (
            format!("avg({value}) AS value, count({value}) AS count"),
            SeriesKind::Gauge,
            format!("{condition} AND {value} IS NOT NULL"),
        ),
        None => ("count(*) AS value".to_owned(), SeriesKind::Count, condition.to_owned()),
    };
    Question { sql: counted("logs", &condition, &values, group_by), signal, kind }
}

fn counted(table: &str, condition: &str, values: &str, group_by: &[String]) -> String {
    let columns: Vec<String> = group_by
        .iter()
        .map(|name| format!(", {} AS \"{}\"", field(name), name.replace('"', "\"\"")))
        .collect();
    let groups: Vec<String> = group_by.iter().map(|name| format!(", {}", field(name))).collect();
    let point = "CAST(time AS BIGINT) / $step * $step";
    format!(
        "SELECT {point} AS time, {values}{} FROM {table} WHERE time >= $from AND time < $to AND {condition} \
         GROUP BY {point}{}",
        columns.concat(),
        groups.concat()
    )
}

/// The number that stands at `<number>` or, in seconds, at `<duration>` of a text in which `<*>` is anything without a
/// blank.
fn number(text: &str) -> Result<String, Refusal> {
    let of = |marker: &str| text.matches(marker).count();
    let (numbers, durations) = (of("<number>"), of("<duration>"));
    if numbers + durations != 1 {
        let message = "spec.series.logPattern.number must have <number> or <duration> once, where the number stands, \
                       such as `took <duration>`";
        return Err((Reason::InvalidSpec, message.to_owned()));
    }
    let units = UNITS.map(|(unit, _)| unit).join("|");
    let pattern = regex::escape(text)
        .replace(&regex::escape("<*>"), "[^ ]+")
        .replace(&regex::escape("<number>"), NUMBER)
        .replace(&regex::escape("<duration>"), &format!("{NUMBER} ?({units})(?:[^a-zA-Z]|$)"));
    let found = format!("regexp_match(body, {})", quoted(&pattern));
    let value = format!("TRY_CAST({found}[1] AS DOUBLE)");
    if durations == 0 {
        return Ok(value);
    }
    let cases: Vec<String> =
        UNITS.iter().map(|(unit, seconds)| format!("WHEN '{unit}' THEN {seconds}")).collect();
    Ok(format!("({value} * CASE {found}[2] {} END)", cases.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_the_text_around_them() {
        let sql = number("took <number> ms (<*>)").unwrap();
        assert_eq!(sql, format!("TRY_CAST(regexp_match(body, 'took {NUMBER} ms \\([^ ]+\\)')[1] AS DOUBLE)"));
        let sql = number("took <duration>").unwrap();
        assert!(sql.contains("WHEN 'ms' THEN 1e-3"), "{sql}");
        for text in ["took long", "<number> and <number>"] {
            assert!(number(text).unwrap_err().1.contains("once"), "{text}");
        }
    }

    #[test]
    fn a_statement_says_which_time_it_reads() {
        let query = QuerySeries { sql: "SELECT time, value FROM metrics".into(), ..QuerySeries::default() };
        assert!(of_sql(&query, "x").unwrap_err().1.contains("$from"));
    }
}

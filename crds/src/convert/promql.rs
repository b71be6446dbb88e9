//! Queries of Prometheus that count one counter.

use std::sync::LazyLock;

use regex::Regex;

/// Labels that say which service it is, and which the series of a service do not carry.
const IDENTITY: [&str; 9] =
    ["job", "service", "instance", "namespace", "pod", "container", "app", "cluster", "service_name"];

/// A counter, with those of its label matchers that tell events apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counter {
    pub(super) name: String,
    /// Matchers as Prometheus writes them.
    pub(super) labels: Option<String>,
    /// Value of the matcher that names the service.
    pub(super) service: Option<String>,
    /// Matchers that were left out because they say which service it is.
    pub(super) left_out: Vec<String>,
    /// The range over which it is counted, such as `1h`.
    pub(super) range: Option<String>,
}

static SELECTOR: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?:\{(.*)\})?\s*(?:\[([^\]]*)\])?$").ok());
static WRAPPER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^(?:sum|rate|increase|irate)\s*(?:(?:by|without)\s*\([^)]*\))?\s*\((.*)\)$").ok()
});
static GROUPING: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^(.*\))\s*(?:by|without)\s*\([^()]*\)$").ok());
static MATCHER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*,?"#).ok()
});

/// The counter that a query counts, or why it is more than that.
pub(super) fn counter(query: &str) -> Result<Counter, String> {
    let not_one = || format!("the query `{}` is more than one counter", query.trim());
    let mut inner = query.replace(['\n', '\r'], " ").trim().to_owned();
    loop {
        let stripped = without_grouping(&strip_parentheses(&inner));
        let wrapped = WRAPPER.as_ref().and_then(|wrapper| wrapper.captures(&stripped));
        let Some(body) = wrapped.and_then(|found| found.get(1)).map(|body| body.as_str().trim().to_owned())
        else {
            inner = stripped;
            break;
        };
        if !is_balanced(&body) {
            return Err(not_one());
        }
        inner = body;
    }
    let selector = SELECTOR.as_ref().and_then(|selector| selector.captures(&inner)).ok_or_else(not_one)?;
    let part = |index: usize| selector.get(index).map(|found| found.as_str().trim());
    let mut counter = Counter {
        name: part(1).unwrap_or_default().to_owned(),
        labels: None,
        service: None,
        left_out: Vec::new(),
        range: part(3).filter(|range| !range.contains('{')).map(str::to_owned),
    };
    let mut kept = Vec::new();
    for (label, operator, value) in matchers(part(2).unwrap_or_default()).ok_or_else(not_one)? {
        let written = format!("{label}{operator}\"{value}\"");
        if IDENTITY.contains(&label.as_str()) {
            if matches!(label.as_str(), "job" | "service" | "app" | "service_name") && operator == "=" {
                counter.service.get_or_insert(value);
            }
            counter.left_out.push(written);
        } else {
            kept.push(written);
        }
    }
    counter.labels = (!kept.is_empty()).then(|| kept.join(","));
    Ok(counter)
}

/// Value of a matcher of a selector.
pub(super) fn matcher_of(query: &str, label: &str) -> Option<String> {
    let (from, to) = (query.find('{')?, query.rfind('}')?);
    let all = matchers(query.get(from + 1..to)?)?;
    all.into_iter().find(|(known, operator, _)| known == label && operator == "=").map(|(_, _, value)| value)
}

fn matchers(text: &str) -> Option<Vec<(String, String, String)>> {
    let mut rest = text.trim();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let matcher = MATCHER.as_ref()?.captures(rest)?;
        let whole = matcher.get(0)?;
        if whole.start() != 0 {
            return None;
        }
        let part = |index: usize| Some(matcher.get(index)?.as_str().to_owned());
        found.push((part(1)?, part(2)?, part(3)?));
        rest = rest.get(whole.end()..)?.trim();
    }
    Some(found)
}

/// Without a `by (…)` that follows.
fn without_grouping(text: &str) -> String {
    let found = GROUPING.as_ref().and_then(|grouping| grouping.captures(text));
    found.and_then(|found| found.get(1)).map_or(text, |front| front.as_str()).to_owned()
}

fn strip_parentheses(text: &str) -> String {
    let mut text = text.trim();
    while let Some(inner) = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        if !is_balanced(inner) {
            break;
        }
        text = inner.trim();
    }
    text.to_owned()
}

/// Whether every parenthesis closes, and none closes that was not open; quoted text does not count.
pub(super) fn is_balanced(text: &str) -> bool {
    let mut depth = 0_i32;
    for (_, c) in bare(text) {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return false;
        }
    }
    depth == 0
}

/// Characters outside of quotes and braces, with their place.
fn bare(text: &str) -> impl Iterator<Item = (usize, char)> {
    let (mut quoted, mut escaped, mut braces) = (false, false, 0_i32);
    text.char_indices().filter(move |(_, c)| {
        let inside = quoted || braces > 0;
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '{' if !quoted => braces += 1,
            '}' if !quoted => braces -= 1,
            _ => {}
        }
        !inside && !quoted && braces == 0
    })
}

/// Splits at a word or sign that stands outside of parentheses, quotes and braces.
pub(super) fn split<'a>(text: &'a str, at: &str) -> Vec<&'a str> {
    let mut depth = 0_i32;
    let mut cuts = Vec::new();
    for (index, c) in bare(text) {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 && text.get(index..).is_some_and(|rest| rest.starts_with(at)) {
            cuts.push(index);
        }
    }
    let mut parts = Vec::new();
    let mut from = 0;
    for cut in
        cuts.into_iter().filter(|cut| !at.chars().all(char::is_alphabetic) || is_word(text, *cut, at.len()))
    {
        parts.push(text.get(from..cut).unwrap_or_default().trim());
        from = cut + at.len();
    }
    parts.push(text.get(from..).unwrap_or_default().trim());
    parts
}

fn is_word(text: &str, at: usize, length: usize) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
    let before = text.get(..at).and_then(|front| front.chars().next_back());
    let after = text.get(at + length..).and_then(|rest| rest.chars().next());
    !part(before) && !part(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_counter_is_understood_however_it_is_wrapped() {
        let cases = [
            ("http_requests_total", "http_requests_total", None, None),
            (
                "sum(rate(http_requests_total{code=~\"5..\"}[5m]))",
                "http_requests_total",
                Some("code=~\"5..\""),
                Some("5m"),
            ),
            (
                "sum by (handler) (increase(hits{job=\"web\", method!=\"GET\", path=\"/a,b\"}[{{.window}}]))",
                "hits",
                Some("method!=\"GET\",path=\"/a,b\""),
                None,
            ),
            ("(sum(rate(a:b_total[1h])) without (pod))", "a:b_total", None, Some("1h")),
        ];
        for (query, name, labels, range) in cases {
            let found = counter(query).unwrap();
            assert_eq!(
                (found.name.as_str(), found.labels.as_deref(), found.range.as_deref()),
                (name, labels, range)
            );
        }
        let found = counter("sum(rate(hits{job=\"web\",namespace=\"shop\"}[5m]))").unwrap();
        assert_eq!(found.service.as_deref(), Some("web"));
        assert_eq!(found.left_out, ["job=\"web\"", "namespace=\"shop\""]);
    }

    #[test]
    fn more_than_one_counter_is_not() {
        for query in [
            "sum(rate(a[5m])) - sum(rate(b[5m]))",
            "a / b",
            "sum(rate(a[5m])) or vector(0)",
            "max(a)",
            "a{b}",
            "",
        ] {
            let error = counter(query).unwrap_err();
            assert!(error.contains("more than one counter"), "{query}: {error}");
        }
    }

    #[test]
    fn splits_outside_of_parentheses_only() {
        assert_eq!(split("a{x=\"/\"} / (b / c)", "/"), ["a{x=\"/\"}", "(b / c)"]);
        assert_eq!(split("android and b and (c and d)", "and"), ["android", "b", "(c and d)"]);
        assert_eq!(matcher_of("x_bucket{le=\"0.3\",job=\"a\"}", "le").as_deref(), Some("0.3"));
    }
}

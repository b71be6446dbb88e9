//! Label and field selectors.

use serde_json::Value;

use crate::kind::Kind;
use crate::names::{LABEL_VALUE, is_value};
use crate::status::{ApiError, ApiResult};

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
    Greater(String, i64),
    Less(String, i64),
}

/// What a list or watch keeps: labels, fields, or everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    labels: Vec<Rule>,
    fields: Vec<(String, String, bool)>,
}

impl Filter {
    /// Parses both selectors; a field that the kind does not offer is refused.
    pub(crate) fn parse(kind: &Kind, labels: Option<&str>, fields: Option<&str>) -> ApiResult<Self> {
        let labels = labels.map(parse_labels).transpose()?.unwrap_or_default();
        let mut parsed = Vec::new();
        for term in fields.unwrap_or_default().split(',').filter(|t| !t.is_empty()) {
            let (name, value, equal) = if let Some((name, value)) = term.split_once("!=") {
                (name, value, false)
            } else if let Some((name, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
                (name, value, true)
            } else {
                let whole = fields.unwrap_or_default();
                let text = format!("invalid selector: '{whole}'; can't understand '{term}'");
                return Err(ApiError::bad_request(text));
            };
            let name = name.trim();
            let known = name == "metadata.name"
                || (name == "metadata.namespace" && kind.namespaced())
                || kind.selectable.iter().any(|field| field == name);
            if !known {
                return Err(ApiError::bad_request(format!("field label not supported: {name}")));
            }
            parsed.push((name.to_owned(), value.trim().to_owned(), equal));
        }
        Ok(Self { labels, fields: parsed })
    }

    /// Narrows the filter to one name.
    pub(crate) fn only(&mut self, name: &str) {
        self.fields.push(("metadata.name".to_owned(), name.to_owned(), true));
    }

    /// Whether there is nothing to select.
    pub(crate) fn keeps_all(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether an object in the shape of the kind's version passes.
    pub(crate) fn keeps(&self, object: &Value) -> bool {
        let labels = object.pointer("/metadata/labels");
        let label = |name: &str| labels.and_then(|l| l.get(name)).and_then(Value::as_str);
        let number = |name: &str| label(name).and_then(|v| v.parse::<i64>().ok());
        self.labels.iter().all(|rule| match rule {
            Rule::In(name, values) => label(name).is_some_and(|v| values.iter().any(|w| w == v)),
            Rule::NotIn(name, values) => !label(name).is_some_and(|v| values.iter().any(|w| w == v)),
            Rule::Exists(name) => label(name).is_some(),
            Rule::Missing(name) => label(name).is_none(),
            Rule::Greater(name, bound) => number(name).is_some_and(|v| v > *bound),
            Rule::Less(name, bound) => number(name).is_some_and(|v| v < *bound),
        }) && self.fields.iter().all(|(name, value, equal)| (field(object, name) == *value) == *equal)
    }
}

/// A field as a field selector compares it: text, empty when absent.
fn field(object: &Value, path: &str) -> String {
    let found = path.split('.').filter(|p| !p.is_empty()).try_fold(object, |value, part| value.get(part));
    match found {
        None | Some(Value::Null) if path == "spec.unschedulable" => "false".to_owned(),
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn parse_labels(text: &str) -> ApiResult<Vec<Rule>> {
    let rules: ApiResult<Vec<Rule>> =
        split_terms(text).into_iter().map(|term| parse_term(term.trim())).collect();
    for rule in rules.iter().flatten() {
        if let Rule::In(name, values) | Rule::NotIn(name, values) = rule {
            let wrong = values.iter().enumerate().find(|(_, value)| !is_value(value));
            if let Some((index, value)) = wrong {
                return Err(ApiError::bad_request(format!(
                    "unable to parse requirement: values[{index}][{name}]: Invalid value: {value:?}: {LABEL_VALUE}"
                )));
            }
        }
    }
    rules
}

/// Splits at commas outside of parentheses.
fn split_terms(text: &str) -> Vec<&str> {
    let mut depth = 0;
    text.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    })
    .filter(|term| !term.trim().is_empty())
    .collect()
}

fn parse_term(term: &str) -> ApiResult<Rule> {
    let bad = || ApiError::bad_request(format!("unable to parse requirement: {term:?}"));
    let name = |text: &str| -> ApiResult<String> {
        let text = text.trim();
        let well_formed =
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
        if well_formed { Ok(text.to_owned()) } else { Err(bad()) }
    };
    if let Some(rest) = term.strip_prefix('!') {
        return Ok(Rule::Missing(name(rest)?));
    }
    for (mark, negated) in [(" notin", true), (" in", false)] {
        if let Some((key, set)) = term.split_once(mark)
            && let Some(set) = set.trim().strip_prefix('(').and_then(|s| s.strip_suffix(')'))
        {
            let values = set.split(',').map(|v| v.trim().to_owned()).collect();
            let key = name(key)?;
            return Ok(if negated { Rule::NotIn(key, values) } else { Rule::In(key, values) });
        }
    }
    if let Some((key, value)) = term.split_once("!=") {
        return Ok(Rule::NotIn(name(key)?, vec![value.trim().to_owned()]));
    }
    if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        return Ok(Rule::In(name(key)?, vec![value.trim().to_owned()]));
    }
    if let Some((key, value)) = term.split_once('>') {
        return Ok(Rule::Greater(name(key)?, value.trim().parse().map_err(|_| bad())?));
    }
    if let Some((key, value)) = term.split_once('<') {
        return Ok(Rule::Less(name(key)?, value.trim().parse().map_err(|_| bad())?));
    }
    Ok(Rule::Exists(name(term)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn label_selectors() {
        let object = json!({ "metadata": { "labels": { "app": "web", "tier": "front", "n": "5" } } });
        let cases = [
            ("app=web", true),
            ("app==web,tier=front", true),
            ("app!=web", false),
            ("missing!=x", true),
            ("app in (api, web)", true),
            ("app notin (api,web)", false),
            ("app", true),
            ("!app", false),
            ("!other,app", true),
            ("n>4", true),
            ("n<5", false),
            ("", true),
        ];
        for (text, expected) in cases {
            let filter = Filter { labels: parse_labels(text).unwrap(), fields: Vec::new() };
            assert_eq!(filter.keeps(&object), expected, "{text}");
        }
        for bad in ["a b", "=x", "app in x"] {
            assert!(parse_labels(bad).is_err(), "{bad}");
        }
    }
}

//! Which series of a metric count, by their attributes, in the syntax of Prometheus.

use regex::Regex;
use serde::{Deserialize, Serialize};

/// Matchers such as `code=~"5..",method!="GET"`; all of them must hold. An attribute that a series does not have is empty.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Labels {
    text: String,
    matchers: Vec<Matcher>,
}

#[derive(Clone, Debug)]
struct Matcher {
    label: String,
    negated: bool,
    wanted: Wanted,
}

#[derive(Clone, Debug)]
enum Wanted {
    Text(String),
    Pattern(Regex),
}

/// A text is no list of matchers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no list of label matchers such as `code=~\"5..\",method!=\"GET\"`")]
pub struct NotLabels(String);

impl Labels {
    /// Reads matchers; the empty text admits every series. O(text).
    ///
    /// # Errors
    /// Anything but names, one of `=`, `!=`, `=~`, `!~`, and quoted values, separated by commas; a bad pattern.
    pub fn parse(text: &str) -> Result<Self, NotLabels> {
        let refuse = || NotLabels(text.to_owned());
        let mut matchers = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let end =
                rest.find(|c: char| !(c.is_alphanumeric() || "_.-:/".contains(c))).ok_or_else(refuse)?;
            let (label, tail) = rest.split_at(end);
            let tail = tail.trim_start();
            let operators = ["=~", "!~", "!=", "="];
            let operator = operators.into_iter().find(|op| tail.starts_with(op)).ok_or_else(refuse)?;
            let tail = tail.strip_prefix(operator).unwrap_or(tail).trim_start();
            let (value, tail) = quoted(tail).ok_or_else(refuse)?;
            let wanted = if operator.ends_with('~') {
                Wanted::Pattern(Regex::new(&format!("^(?:{value})$")).map_err(|_| refuse())?)
            } else {
                Wanted::Text(value)
            };
            if label.is_empty() {
                return Err(refuse());
            }
            matchers.push(Matcher { label: label.to_owned(), negated: operator.starts_with('!'), wanted });
            let tail = tail.trim_start();
            rest = match tail.strip_prefix(',') {
                Some(more) => more.trim_start(),
                None if tail.is_empty() => tail,
                None => return Err(refuse()),
            };
        }
        Ok(Self { text: text.to_owned(), matchers })
    }

    /// Attribute, whether its value must not match, and the regular expression, anchored, of every matcher.
    pub fn matchers(&self) -> impl Iterator<Item = (&str, bool, String)> {
        self.matchers.iter().map(|matcher| {
            let pattern = match &matcher.wanted {
                Wanted::Text(text) => format!("^{}$", regex::escape(text)),
                Wanted::Pattern(pattern) => pattern.as_str().to_owned(),
            };
            (matcher.label.as_str(), matcher.negated, pattern)
        })
    }

    /// Whether a series with this group, `key=value` pairs separated by commas, counts. O(matchers · pairs).
    #[must_use]
    pub fn admit(&self, group: &str) -> bool {
        self.matchers.iter().all(|matcher| {
            let pairs = group.split(',').filter_map(|pair| pair.split_once('='));
            let value =
                pairs.into_iter().find(|(key, _)| *key == matcher.label).map_or("", |(_, value)| value);
            let holds = match &matcher.wanted {
                Wanted::Text(text) => text == value,
                Wanted::Pattern(pattern) => pattern.is_match(value),
            };
            holds != matcher.negated
        })
    }
}

/// A quoted text, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let body = text.strip_prefix('"')?;
    let (mut value, mut escaped) = (String::new(), false);
    for (index, c) in body.char_indices() {
        match c {
            // Patterns keep their backslashes but for the two that quoting needs.
            _ if escaped => {
                if !matches!(c, '"' | '\\') {
                    value.push('\\');
                }
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return Some((value, body.get(index + 1..)?)),
            _ => value.push(c),
        }
    }
    None
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl TryFrom<String> for Labels {
    type Error = NotLabels;
    fn try_from(text: String) -> Result<Self, NotLabels> {
        Self::parse(&text)
    }
}

impl From<Labels> for String {
    fn from(labels: Labels) -> Self {
        labels.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_admit_as_in_prometheus() {
        let cases = [
            ("", "code=500", true),
            ("code=\"500\"", "code=500,method=GET", true),
            ("code=\"50\"", "code=500", false),
            ("code=~\"5..\"", "code=503", true),
            ("code=~\"5.\"", "code=503", false),
            ("code=~\"5..|429\", method!=\"GET\"", "code=429,method=POST", true),
            ("code=~\"5..\",method!=\"GET\"", "code=500,method=GET", false),
            ("code!~\"2..\"", "", true),
            ("path=~\"/a\\\\.b\"", "path=/a.b", true),
            ("code=\"\"", "method=GET", true),
        ];
        for (text, group, admitted) in cases {
            assert_eq!(Labels::parse(text).unwrap().admit(group), admitted, "{text} of {group}");
        }
    }

    #[test]
    fn what_is_no_matcher_is_refused() {
        for text in ["code", "code=500", "=\"x\"", "code=~\"(\"", "a=\"b\" c=\"d\"", "a=\"b"] {
            assert!(Labels::parse(text).unwrap_err().to_string().contains("label matchers"), "{text}");
        }
        let kept: Labels =
            serde_json::from_str(&serde_json::to_string(&Labels::parse("a=\"b\"").unwrap()).unwrap())
                .unwrap();
        assert!(kept.admit("a=b"));
    }
}

//! Conditions on log records as people write them, such as `service == "checkout" && status >= 500`, as SQL over the lake.
//!
//! Fields are `service`, `source`, `body`, `severity` (by name), `severity_number`, `template_id`, `trace_id`, `span_id`, else
//! an attribute of the record or, where it has none of that name, of its resource. What is compared with a number is read as
//! one. A comparison with a field that a record does not have does not hold.

/// Conditions within one another at most.
const DEEPEST: usize = 32;

/// What is wrong with a condition, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}, at character {at} of `{text}`")]
pub(crate) struct NotACondition {
    message: String,
    /// Counted from 1.
    at: usize,
    text: String,
}

/// A condition as a boolean SQL expression that is never NULL. O(text).
///
/// # Errors
/// What was expected, and where.
pub(crate) fn condition(text: &str) -> Result<String, NotACondition> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    let sql = reader.any()?;
    reader.space();
    if reader.at < text.len() {
        return Err(reader.wrong("expected && or ||"));
    }
    Ok(sql)
}

/// A field of a log record as an SQL expression of type text; NULL where a record does not have it.
pub(crate) fn field(name: &str) -> String {
    match name {
        "service" | "source" | "body" | "template_id" | "trace_id" | "span_id" => name.to_owned(),
        "severity" => "lower(severity_text)".to_owned(),
        "severity_number" => "CAST(severity_number AS VARCHAR)".to_owned(),
        _ => format!("COALESCE(attributes[{0}], resource[{0}])", quoted(name)),
    }
}

/// Text as an SQL literal.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

enum Literal {
    Number(String),
    Text(String),
}

impl<'a> Reader<'a> {
    fn wrong(&self, message: &str) -> NotACondition {
        let before = self.text.get(..self.at).unwrap_or(self.text);
        NotACondition {
            message: message.to_owned(),
            at: before.chars().count() + 1,
            text: self.text.to_owned(),
        }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn take(&mut self, token: &str) -> bool {
        self.space();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn expect(&mut self, token: &str) -> Result<(), NotACondition> {
        if self.take(token) { Ok(()) } else { Err(self.wrong(&format!("expected {token}"))) }
    }

    fn any(&mut self) -> Result<String, NotACondition> {
        let mut parts = vec![self.all()?];
        while self.take("||") {
            parts.push(self.all()?);
        }
        Ok(joined(parts, " OR "))
    }

    fn all(&mut self) -> Result<String, NotACondition> {
        let mut parts = vec![self.one()?];
        while self.take("&&") {
            parts.push(self.one()?);
        }
        Ok(joined(parts, " AND "))
    }

    fn one(&mut self) -> Result<String, NotACondition> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.wrong("too deep"));
        }
        let sql = if self.take("!") {
            format!("NOT {}", self.one()?)
        } else if self.take("(") {
            let inner = self.any()?;
            self.expect(")")?;
            format!("({inner})")
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(sql)
    }

    fn comparison(&mut self) -> Result<String, NotACondition> {
        let name = self.name()?;
        if name == "has" && self.take("(") {
            let name = self.name()?;
            self.expect(")")?;
            return Ok(format!("({} IS NOT NULL)", field(&name)));
        }
        if self.take("(") {
            let (name, method) = name.rsplit_once('.').unwrap_or(("", &name));
            let function = match method {
                "contains" => "strpos",
                "startsWith" => "starts_with",
                "matches" => "regexp_like",
                _ => return Err(self.wrong("expected has, contains, startsWith or matches before (")),
            };
            if name.is_empty() {
                return Err(self.wrong("expected a field before the function, such as body.contains(\"x\")"));
            }
            let Literal::Text(text) = self.literal()? else {
                return Err(self.wrong("expected a text in double quotes before this"));
            };
            self.expect(")")?;
            if method == "matches"
                && let Err(error) = regex::Regex::new(&text)
            {
                return Err(self.wrong(&format!("not a regular expression ({error})")));
            }
            let found = format!("{function}({}, {})", field(name), quoted(&text));
            let found = if method == "contains" { format!("{found} > 0") } else { found };
            return Ok(format!("COALESCE({found}, false)"));
        }
        let operators = [("==", "="), ("!=", "<>"), ("<=", "<="), (">=", ">="), ("<", "<"), (">", ">")];
        let operator = operators.into_iter().find(|(token, _)| self.take(token));
        let Some((_, operator)) = operator else {
            return Err(self.wrong("expected ==, !=, <, <=, > or >="));
        };
        let (left, right) = match self.literal()? {
            Literal::Number(number) => (format!("TRY_CAST({} AS DOUBLE)", field(&name)), number),
            Literal::Text(text) if name == "severity" => (field(&name), quoted(&text.to_lowercase())),
            Literal::Text(text) => (field(&name), quoted(&text)),
        };
        Ok(format!("COALESCE({left} {operator} {right}, false)"))
    }

    fn name(&mut self) -> Result<String, NotACondition> {
        self.space();
        let is_part = |c: char| c.is_alphanumeric() || "_.-/:".contains(c);
        let rest = self.rest();
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (name, _) = rest.split_at(end);
        if !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            return Err(self.wrong("expected a field, !, ( or has("));
        }
        self.at += end;
        Ok(name.to_owned())
    }

    fn literal(&mut self) -> Result<Literal, NotACondition> {
        self.space();
        let rest = self.rest();
        if let Some(inner) = rest.strip_prefix('"') {
            let mut text = String::new();
            let mut chars = inner.char_indices();
            while let Some((index, c)) = chars.next() {
                match c {
                    '"' => {
                        self.at += index + 2;
                        return Ok(Literal::Text(text));
                    }
                    '\\' => match chars.next() {
                        Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
                        Some((_, other)) => text.extend(['\\', other]),
                        None => break,
                    },
                    other => text.push(other),
                }
            }
            return Err(self.wrong("a text without its closing quote"));
        }
        let end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c))).unwrap_or(rest.len());
        let (word, _) = rest.split_at(end);
        if matches!(word, "true" | "false") {
            self.at += end;
            return Ok(Literal::Text(word.to_owned()));
        }
        match word.parse::<f64>() {
            Ok(number) if number.is_finite() => {
                self.at += end;
                Ok(Literal::Number(word.trim_start_matches('+').to_owned()))
            }
            _ => Err(self.wrong("expected a number, true, false, or a text in double quotes")),
        }
    }
}

fn joined(parts: Vec<String>, by: &str) -> String {
    if parts.len() == 1 { parts.into_iter().collect() } else { format!("({})", parts.join(by)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_become_sql() {
        let attribute = |name: &str| format!("COALESCE(attributes['{name}'], resource['{name}'])");
        for (text, sql) in [
            ("service == \"checkout\"", "COALESCE(service = 'checkout', false)".to_owned()),
            (
                "service == \"checkout\" && status >= 500",
                format!(
                    "(COALESCE(service = 'checkout', false) AND COALESCE(TRY_CAST({} AS DOUBLE) >= 500, false))",
                    attribute("status")
                ),
            ),
            ("has(http.route)", format!("({} IS NOT NULL)", attribute("http.route"))),
            (
                "!(severity == \"ERROR\" || body.contains(\"can't\"))",
                "NOT ((COALESCE(lower(severity_text) = 'error', false) OR \
                 COALESCE(strpos(body, 'can''t') > 0, false)))"
                    .to_owned(),
            ),
            ("body.matches(\"took \\d+\")", "COALESCE(regexp_like(body, 'took \\d+'), false)".to_owned()),
            ("retry != true", format!("COALESCE({} <> 'true', false)", attribute("retry"))),
        ] {
            assert_eq!(condition(text).as_deref(), Ok(sql.as_str()), "{text}");
        }
    }

    #[test]
    fn mistakes_say_where() {
        for (text, message) in [
            ("", "expected a field, !, ( or has(, at character 1"),
            ("status = 500", "expected ==, !=, <, <=, > or >=, at character 8"),
            ("status >= many", "expected a number, true, false, or a text in double quotes, at character 11"),
            ("status == 5 and x == 1", "expected && or ||, at character 13"),
            ("body.like(\"x\")", "expected has, contains, startsWith or matches before ("),
            ("body.matches(\"(\")", "not a regular expression"),
            ("(a == 1", "expected ), at character 8"),
            ("a == \"b", "closing quote"),
        ] {
            let error = condition(text).unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
        assert!(condition(&"!".repeat(100)).unwrap_err().to_string().contains("too deep"));
    }

    #[test]
    fn nothing_escapes_its_quotes() {
        let sql = condition("a'b == \"x\"");
        assert!(sql.is_err(), "{sql:?}");
        let sql = condition("name == \"'; DROP TABLE logs; --\"").unwrap();
        assert!(sql.contains("= '''; DROP TABLE logs; --'"), "{sql}");
    }
}

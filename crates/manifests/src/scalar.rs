//! Scalars: what they mean, and how another value is written in the style of the old one.

use causeway_actions::quantity::Quantity;
use serde_json::Value;

use crate::document::Style;

/// Words that some YAML reader takes for something else than text.
const WORDS: [&str; 11] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n", "~", ""];

/// The value as Kubernetes reads it.
pub fn typed(text: &str, style: Style, tagged: bool) -> Value {
    if style != Style::Plain || tagged {
        return Value::from(text);
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::from(true),
        "false" | "False" | "FALSE" => return Value::from(false),
        _ => {}
    }
    if let Ok(number) = text.parse::<i64>()
        && !has_odd_zeros(text)
    {
        return Value::from(number);
    }
    let is_float = text.bytes().any(|b| b.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    match text.parse::<f64>() {
        Ok(number) if is_float && number.is_finite() => Value::from(number),
        _ => Value::from(text),
    }
}

/// `007` and `+7`: readers differ on what they are.
fn has_odd_zeros(text: &str) -> bool {
    let digits = text.trim_start_matches(['-', '+']);
    text.starts_with('+') || (digits.len() > 1 && digits.starts_with('0'))
}

/// Whether a scalar that stands in a file makes the live value. Amounts of resources are compared by what they are worth,
/// because the API server writes them in its own way.
pub fn makes(found: &Value, live: &Value, is_amount: bool) -> bool {
    if found == live {
        return true;
    }
    match (found, live) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        _ if is_amount => match (amount(found), amount(live)) {
            (Some(a), Some(b)) => a == b,
            _ => false,
        },
        _ => false,
    }
}

fn amount(value: &Value) -> Option<Quantity> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    Quantity::parse(&text)
}

/// Whether text means itself without quotes, to every YAML reader.
fn is_plain_text(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "._/@-+:=".contains(c);
    let reserved = WORDS.contains(&text.to_ascii_lowercase().as_str());
    let like_a_number = text.bytes().all(|b| b.is_ascii_digit() || b"+-.:_eExo".contains(&b));
    let like_a_date = text.len() >= 8
        && text.as_bytes().iter().take(4).all(u8::is_ascii_digit)
        && text.as_bytes().get(4) == Some(&b'-');
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/')
        && text.chars().all(inner)
        && !text.ends_with(':')
        && !reserved
        && !like_a_number
        && !like_a_date
        && typed(text, Style::Plain, false).is_string()
}

/// `to` in place of `raw`, which is written in `style`.
///
/// # Errors
/// What stands in the way.
pub fn written(raw: &str, style: Style, to: &Value) -> Result<String, &'static str> {
    let text = match to {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) if style == Style::Plain => return Ok(to.to_string()),
        Value::Number(_) | Value::Bool(_) => to.to_string(),
        _ => return Err("would become something else than a scalar"),
    };
    match style {
        Style::Plain if is_plain_text(&text) => Ok(text),
        Style::Single if !text.chars().any(|c| c.is_control()) => {
            Ok(format!("'{}'", text.replace('\'', "''")))
        }
        // A JSON string is a YAML string in double quotes.
        Style::Plain | Style::Single | Style::Double => Ok(Value::from(text).to_string()),
        Style::Literal => block(raw, &text),
        Style::Folded => Err("is a folded block, whose lines are joined"),
    }
}

/// Another text as a literal block with the indentation of the old one. `raw` ends with the last line of the block that is
/// not blank, so that a text with more than one break at its end does not fit.
fn block(raw: &str, text: &str) -> Result<String, &'static str> {
    let odd = "is a block that the new text does not fit into";
    let (head, old) = raw.split_once('\n').ok_or(odd)?;
    let indent: String = old
        .lines()
        .find(|line| !line.trim().is_empty())
        .map(|line| line.chars().take_while(|c| *c == ' ').collect())
        .ok_or(odd)?;
    let (content, chomp) = match text.strip_suffix('\n') {
        Some(content) => (content, ""),
        None => (text, "-"),
    };
    let (sign, rest) = head.trim_end_matches('\r').split_at(head.find([' ', '\r']).unwrap_or(head.len()));
    let fits = matches!(sign, "|" | "|-")
        && !indent.is_empty()
        && !content.is_empty()
        && !content.ends_with('\n')
        && !content.starts_with([' ', '\t', '\n'])
        && !content.chars().any(|c| c.is_control() && c != '\n' && c != '\t');
    if !fits {
        return Err(odd);
    }
    let ending = if raw.contains("\r\n") { "\r\n" } else { "\n" };
    let mut out = format!("|{chomp}{rest}");
    for line in content.split('\n') {
        out.push_str(ending);
        if !line.is_empty() {
            out.push_str(&indent);
            out.push_str(line);
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn plain_scalars_are_typed_as_kubernetes_does() {
        for (text, want) in [
            ("3", json!(3)),
            ("-1", json!(-1)),
            ("0.5", json!(0.5)),
            ("007", json!(7.0)),
            ("true", json!(true)),
            ("yes", json!("yes")),
            ("1.2.3", json!("1.2.3")),
            ("500m", json!("500m")),
            ("", Value::Null),
            ("inf", json!("inf")),
        ] {
            assert_eq!(typed(text, Style::Plain, false), want, "{text}");
            assert_eq!(typed(text, Style::Double, false), json!(text));
        }
    }

    #[test]
    fn the_style_of_the_old_value_is_kept() {
        for (raw, style, to, want) in [
            ("3", Style::Plain, json!(6), "6"),
            ("v1", Style::Plain, json!("v2"), "v2"),
            ("v1", Style::Plain, json!("1.20"), "\"1.20\""),
            ("v1", Style::Plain, json!("on"), "\"on\""),
            ("v1", Style::Plain, json!("2024-01-01"), "\"2024-01-01\""),
            ("v1", Style::Plain, json!("a b: c"), "\"a b: c\""),
            ("'v1'", Style::Single, json!("it's"), "'it''s'"),
            ("\"v1\"", Style::Double, json!("a\"b\n"), "\"a\\\"b\\n\""),
            ("r/web:1", Style::Plain, json!("r.io:5000/web:2"), "r.io:5000/web:2"),
            ("|\n    a\n    b", Style::Literal, json!("a\nc\n"), "|\n    a\n    c"),
            ("|-\n  a", Style::Literal, json!("a\n\nb\n"), "|\n  a\n\n  b"),
            ("| # c\r\n  a", Style::Literal, json!("b\nc"), "|- # c\r\n  b\r\n  c"),
        ] {
            assert_eq!(written(raw, style, &to).unwrap(), want, "{raw}");
        }
        for (raw, text) in [("|\n  a", "  a\n"), ("|+\n  a", "b\n"), ("|\n  a", "b\n\n"), ("|\n  a", "")] {
            assert!(written(raw, Style::Literal, &json!(text)).is_err(), "{raw}{text}");
        }
        assert!(written(">\n  a\n", Style::Folded, &json!("b")).is_err());
        assert!(written("3", Style::Plain, &json!({})).is_err());
    }

    #[test]
    fn amounts_are_worth_what_they_are() {
        assert!(makes(&json!(0.5), &json!("500m"), true));
        assert!(makes(&json!("1024Mi"), &json!("1Gi"), true));
        assert!(!makes(&json!("1024Mi"), &json!("1Gi"), false));
        assert!(!makes(&json!("1G"), &json!("1Gi"), true));
    }
}

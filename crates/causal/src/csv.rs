//! A small reader for comma-separated text with quoted fields (RFC 4180), over one buffer, without copies where no quote is escaped.

use std::borrow::Cow;

/// Reads records from a buffer.
pub(crate) struct Records<'a> {
    rest: &'a str,
}

impl<'a> Records<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { rest: text.strip_prefix('\u{feff}').unwrap_or(text) }
    }

    /// Fills `fields` with the next record; `false` at the end.
    pub(crate) fn next_into(&mut self, fields: &mut Vec<Cow<'a, str>>) -> bool {
        fields.clear();
        if self.rest.is_empty() {
            return false;
        }
        loop {
            let (field, rest, end) = take_field(self.rest);
            fields.push(field);
            self.rest = rest;
            if end {
                return true;
            }
        }
    }
}

/// One field, the text after it, and whether the record ended with it.
fn take_field(text: &str) -> (Cow<'_, str>, &str, bool) {
    let bytes = text.as_bytes();
    if bytes.first() == Some(&b'"') {
        let mut at = 1;
        let mut escaped = false;
        while at < bytes.len() {
            if bytes[at] == b'"' {
                if bytes.get(at + 1) == Some(&b'"') {
                    escaped = true;
                    at += 2;
                    continue;
                }
                break;
            }
            at += 1;
        }
        let inner = &text[1..at.min(text.len())];
        let field = if escaped { Cow::Owned(inner.replace("\"\"", "\"")) } else { Cow::Borrowed(inner) };
        let after = &text[(at + 1).min(text.len())..];
        let (rest, end) = after_field(after);
        return (field, rest, end);
    }
    let at = bytes.iter().position(|b| matches!(b, b',' | b'\n' | b'\r')).unwrap_or(bytes.len());
    let (rest, end) = after_field(&text[at..]);
    (Cow::Borrowed(&text[..at]), rest, end)
}

/// Steps over the separator or the line end.
fn after_field(text: &str) -> (&str, bool) {
    if let Some(rest) = text.strip_prefix(',') {
        (rest, false)
    } else if let Some(rest) = text.strip_prefix("\r\n") {
        (rest, true)
    } else if let Some(rest) = text.strip_prefix('\n').or_else(|| text.strip_prefix('\r')) {
        (rest, true)
    } else {
        // Text after a closing quote: dropped up to the separator.
        let at = text.find([',', '\n']).unwrap_or(text.len());
        if at == text.len() {
            ("", true)
        } else {
            let comma = text.as_bytes()[at] == b',';
            (&text[at + 1..], !comma)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<Vec<String>> {
        let mut records = Records::new(text);
        let (mut fields, mut out) = (Vec::new(), Vec::new());
        while records.next_into(&mut fields) {
            out.push(fields.iter().map(|f| f.to_string()).collect());
        }
        out
    }

    #[test]
    fn reads_quotes_empties_and_line_ends() {
        assert_eq!(all("a,b\r\n1,\n"), vec![vec!["a", "b"], vec!["1", ""]]);
        assert_eq!(all("\"x,\"\"y\"\"\n\",2"), vec![vec!["x,\"y\"\n", "2"]]);
        assert_eq!(all("\"open"), vec![vec!["open"]]);
        assert!(all("").is_empty());
    }

    proptest::proptest! {
        #[test]
        fn quoted_fields_come_back(rows in proptest::collection::vec(proptest::collection::vec(".{0,12}", 1..4), 0..6)) {
            let quote = |field: &String| format!("\"{}\"", field.replace('"', "\"\""));
            let text: String =
                rows.iter().map(|r| r.iter().map(quote).collect::<Vec<_>>().join(",") + "\n").collect();
            proptest::prop_assert_eq!(all(&text), rows);
        }
    }
}

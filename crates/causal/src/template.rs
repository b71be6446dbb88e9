//! The skeleton of a log message: the place in the source that wrote it where the text names one, else the text without its values.

use crate::case::{LogLine, Severity};

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub id: u64,
    /// Whether the line speaks of a failure, by severity or by words.
    pub bad: bool,
}

/// The key of a line.
pub(crate) fn key(line: &LogLine) -> Key {
    let bad = is_bad(line);
    if let Some(id) = line.template {
        return Key { id, bad };
    }
    let text = line.message.as_ref();
    if let Some(place) = source_location(text) {
        return Key { id: xxhash_rust::xxh3::xxh3_64(place.as_bytes()), bad };
    }
    Key { id: xxhash_rust::xxh3::xxh3_64(skeleton(text).as_bytes()), bad }
}

fn is_bad(line: &LogLine) -> bool {
    match line.severity {
        Severity::Error => true,
        Severity::Debug | Severity::Info => false,
        Severity::Warn => mentions_failure(&line.message),
        Severity::Unknown => match level_word(&line.message) {
            Severity::Error => true,
            Severity::Debug | Severity::Info => false,
            _ => mentions_failure(&line.message),
        },
    }
}

/// The level word near the begin of a message.
pub(crate) fn level_word(text: &str) -> Severity {
    for word in text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).take(12) {
        match word {
            "ERROR" | "FATAL" | "SEVERE" | "CRITICAL" | "error" | "fatal" | "panic" => {
                return Severity::Error;
            }
            "WARN" | "WARNING" | "warn" | "warning" => return Severity::Warn,
            "INFO" | "info" | "NOTICE" => return Severity::Info,
            "DEBUG" | "TRACE" | "debug" | "trace" => return Severity::Debug,
            _ => {}
        }
    }
    Severity::Unknown
}

/// Whether a text speaks of a failure.
pub(crate) fn mentions_failure(text: &str) -> bool {
    const WORDS: [&str; 8] =
        ["error", "exception", "fail", "panic", "timeout", "timed out", "refused", "unavailable"];
    let lower = text.to_ascii_lowercase();
    WORDS.iter().any(|w| lower.contains(w))
}

/// Whether the name of an operation speaks of a failure: such an operation is bad when it appears, never when it stops.
pub(crate) fn operation_of_failure(operation: &str) -> bool {
    let lower = operation.to_ascii_lowercase();
    lower.contains("error") || lower.contains("exception") || lower.contains("fallback")
}

/// `Logger#123` or `File.ext:123`: the place that wrote the line, as found first in the text.
pub(crate) fn source_location(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    for (at, b) in bytes.iter().enumerate() {
        let hash = *b == b'#';
        if !(hash || *b == b':') || at == 0 {
            continue;
        }
        let digits = bytes[at + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0
            || digits > 6
            || bytes.get(at + 1 + digits).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b':')
        {
            continue;
        }
        let word =
            |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'[' | b']' | b'/' | b'$' | b'-');
        let begin = at - bytes[..at].iter().rev().take_while(|b| word(b)).count();
        let name = &bytes[begin..at];
        let named = name.iter().any(u8::is_ascii_alphabetic);
        let extension = name.iter().rposition(|b| *b == b'.').map(|dot| &name[dot + 1..]);
        let file = extension.is_some_and(|e| {
            matches!(
                e,
                b"java"
                    | b"kt"
                    | b"py"
                    | b"go"
                    | b"rs"
                    | b"js"
                    | b"ts"
                    | b"cs"
                    | b"rb"
                    | b"php"
                    | b"scala"
                    | b"cpp"
                    | b"cc"
                    | b"c"
            )
        });
        if named && (hash || file) {
            return text.get(begin..at + 1 + digits);
        }
    }
    None
}

/// The text with digits, quoted values and long hexadecimal words replaced, cut at a few hundred bytes.
pub(crate) fn skeleton(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(256));
    for word in text.split_ascii_whitespace().take(40) {
        if !out.is_empty() {
            out.push(' ');
        }
        if word.bytes().any(|b| b.is_ascii_digit()) {
            let keep = word.find(['=', ':']).map_or("", |at| &word[..=at]);
            out.push_str(if keep.bytes().any(|b| b.is_ascii_digit()) { "" } else { keep });
            out.push('*');
        } else {
            out.push_str(word);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_place_in_the_source() {
        assert_eq!(
            source_location("21:51:57.024 INFO  t.s.TravelImpl#372 x 12:30:10"),
            Some("t.s.TravelImpl#372")
        );
        assert_eq!(source_location("at app/tax.py:41 in f"), Some("app/tax.py:41"));
        assert_eq!(source_location("10.0.0.1:8080 refused at 12:30:10"), None);
        assert_eq!(source_location("C.[.[dispatcher]#175 threw"), Some("C.[.[dispatcher]#175"));
    }

    #[test]
    fn skeletons_drop_values() {
        assert_eq!(skeleton("order 17 took=12ms ok"), "order * took=* ok");
        assert_eq!(skeleton("order 18 took=9ms ok"), "order * took=* ok");
    }

    #[test]
    fn levels() {
        assert_eq!(level_word("12:00 ERROR x"), Severity::Error);
        assert_eq!(level_word("hello"), Severity::Unknown);
        assert!(operation_of_failure("BasicErrorController.error"));
    }
}

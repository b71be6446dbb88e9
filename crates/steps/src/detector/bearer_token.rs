//! Credentials of HTTP authentication.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::text::{before, run_end, run_start, skip_blanks, skip_quote};
use super::{Detector, MaskBuiltin, Trigger};

pub(super) const DETECTOR: Detector = Detector {
    builtin: MaskBuiltin::BearerToken,
    trigger: Trigger::Literals(&["bearer", "basic", "authorization"]),
    find,
};

/// Characters of `token68` (RFC 9110, section 11.2).
fn token68(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b)
}

fn find(text: &str, at: Range<usize>) -> Option<Range<usize>> {
    if before(text, at.start).is_some_and(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let word = &text[at.clone()];
    if word.eq_ignore_ascii_case("authorization") {
        return after_header_name(text, at.end);
    }
    let start = value_start(text, at.end)?;
    let end = run_end(text, start, token68);
    let value = &text[start..end];
    let masked = if is_header_value(text, at.start) {
        !value.is_empty()
    } else if word.eq_ignore_ascii_case("basic") {
        is_basic_credentials(value)
    } else {
        looks_random(value)
    };
    masked.then_some(start..end)
}

/// Where a value begins after a scheme: blanks, or a separator, must stand in between.
fn value_start(text: &str, from: usize) -> Option<usize> {
    let (_, from) = skip_quote(text, from);
    let after = run_end(text, from, |b| matches!(b, b' ' | b'\t' | b':' | b'='));
    let (_, start) = skip_quote(text, after);
    (after > from).then_some(start)
}

/// `Authorization: <value>` without a scheme that wakes this detector by itself.
fn after_header_name(text: &str, from: usize) -> Option<Range<usize>> {
    let (_, at) = skip_quote(text, from);
    let at = skip_blanks(text, at);
    let separator = run_end(text, at, |b| matches!(b, b':' | b'=' | b'>'));
    if separator == at {
        return None;
    }
    let (_, mut start) = skip_quote(text, skip_blanks(text, separator));
    for scheme in ["token ", "apikey ", "digest ", "negotiate ", "ntlm "] {
        if text.get(start..start + scheme.len()).is_some_and(|s| s.eq_ignore_ascii_case(scheme)) {
            start = skip_blanks(text, start + scheme.len());
        }
    }
    let end = run_end(text, start, token68);
    looks_random(&text[start..end]).then_some(start..end)
}

/// Whether the scheme follows `:` or `=`, as in a header.
fn is_header_value(text: &str, at: usize) -> bool {
    let at = run_start(text, at, |b| matches!(b, b' ' | b'"' | b'\'' | b'\\' | b'['));
    matches!(before(text, at), Some(b':' | b'='))
}

/// Words of prose have no digits and are short.
fn looks_random(value: &str) -> bool {
    (value.len() >= 8 && value.bytes().any(|b| b.is_ascii_digit())) || value.len() >= 24
}

/// Whether it is base64 of `user:password` (RFC 7617).
fn is_basic_credentials(value: &str) -> bool {
    value.len() >= 4
        && STANDARD_NO_PAD.decode(value.trim_end_matches('=')).is_ok_and(|decoded| decoded.contains(&b':'))
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::DETECTOR;

    #[test]
    fn finds_credentials_and_leaves_prose() {
        for (text, want) in [
            ("Authorization: Bearer abcdef", Some("abcdef")),
            ("authorization=\"bearer mF_9.B5f-4.1JqM\"", Some("mF_9.B5f-4.1JqM")),
            ("used Bearer 0123456789abcdef now", Some("0123456789abcdef")),
            ("{\"Authorization\":\"Basic dXNlcjpwYXNz\"}", Some("dXNlcjpwYXNz")),
            ("Basic dXNlcjpwYXNz", Some("dXNlcjpwYXNz")),
            ("Authorization: token 9f8e7d6c5b4a", Some("9f8e7d6c5b4a")),
            ("authorization=[\"Bearer xyz\"]", Some("xyz")),
            ("Bearer token is missing", None),
            ("a basic understanding", None),
            ("Bearer authentication required", None),
            ("Authorization: failed for user bob", None),
            ("forbearer 0123456789abcdef", None),
        ] {
            assert_eq!(found(&DETECTOR, text).first().map(String::as_str), want, "{text}");
        }
    }
}

//! Values of keys that name a secret: `password=…`, `"api_key": "…"`, `--token …`, `scheme://user:…@host`.

use std::ops::Range;

use super::text::{before, byte, run_end, run_start, skip_blanks, skip_quote};
use super::{Detector, MaskBuiltin, Trigger};

pub(super) const DETECTOR: Detector = Detector {
    builtin: MaskBuiltin::Password,
    trigger: Trigger::Literals(&[
        "passw",
        "passphrase",
        "pwd",
        "secret",
        "token",
        "api_key",
        "api-key",
        "apikey",
        "credential",
        "://",
    ]),
    find,
};

/// Endings of keys, without separators and in lower case, whose value is a secret whatever it looks like.
const STRONG: [&str; 9] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "apikey",
    "secretkey",
    "secretaccesskey",
    "clientsecret",
    "passwort",
];
/// Endings of keys whose value is a secret if it does not look like prose.
const WEAK: [&str; 4] = ["secret", "token", "credential", "credentials"];
/// Tokens that page through results and identify no one.
const HARMLESS: [&str; 5] = ["nexttoken", "pagetoken", "continuetoken", "continuationtoken", "synctoken"];
/// What stands after a secret's key without being one.
const NO_SECRET: [&str; 12] =
    ["", "null", "none", "nil", "true", "false", "yes", "no", "undefined", "redacted", "masked", "hidden"];
/// Words with which a sentence goes on after `password: `.
const PROSE: [&str; 30] = [
    "expected",
    "invalid",
    "incorrect",
    "wrong",
    "missing",
    "required",
    "empty",
    "failed",
    "failure",
    "must",
    "not",
    "the",
    "is",
    "a",
    "an",
    "too",
    "has",
    "was",
    "cannot",
    "can't",
    "unable",
    "bad",
    "user",
    "access",
    "does",
    "should",
    "please",
    "error",
    "mismatch",
    "expired",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Strength {
    Strong,
    Weak,
}

/// Whether a key ends so when only its letters and digits count, in lower case.
pub(super) fn flat_ends_with(key: &str, end: &str) -> bool {
    let mut flat = key.bytes().rev().filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_lowercase());
    end.bytes().rev().all(|b| flat.next() == Some(b))
}

fn strength(key: &str) -> Option<Strength> {
    if HARMLESS.iter().any(|end| flat_ends_with(key, end)) {
        None
    } else if STRONG.iter().any(|end| flat_ends_with(key, end)) {
        Some(Strength::Strong)
    } else {
        WEAK.iter().any(|end| flat_ends_with(key, end)).then_some(Strength::Weak)
    }
}

/// Whether the value of an attribute of this name is a secret.
pub(crate) fn is_secret_key(key: &str, value: &str) -> bool {
    let header = ["authorization", "cookie", "xapikey"].iter().any(|end| flat_ends_with(key, end));
    match strength(key) {
        Some(Strength::Strong) => is_secret(value) && !is_directory(key, value),
        Some(Strength::Weak) => looks_random(value),
        None => header && is_secret(value),
    }
}

fn find(text: &str, at: Range<usize>) -> Option<Range<usize>> {
    if &text[at.clone()] == "://" {
        return password_of_url(text, at.end);
    }
    let (key, value) = value_of_key(text, at)?;
    let shown = &text[value.clone()];
    let masked = match strength(&text[key.clone()])? {
        Strength::Strong => {
            let quoted = matches!(before(text, value.start), Some(b'"' | b'\'' | b'`'));
            let prose = !quoted && before(text, value.start) == Some(b' ') && is_prose(shown);
            is_secret(shown) && !prose && !is_directory(&text[key], shown)
        }
        Strength::Weak => looks_random(shown),
    };
    masked.then_some(value)
}

/// The key around a part of it, and the value that follows it after `=`, `:`, `=>`, or after blanks for `--key value`.
pub(super) fn value_of_key(text: &str, part: Range<usize>) -> Option<(Range<usize>, Range<usize>)> {
    let in_key = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let start = run_start(text, part.start, in_key);
    let end = run_end(text, part.end, in_key);
    let option = text[start..].starts_with("--");
    let (_, after_key) = skip_quote(text, end);
    let blanks = skip_blanks(text, after_key);
    let separator = run_end(text, blanks, |b| matches!(b, b'=' | b':' | b'>'));
    if separator == blanks && !(option && blanks > after_key) {
        return None;
    }
    let from = skip_blanks(text, separator);
    let (quote, value) = skip_quote(text, from);
    let value_end = match quote {
        Some(quote) => quoted_end(text, value, quote),
        None => plain_end(text, value),
    };
    (value_end > value).then_some((start..end, value..value_end))
}

/// The end of a value in quotation marks; of an unclosed one, the end of the word.
fn quoted_end(text: &str, from: usize, quote: u8) -> usize {
    // A quotation mark that was escaped when it opened is escaped when it closes.
    let opened = run_start(text, from - 1, |b| b == b'\\');
    let depth = from - 1 - opened;
    let mut at = from;
    while let Some(b) = byte(text, at) {
        if b == quote {
            let slashes = at - run_start(text, at, |b| b == b'\\');
            if slashes <= depth {
                return at - slashes.min(depth);
            }
        }
        at += 1;
    }
    plain_end(text, from)
}

/// The end of a value without quotation marks: a blank, or a delimiter after which the word does not go on.
fn plain_end(text: &str, from: usize) -> usize {
    let mut at = from;
    while let Some(b) = byte(text, at) {
        let stops = match b {
            b if b.is_ascii_whitespace() => true,
            b'"' | b'&' | b'<' => true,
            b',' | b';' => {
                let name = run_end(text, at + 1, |b| {
                    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b' ')
                });
                byte(text, at + 1).is_none_or(|b| b.is_ascii_whitespace() || matches!(b, b'"' | b'\''))
                    || (name > at + 1 && matches!(byte(text, name), Some(b'=' | b':')))
            }
            b')' | b']' | b'}' | b'\'' | b'>' => {
                byte(text, at + 1).is_none_or(|b| !b.is_ascii_alphanumeric())
            }
            _ => false,
        };
        if stops {
            break;
        }
        at += 1;
    }
    at
}

/// `user:password@host` after `://`.
fn password_of_url(text: &str, from: usize) -> Option<Range<usize>> {
    let authority_end = run_end(text, from, |b| {
        !b.is_ascii_whitespace() && !matches!(b, b'/' | b'?' | b'#' | b'"' | b'\'' | b'<' | b'>')
    });
    let authority = &text[from..authority_end];
    let host = authority.rfind('@')?;
    let colon = authority[..host].find(':')?;
    let password = from + colon + 1..from + host;
    is_secret(&text[password.clone()]).then_some(password)
}

fn is_secret(value: &str) -> bool {
    let lower = value.trim_matches(['[', ']', '<', '>', '(', ')']).to_ascii_lowercase();
    let placeholder = ["${", "$(", "{{", "{}", "%s", "%v", "%("].iter().any(|p| value.starts_with(p));
    let blanked = value.bytes().all(|b| matches!(b, b'*' | b'x' | b'X' | b'.' | b'-'));
    !placeholder && !blanked && !NO_SECRET.contains(&lower.as_str())
}

/// `PWD=/home/x` is the working directory.
fn is_directory(key: &str, value: &str) -> bool {
    flat_ends_with(key, "pwd") && value.starts_with('/')
}

fn is_prose(value: &str) -> bool {
    let word = value.trim_end_matches(['.', ',', ';', '!', '?', ':', ')']).to_ascii_lowercase();
    PROSE.contains(&word.as_str()) || NO_SECRET.contains(&word.as_str())
}

/// Words of prose have no digits and are short; a secret has no blanks.
fn looks_random(value: &str) -> bool {
    let random = (value.len() >= 8 && value.bytes().any(|b| b.is_ascii_digit())) || value.len() >= 24;
    random && is_secret(value) && !value.bytes().any(|b| b.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::{DETECTOR, is_secret_key};

    #[test]
    fn finds_values_of_keys() {
        for (text, want) in [
            ("login password=hunter2 ok", "hunter2"),
            ("password: hunter2", "hunter2"),
            ("{\"password\":\"cor rect\",\"a\":1}", "cor rect"),
            ("{\\\"db_password\\\":\\\"x\\\\\\\"y\\\",\\\"a\\\":1}", "x\\\\\\\"y"),
            ("DB_PASSWORD='p w'", "p w"),
            ("Server=x;Password=ab;cd;Database=y", "ab;cd"),
            ("Config(password=abc, user=bob)", "abc"),
            ("{password=a,b}", "a,b"),
            ("/login?token=0123456789ab&x=1", "0123456789ab"),
            ("run --password hunter2 --verbose", "hunter2"),
            ("x-api-key: 0f0f0f", "0f0f0f"),
            ("client_secret=s3cr3t", "s3cr3t"),
            ("postgres://app:s3cret@db:5432/x", "s3cret"),
            ("пароль password=тайна конец", "тайна"),
        ] {
            assert_eq!(found(&DETECTOR, text).first().map(String::as_str), Some(want), "{text}");
        }
    }

    #[test]
    fn leaves_prose_and_placeholders() {
        for text in [
            "Access denied for user 'root'@'localhost' (using password: YES)",
            "Failed password for invalid user admin from 10.0.0.1 port 22 ssh2",
            "invalid password: expected at least 8 characters",
            "password=*** token=null",
            "password=${DB_PASSWORD}",
            "unexpected token: identifier",
            "nextToken=AAAA1234567890",
            "input_tokens=12345678",
            "PWD=/home/app",
            "http://host:8080/a@b",
            "secret: default",
            "tokens: 5, password reset",
        ] {
            assert!(found(&DETECTOR, text).is_empty(), "{text}: {:?}", found(&DETECTOR, text));
        }
    }

    #[test]
    fn attribute_names() {
        for (key, value, want) in [
            ("db.password", "x1", true),
            ("http.request.header.authorization", "Negotiate abc", true),
            ("session_token", "0123456789", true),
            ("gen_ai.usage.input_tokens", "12345678", false),
            ("token", "identifier", false),
            ("password.policy", "strict", false),
        ] {
            assert_eq!(is_secret_key(key, value), want, "{key}");
        }
    }
}

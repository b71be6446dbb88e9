//! JSON Web Tokens.

use std::ops::Range;

use super::text::{before, run_end};
use super::{Detector, MaskBuiltin, Trigger};

/// `eyJ` is the base64url of `{"`, with which the header of every token begins.
pub(super) const DETECTOR: Detector =
    Detector { builtin: MaskBuiltin::Jwt, trigger: Trigger::Literals(&["eyj"]), find };

/// Shortest header: `{"alg":"none"}` has 19 characters, a compressed header a little less.
const SHORTEST_HEADER: usize = 12;

fn find(text: &str, at: Range<usize>) -> Option<Range<usize>> {
    let base64url = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if &text[at.clone()] != "eyJ" || before(text, at.start).is_some_and(base64url) {
        return None;
    }
    let end = run_end(text, at.start, |b| base64url(b) || b == b'.');
    let token = text[at.start..end].trim_end_matches('.');
    let parts: Vec<&str> = token.split('.').collect();
    let fits = (2..=5).contains(&parts.len()) && parts.first().is_some_and(|p| p.len() >= SHORTEST_HEADER);
    fits.then(|| at.start..at.start + token.len())
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::DETECTOR;

    #[test]
    fn finds_tokens() {
        let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P";
        for (text, want) in [
            (format!("jwt={token};"), Some(token)),
            (format!("\"{token}\"."), Some(token)),
            ("eyJhbGciOiJIUzI1NiJ9 alone".to_owned(), None),
            ("HeyJude.foo.bar".to_owned(), None),
            ("eyj.a.b".to_owned(), None),
        ] {
            assert_eq!(found(&DETECTOR, &text).first().map(String::as_str), want, "{text}");
        }
    }
}

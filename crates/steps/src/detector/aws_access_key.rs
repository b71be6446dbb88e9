//! Credentials of AWS: access key ids, and secret access keys by the name of their key.

use std::ops::Range;

use super::password::{flat_ends_with, value_of_key};
use super::text::{before, byte, run_end};
use super::{Detector, MaskBuiltin, Trigger};

pub(super) const DETECTOR: Detector = Detector {
    builtin: MaskBuiltin::AwsAccessKey,
    trigger: Trigger::Literals(&["akia", "asia", "abia", "acca", "secret"]),
    find,
};

/// Length of an access key id with its prefix.
const ID_LENGTH: usize = 20;

fn find(text: &str, at: Range<usize>) -> Option<Range<usize>> {
    if text[at.clone()].eq_ignore_ascii_case("secret") {
        let (key, value) = value_of_key(text, at)?;
        let key = &text[key];
        let named = flat_ends_with(key, "secretaccesskey") || flat_ends_with(key, "awssecretkey");
        return (named && !value.is_empty()).then_some(value);
    }
    let end = run_end(text, at.start, |b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let whole = end - at.start == ID_LENGTH
        && before(text, at.start).is_none_or(|b| !b.is_ascii_alphanumeric())
        && byte(text, end).is_none_or(|b| !b.is_ascii_alphanumeric());
    whole.then_some(at.start..end)
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::DETECTOR;

    #[test]
    fn finds_key_ids_and_secrets() {
        for (text, want) in [
            ("key AKIAIOSFODNN7EXAMPLE used", Some("AKIAIOSFODNN7EXAMPLE")),
            ("id=ASIAIOSFODNN7EXAMPLE;", Some("ASIAIOSFODNN7EXAMPLE")),
            (
                "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                Some("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            ),
            ("{\"SecretAccessKey\": \"abc/def\"}", Some("abc/def")),
            ("akiaiosfodnn7example", None),
            ("region ASIA-PACIFIC", None),
            ("XAKIAIOSFODNN7EXAMPLE", None),
            ("AKIAIOSFODNN7EXAMPLE9", None),
        ] {
            assert_eq!(found(&DETECTOR, text).first().map(String::as_str), want, "{text}");
        }
    }
}

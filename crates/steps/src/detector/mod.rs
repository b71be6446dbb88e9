//! Built-in detectors of secrets and personal data: each says where in a text something has to be masked.
//!
//! A detector is either woken by literals (one automaton finds those of all detectors in one pass) or by digits.

mod aws_access_key;
mod bearer_token;
mod card_number;
mod email;
mod iban;
mod jwt;
mod password;
mod private_key;
mod text;

use std::ops::Range;

pub(crate) use password::is_secret_key;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
pub(crate) use text::digit_runs;

/// A built-in detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum MaskBuiltin {
    /// Payment card numbers: issuer prefix, length, grouping and check digit (ISO/IEC 7812-1) must fit.
    CardNumber,
    /// E-mail addresses.
    Email,
    /// Tokens after `Bearer`, credentials after `Basic`, and values of `Authorization`.
    BearerToken,
    /// AWS access key ids and secret access keys.
    AwsAccessKey,
    /// JSON Web Tokens (RFC 7519).
    #[serde(rename = "JWT")]
    Jwt,
    /// PEM blocks of private keys.
    PrivateKey,
    /// International bank account numbers (ISO 13616): country, length and check digits must fit.
    #[serde(rename = "IBAN")]
    Iban,
    /// Values of keys such as `password=`, `"api_key":`, `--token`, and passwords in URLs.
    Password,
}

/// How a detector is woken.
pub(crate) enum Trigger {
    /// At each of these texts, whatever their case. `find` gets the range of the literal.
    Literals(&'static [&'static str]),
    /// At the first digit of each run of digits. `find` gets the range of the run.
    Digits,
}

/// A detector.
pub(crate) struct Detector {
    pub(crate) builtin: MaskBuiltin,
    pub(crate) trigger: Trigger,
    /// The range to mask, given the text and the range that woke the detector. Both ends are character boundaries.
    pub(crate) find: fn(&str, Range<usize>) -> Option<Range<usize>>,
}

/// All built-in detectors: a new one is its file and one line here.
pub(crate) const DETECTORS: [Detector; 8] = [
    card_number::DETECTOR,
    email::DETECTOR,
    bearer_token::DETECTOR,
    aws_access_key::DETECTOR,
    jwt::DETECTOR,
    private_key::DETECTOR,
    iban::DETECTOR,
    password::DETECTOR,
];

#[cfg(test)]
pub(crate) fn found(detector: &Detector, text: &str) -> Vec<String> {
    let lower = text.to_ascii_lowercase();
    let mut starts: Vec<Range<usize>> = match detector.trigger {
        Trigger::Literals(literals) => {
            literals.iter().flat_map(|l| lower.match_indices(l).map(|(at, l)| at..at + l.len())).collect()
        }
        Trigger::Digits => text::digit_runs(text).collect(),
    };
    starts.sort_by_key(|r| r.start);
    starts
        .into_iter()
        .filter_map(|at| (detector.find)(text, at))
        .map(|range| text[range].to_owned())
        .collect()
}

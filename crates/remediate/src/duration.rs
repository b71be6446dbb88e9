//! Durations as people write them in specs.

use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A length of time as text: whole numbers with the units `ms`, `s`, `m`, `h`, `d` (24 h) and `w` (7 d), such as `90s`,
/// `1h30m` or `28d`. At most 24 characters and 3,650 days.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DurationText {
    text: String,
    length: Duration,
}

impl Default for DurationText {
    /// No time at all.
    fn default() -> Self {
        Self::from_secs(0)
    }
}

/// The text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration such as \"90s\", \"1h30m\" or \"28d\"")]
pub struct NotADuration(String);

const LONGEST: Duration = Duration::from_secs(3650 * 86_400);

impl DurationText {
    /// Parses a duration.
    ///
    /// # Errors
    /// Empty text, an unknown unit, a number without a unit, or more than 24 characters or 3,650 days.
    pub fn parse(text: &str) -> Result<Self, NotADuration> {
        let refuse = || NotADuration(text.chars().take(40).collect());
        if text.is_empty() || text.len() > 24 || !text.is_ascii() {
            return Err(refuse());
        }
        let mut millis: u64 = 0;
        let mut rest = text;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, tail) = rest.split_at(digits);
            let letters = tail.bytes().take_while(u8::is_ascii_lowercase).count();
            let (unit, tail) = tail.split_at(letters);
            let unit: u64 = match unit {
                "ms" => 1,
                "s" => 1000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                "w" => 604_800_000,
                _ => return Err(refuse()),
            };
            let number: u64 = number.parse().map_err(|_| refuse())?;
            millis = number.checked_mul(unit).and_then(|n| millis.checked_add(n)).ok_or_else(refuse)?;
            rest = tail;
        }
        let length = Duration::from_millis(millis);
        if length > LONGEST { Err(refuse()) } else { Ok(Self { text: text.to_owned(), length }) }
    }

    /// A length in whole seconds, written in the largest unit up to hours that fits; longer than 3,650 days is cut.
    pub fn from_secs(seconds: u64) -> Self {
        let seconds = seconds.min(LONGEST.as_secs());
        let text = match seconds {
            0 => "0s".to_owned(),
            n if n % 3600 == 0 => format!("{}h", n / 3600),
            n if n % 60 == 0 => format!("{}m", n / 60),
            n => format!("{n}s"),
        };
        Self { text, length: Duration::from_secs(seconds) }
    }

    /// The length.
    pub fn get(&self) -> Duration {
        self.length
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl std::fmt::Display for DurationText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for DurationText {
    type Error = NotADuration;
    fn try_from(text: String) -> Result<Self, NotADuration> {
        Self::parse(&text)
    }
}

impl From<DurationText> for String {
    fn from(duration: DurationText) -> Self {
        duration.text
    }
}

impl JsonSchema for DurationText {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DurationText".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d|w))+$", "maxLength": 24})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_units_and_refuses_the_rest() {
        for (text, seconds) in [
            ("90s", 90.0),
            ("1h30m", 5400.0),
            ("28d", 2_419_200.0),
            ("1w", 604_800.0),
            ("250ms", 0.25),
            ("0s", 0.0),
        ] {
            assert!(
                (DurationText::parse(text).unwrap().get().as_secs_f64() - seconds).abs() < 1e-9,
                "{text}"
            );
        }
        for seconds in [0, 30, 90, 3600, 5400, u64::MAX] {
            let made = DurationText::from_secs(seconds);
            assert_eq!(DurationText::parse(made.as_str()).unwrap(), made);
        }
        for bad in ["", "5", "m", "-5m", "1.5h", "5 m", "1y", "4000d", "99999999999999999999s", "ⅴm"] {
            assert!(DurationText::parse(bad).is_err(), "{bad}");
        }
    }
}

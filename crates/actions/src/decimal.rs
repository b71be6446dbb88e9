//! A decimal number that travels as text, because floats drift in GitOps tools and in digests.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A decimal number written as a string: `"1.5"`, `"-3"`, `"0.80"`. At most 32 characters, no exponent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Decimal(String);

/// The text is not a plain decimal number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a decimal number such as \"1.5\"")]
pub struct NotADecimal(String);

impl Decimal {
    /// Parses plain decimal text.
    ///
    /// # Errors
    /// Empty text, more than 32 characters, an exponent, or anything but digits, one point and a leading minus.
    pub fn parse(text: &str) -> Result<Self, NotADecimal> {
        let refuse = || NotADecimal(text.chars().take(40).collect());
        let digits = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if text.len() <= 32 && plain(whole) && plain(fraction) {
            Ok(Self(text.to_owned()))
        } else {
            Err(refuse())
        }
    }

    /// Writes a finite number with `places` digits behind the point; NaN and infinities become `"0"`.
    pub fn from_f64(value: f64, places: usize) -> Self {
        let value = if value.is_finite() { value.clamp(-1e15, 1e15) } else { 0.0 };
        Self(format!("{value:.places$}", places = places.min(9)))
    }

    /// The nearest 64-bit float.
    pub fn to_f64(&self) -> f64 {
        self.0.parse().unwrap_or(0.0)
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Decimal {
    type Error = NotADecimal;
    fn try_from(text: String) -> Result<Self, NotADecimal> {
        Self::parse(&text)
    }
}

impl From<Decimal> for String {
    fn from(decimal: Decimal) -> Self {
        decimal.0
    }
}

impl JsonSchema for Decimal {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Decimal".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$", "maxLength": 32})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_plain_decimals_only() {
        for good in ["0", "1.5", "-3", "0.80", "1500000"] {
            assert_eq!(Decimal::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "-", "1e3", "1.", ".5", "1,5", "NaN", "inf", "+1", "--1", "0x1", &"9".repeat(33)] {
            assert!(Decimal::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn floats_come_out_as_valid_text() {
        for value in [0.0, 0.914, -2.5, f64::NAN, f64::INFINITY, f64::MAX] {
            let text = Decimal::from_f64(value, 2);
            assert!(Decimal::parse(text.as_str()).is_ok(), "{text}");
        }
        assert_eq!(Decimal::from_f64(0.914, 2).as_str(), "0.91");
    }
}

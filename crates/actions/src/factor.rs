//! A number in an action: written out, or taken from a parameter of the Runbook.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::decimal::Decimal;
use crate::plan::PlanError;

/// What a name of a parameter starts with where it stands for a value.
pub const PARAMETER: &str = "params.";

/// A decimal string such as `"1.5"`, or `params.NAME` for the value of that parameter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Factor {
    /// A number.
    Number(Decimal),
    /// Name of a parameter.
    Parameter(String),
}

/// The text is neither a number nor a parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a decimal number such as \"1.5\" nor a parameter such as \"params.factor\"")]
pub struct NotAFactor(String);

impl Factor {
    /// Parses a number or the name of a parameter.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, NotAFactor> {
        let refuse = || NotAFactor(text.chars().take(40).collect());
        match text.strip_prefix(PARAMETER) {
            Some(name) if is_name(name) => Ok(Self::Parameter(name.to_owned())),
            Some(_) => Err(refuse()),
            None => Decimal::parse(text).map(Self::Number).map_err(|_| refuse()),
        }
    }

    /// The number.
    ///
    /// # Errors
    /// [`PlanError::NoParameter`] for a parameter that was not replaced by its value.
    pub fn value(&self) -> Result<f64, PlanError> {
        match self {
            Self::Number(number) => Ok(number.to_f64()),
            Self::Parameter(name) => Err(PlanError::NoParameter(name.clone())),
        }
    }
}

/// Whether a parameter may be called so: a letter, then letters and digits, at most 31.
pub fn is_name(name: &str) -> bool {
    name.len() <= 31
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric())
}

impl From<Decimal> for Factor {
    fn from(number: Decimal) -> Self {
        Self::Number(number)
    }
}

impl TryFrom<String> for Factor {
    type Error = NotAFactor;
    fn try_from(text: String) -> Result<Self, NotAFactor> {
        Self::parse(&text)
    }
}

impl From<Factor> for String {
    fn from(factor: Factor) -> Self {
        match factor {
            Factor::Number(number) => number.into(),
            Factor::Parameter(name) => format!("{PARAMETER}{name}"),
        }
    }
}

impl JsonSchema for Factor {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Factor".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "maxLength": 38,
            "pattern": r"^(-?[0-9]+(\.[0-9]+)?|params\.[a-zA-Z][a-zA-Z0-9]*)$"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{ActionSpec, Scale};
    use std::collections::BTreeMap;

    #[test]
    fn is_a_number_or_a_parameter() {
        assert_eq!(Factor::parse("1.5").unwrap().value(), Ok(1.5));
        let named = Factor::parse("params.factor").unwrap();
        assert_eq!(named.value().unwrap_err().category(), "BadParameters");
        assert_eq!(String::from(named), "params.factor");
        for bad in ["", "params.", "params.a.b", "params.1x", "factor", "1e3", "params.a b"] {
            assert!(Factor::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn parameters_are_replaced_by_their_values() {
        let scale = |factor: &str| {
            let factor = Some(Factor::parse(factor).unwrap());
            ActionSpec::Scale(Scale { replicas: None, factor, min: 1, max: 9 })
        };
        let values = BTreeMap::from([("grow".to_owned(), Decimal::parse("2").unwrap())]);
        assert_eq!(scale("params.grow").with_parameters(&values), Ok(scale("2")));
        assert_eq!(scale("1.5").with_parameters(&values), Ok(scale("1.5")));
        assert!(
            matches!(scale("params.other").with_parameters(&values), Err(PlanError::NoParameter(name)) if name == "other")
        );
    }
}

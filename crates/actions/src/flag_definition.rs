//! Reads and edits a flag definition as flagd has it: JSON text with `flags`, by name.
//!
//! An edit replaces the bytes of one value and nothing else: white space, order, and how numbers are written stay.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::plan::PlanError;

/// The part of a flag that is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FlagProperty {
    /// `defaultVariant`: one of the flag's variants.
    DefaultVariant,
    /// `state`: `ENABLED` or `DISABLED`.
    State,
}

impl FlagProperty {
    /// The key within the flag.
    pub fn key(self) -> &'static str {
        match self {
            Self::DefaultVariant => "defaultVariant",
            Self::State => "state",
        }
    }
}

/// Why a definition can't be read or edited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    /// Not a flag definition.
    #[error("it is no flag definition of flagd: {0}")]
    Malformed(String),
    /// It has no flag of this name.
    #[error("it has no flag {0}")]
    NoFlag(String),
    /// The flag has no variant of this name.
    #[error("its flag {flag} has no variant {variant}")]
    NoVariant {
        /// The flag.
        flag: String,
        /// The variant.
        variant: String,
    },
}

impl From<FlagError> for PlanError {
    fn from(error: FlagError) -> Self {
        match error {
            FlagError::Malformed(_) => Self::Malformed { what: "flag definition" },
            FlagError::NoFlag(_) => Self::Missing { what: "flag" },
            FlagError::NoVariant { .. } => Self::Missing { what: "variant" },
        }
    }
}

#[derive(Deserialize)]
struct Definition<'a> {
    #[serde(borrow, default)]
    flags: BTreeMap<String, &'a RawValue>,
}

fn malformed(error: serde_json::Error) -> FlagError {
    FlagError::Malformed(error.to_string())
}

/// The text of a flag within that of its definition.
fn raw<'a>(text: &'a str, flag: &str) -> Result<&'a str, FlagError> {
    let definition: Definition<'a> = serde_json::from_str(text).map_err(malformed)?;
    let found = definition.flags.get(flag).map(|raw| raw.get());
    found.ok_or_else(|| FlagError::NoFlag(flag.to_owned()))
}

/// The flag of this name.
///
/// # Errors
/// No definition, or none with this flag.
pub fn flag(text: &str, flag: &str) -> Result<Value, FlagError> {
    serde_json::from_str(raw(text, flag)?).map_err(malformed)
}

/// The definition with another value of one property of a flag.
///
/// # Errors
/// No definition, or none with this flag or variant.
pub fn set(text: &str, flag: &str, property: FlagProperty, value: &str) -> Result<String, FlagError> {
    let whole = raw(text, flag)?;
    let parts: BTreeMap<String, &RawValue> = serde_json::from_str(whole).map_err(malformed)?;
    if property == FlagProperty::DefaultVariant {
        let variants = parts.get("variants").map(|raw| serde_json::from_str::<Value>(raw.get()));
        let variants = variants.transpose().map_err(malformed)?;
        if variants.is_none_or(|variants| variants.get(value).is_none()) {
            return Err(FlagError::NoVariant { flag: flag.to_owned(), variant: value.to_owned() });
        }
    }
    let written = Value::from(value).to_string();
    let at = |part: &str| part.as_ptr().addr() - text.as_ptr().addr();
    let (start, end, written) = match parts.get(property.key()) {
        Some(old) => (at(old.get()), at(old.get()) + old.get().len(), written),
        None => {
            let first = at(whole) + 1;
            let comma = if parts.is_empty() { "" } else { ", " };
            (first, first, format!("\"{}\": {written}{comma}", property.key()))
        }
    };
    match (text.get(..start), text.get(end..)) {
        (Some(before), Some(after)) => Ok(format!("{before}{written}{after}")),
        _ => Err(FlagError::Malformed("its flags lie outside of it".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "{ \"$schema\": \"x\",\n \"flags\": {\"a/b\":{\"state\":\"ENABLED\",\t\"variants\":{\"on\":1.10,\"off\":12345678901234567890123},\n\"defaultVariant\" :  \"on\"}, \"é\\n\":{\"variants\":{\"on\":true}} }}\n";

    #[test]
    fn an_edit_keeps_every_other_byte() {
        let edit = |flag, property, value| set(TEXT, flag, property, value).unwrap();
        let (variant, state) = (FlagProperty::DefaultVariant, FlagProperty::State);
        assert_eq!(edit("a/b", variant, "off"), TEXT.replace(":  \"on\"", ":  \"off\""));
        assert_eq!(edit("a/b", state, "DISABLED"), TEXT.replace("ENABLED", "DISABLED"));
        assert_eq!(
            edit("é\n", variant, "on"),
            TEXT.replace("\\n\":{", "\\n\":{\"defaultVariant\": \"on\", ")
        );
        assert_eq!(flag(TEXT, "a/b").unwrap()["defaultVariant"], "on");
    }

    #[test]
    fn what_is_missing_is_named() {
        let error =
            |text, name, value| set(text, name, FlagProperty::DefaultVariant, value).unwrap_err().to_string();
        assert_eq!(error(TEXT, "c", "on"), "it has no flag c");
        assert_eq!(error(TEXT, "a/b", "blue"), "its flag a/b has no variant blue");
        assert_eq!(error("{}", "a", "on"), "it has no flag a");
        assert!(error("no", "a", "on").starts_with("it is no flag definition of flagd: expected"));
        assert!(error("{\"flags\": {\"a\": 3}}", "a", "on").starts_with("it is no flag definition"));
    }

    proptest! {
        /// Whatever a definition looks like, an edit changes the one value and can be taken back to the last byte.
        #[test]
        fn an_edit_can_be_taken_back(name in ".{0,8}", other in ".{0,8}", on in ".{1,6}", off in ".{1,6}", pretty: bool) {
            let mut flags = serde_json::json!({});
            flags[&other] = serde_json::json!({"state": "ENABLED", "variants": {}});
            flags[&name] = serde_json::json!({"variants": {}, "defaultVariant": on});
            flags[&name]["variants"][&on] = 1.into();
            flags[&name]["variants"][&off] = 2.into();
            let mut value = serde_json::json!({"flags": flags});
            let text = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
            let edited = set(&text, &name, FlagProperty::DefaultVariant, &off).unwrap();
            value["flags"][&name]["defaultVariant"] = off.as_str().into();
            prop_assert_eq!(serde_json::from_str::<Value>(&edited).unwrap(), value);
            prop_assert_eq!(set(&edited, &name, FlagProperty::DefaultVariant, &on).unwrap(), text);
        }

        /// Nothing that a server may answer makes it panic.
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,64}", name in ".{0,4}") {
            drop(set(&text, &name, FlagProperty::State, "DISABLED"));
            drop(flag(&text, &name));
        }
    }
}

//! Why a declared value is not edited.

/// Why a declared value is not edited. Places are `file:line`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No file declares the object, or none names the field.
    #[error("{what}")]
    NotDeclared {
        /// A sentence with what was looked for and where.
        what: String,
    },
    /// Several places could be meant.
    #[error("{what} is declared in several places: {}", places.join(", "))]
    Ambiguous {
        /// What was looked for.
        what: String,
        /// Where it was found.
        places: Vec<String>,
    },
    /// Git does not have the value that the live object had.
    #[error("{place} has {found}, the plan was made on {wanted}")]
    OtherValue {
        /// Where.
        place: String,
        /// What stands there, as JSON.
        found: String,
        /// What the plan expects, as JSON.
        wanted: String,
    },
    /// The same text makes other objects, too.
    #[error("{place} is used elsewhere, too ({by}): {advice}")]
    Shared {
        /// Where.
        place: String,
        /// By what.
        by: String,
        /// What to do.
        advice: &'static str,
    },
    /// The way from the file to the object can't be followed for sure.
    #[error("{place} {why}: change it by hand")]
    NotFollowed {
        /// Where.
        place: String,
        /// What is there.
        why: String,
    },
    /// A file is no YAML.
    #[error("{place} is no YAML: {why}")]
    Unreadable {
        /// Where.
        place: String,
        /// What the parser says.
        why: String,
    },
}

impl Refusal {
    /// A stable word for metrics, events and reasons.
    pub fn category(&self) -> &'static str {
        match self {
            Self::NotDeclared { .. } => "NotDeclared",
            Self::Ambiguous { .. } => "Ambiguous",
            Self::OtherValue { .. } => "OtherValue",
            Self::Shared { .. } => "Shared",
            Self::NotFollowed { .. } => "NotFollowed",
            Self::Unreadable { .. } => "Unreadable",
        }
    }
}

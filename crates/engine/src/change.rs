//! Changes to the observed system: candidates for a cause, never a cause without a symptom.

use causeway_causal::case::{self, ChangeKind, FieldDiff, Names};
use causeway_model::Micros;
use serde::{Deserialize, Serialize};

/// What was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChangeClass {
    /// New code.
    Release,
    /// Configuration.
    Config,
    /// Replicas, autoscaler bounds, limits.
    Scaling,
    /// Nodes, moved pods.
    Infrastructure,
    /// A repair of Causeway's own: no suspect for what it repairs.
    Repair,
    /// Anything else.
    Other,
}

/// One observed change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// `now` when it was observed.
    pub time_us: Micros,
    /// Service as in telemetry.
    pub entity: String,
    /// The object, such as `Deployment/shop/web`.
    pub object: String,
    /// Class.
    pub class: ChangeClass,
    /// One sentence.
    pub description: String,
    /// Changed fields: path, old value, new value.
    pub diff: Vec<(String, String, String)>,
    /// Who, empty when unknown.
    pub author: String,
    /// The declared event whose change freeze held then, as the engine finds out; empty when none did.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub frozen_by: String,
}

impl Change {
    pub(crate) fn for_case(&self, names: &mut Names) -> case::Change {
        case::Change {
            time_us: self.time_us,
            entity: names.intern(&self.entity),
            object: self.object.clone(),
            kind: match self.class {
                ChangeClass::Release => ChangeKind::Release,
                ChangeClass::Config => ChangeKind::Config,
                ChangeClass::Scaling => ChangeKind::Scaling,
                ChangeClass::Infrastructure => ChangeKind::Infrastructure,
                ChangeClass::Repair | ChangeClass::Other => ChangeKind::Other,
            },
            description: self.description.clone(),
            diff: self
                .diff
                .iter()
                .map(|(path, old, new)| FieldDiff { path: path.clone(), old: old.clone(), new: new.clone() })
                .collect(),
            author: self.author.clone(),
            frozen_by: self.frozen_by.clone(),
        }
    }
}

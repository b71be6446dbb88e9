//! That a source fell silent, or sends again.

use causeway_model::{Event, Micros, SourceRef};

/// The event for the tables.
pub(crate) fn source_event(source: &SourceRef, now_us: Micros, reason: &str, what: &str) -> Event {
    Event {
        time_us: now_us,
        namespace: source.namespace.clone(),
        kind: "Source".to_owned(),
        entity: format!("LogSource/{}/{}", source.namespace, source.name),
        reason: reason.to_owned(),
        message: format!("LogSource {} {what}", source.name),
        attributes: Vec::new(),
    }
}

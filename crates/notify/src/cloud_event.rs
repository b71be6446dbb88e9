//! An incident as a CloudEvents 1.0 event in structured JSON mode. Pure.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::notice::{IncidentNotice, IncidentState};
use crate::notifier::Message;

/// Content type of the event.
pub(crate) const CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// The event for a message. Its `id` is the id of the content: the same content sent again has the same `source` and
/// `id`, by which a receiver tells a repetition.
///
/// Types: `dev.causeway.incident.predicted`, `…opened` (Open), `…escalated` (Open, and nobody looks after it), `…updated` (Mitigating, Monitoring), `…resolved`,
/// `…prevented`, and `dev.causeway.digest`. `data` is the notice, or the digest.
#[must_use]
pub fn cloud_event(message: &Message<'_>, now: Timestamp) -> Value {
    match message {
        Message::Incident { notice, id } => json!({
            "specversion": "1.0",
            "id": id,
            "source": format!("/causeway/namespaces/{}", notice.namespace),
            "type": format!("dev.causeway.incident.{}", verb(notice)),
            "subject": format!("{}/{}", notice.namespace, notice.name),
            "time": now.to_string(),
            "datacontenttype": "application/json",
            "data": notice,
        }),
        Message::Digest { digest, id } => json!({
            "specversion": "1.0",
            "id": id,
            "source": "/causeway",
            "type": "dev.causeway.digest",
            "time": now.to_string(),
            "datacontenttype": "application/json",
            "data": digest,
        }),
    }
}

fn verb(notice: &IncidentNotice) -> &'static str {
    match notice.state {
        IncidentState::Predicted => "predicted",
        IncidentState::Open if notice.escalated.is_some() => "escalated",
        IncidentState::Open => "opened",
        IncidentState::Mitigating | IncidentState::Monitoring => "updated",
        IncidentState::Resolved => "resolved",
        IncidentState::Prevented => "prevented",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn has_the_required_attributes() {
        let notice = sample::mitigating();
        insta::assert_json_snapshot!(cloud_event(
            &Message::Incident { notice: &notice, id: "7f3a9c-01" },
            sample::at(80)
        ));
    }
}

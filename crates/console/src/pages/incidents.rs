//! The list of Incidents.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use causeway_crds::Incident;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::signed_in;
use crate::console::Console;
use crate::failure::Result;
use crate::objects::{list, text};
use crate::session::Session;

/// Incidents on one page.
const MAX_ROWS: usize = 200;

/// What is shown.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Filter {
    /// `active` (the default), `over` or `all`.
    #[serde(default)]
    state: String,
    #[serde(default)]
    severity: String,
    #[serde(default)]
    namespace: String,
    /// Part of a service's or a cause's name.
    #[serde(default)]
    search: String,
}

impl Filter {
    fn takes(&self, incident: &Value) -> bool {
        let by_state = match self.state.as_str() {
            "all" => true,
            "over" => is_over(incident),
            _ => !is_over(incident),
        };
        let search = self.search.to_lowercase();
        let holds = |pointer: &str| text(incident, pointer).to_lowercase().contains(&search);
        by_state
            && (self.severity.is_empty() || self.severity == text(incident, "/status/severity"))
            && (self.namespace.is_empty() || self.namespace == text(incident, "/metadata/namespace"))
            && (search.is_empty()
                || [
                    "/spec/openedFor/service",
                    "/status/cause/entity",
                    "/status/cause/kind",
                    "/metadata/name",
                    "/status/symptom/summary",
                ]
                .into_iter()
                .any(holds))
    }
}

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Query(filter): Query<Filter>,
) -> Result<Response> {
    let mut all = list::<Incident>(&console, &session, None).await?;
    sort(&mut all);
    let over = all.iter().filter(|incident| is_over(incident)).count();
    let counts = json!({"active": all.len() - over, "over": over, "all": all.len()});
    let mut namespaces: Vec<&str> =
        all.iter().map(|incident| text(incident, "/metadata/namespace")).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    let shown: Vec<&Value> = all.iter().filter(|incident| filter.takes(incident)).collect();
    let context = json!({
        "incidents": shown.iter().take(MAX_ROWS).collect::<Vec<_>>(), "found": shown.len(),
        "counts": counts, "namespaces": namespaces, "filter": filter,
    });
    signed_in(&console, &session, ("incidents", "incidents.html"), StatusCode::OK, context, Vec::new()).await
}

/// Whether nothing more is to come.
pub(super) fn is_over(incident: &Value) -> bool {
    matches!(text(incident, "/status/state"), "Resolved" | "Prevented")
}

/// What hurts first, the worst of it first, the newest of that first.
pub(super) fn sort(incidents: &mut [Value]) {
    let rank = |incident: &Value| match text(incident, "/status/severity") {
        "Critical" => 0,
        "Warning" => 1,
        _ => 2,
    };
    incidents.sort_by(|a, b| {
        let (over_a, over_b) = (is_over(a), is_over(b));
        let begun = |i: &Value| text(i, "/status/startedAt").to_owned();
        // Of those that are over, only the time counts.
        let worst = if over_a { std::cmp::Ordering::Equal } else { rank(a).cmp(&rank(b)) };
        over_a.cmp(&over_b).then(worst).then_with(|| begun(b).cmp(&begun(a)))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incident(state: &str, severity: &str, started: &str) -> Value {
        json!({"metadata": {"name": started, "namespace": "shop"}, "spec": {"openedFor": {"service": "shop/Web"}},
            "status": {"state": state, "severity": severity, "startedAt": started}})
    }

    #[test]
    fn what_hurts_most_comes_first() {
        let mut all = vec![
            incident("Resolved", "Critical", "2026-01-01T00:00:00Z"),
            incident("Open", "Warning", "2026-01-03T00:00:00Z"),
            incident("Resolved", "Warning", "2026-01-02T00:00:00Z"),
            incident("Mitigating", "Critical", "2026-01-01T00:00:00Z"),
        ];
        sort(&mut all);
        let order: Vec<String> = all
            .iter()
            .map(|i| format!("{} {}", text(i, "/status/state"), text(i, "/status/severity")))
            .collect();
        assert_eq!(order, ["Mitigating Critical", "Open Warning", "Resolved Warning", "Resolved Critical"]);
    }

    #[test]
    fn filters_narrow() {
        let open = incident("Open", "Warning", "2026-01-03T00:00:00Z");
        let takes = |filter: Filter| filter.takes(&open);
        assert!(takes(Filter::default()));
        assert!(takes(Filter { search: "web".into(), ..Filter::default() }));
        assert!(!takes(Filter { search: "cart".into(), ..Filter::default() }));
        assert!(!takes(Filter { state: "over".into(), ..Filter::default() }));
        assert!(!takes(Filter { severity: "Critical".into(), ..Filter::default() }));
        assert!(!takes(Filter { namespace: "bank".into(), ..Filter::default() }));
    }
}

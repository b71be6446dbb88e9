//! What the engine finds goes into the lake, and its incidents to the controllers.

use std::sync::{Arc, Weak};

use causeway_controllers::IncidentFeed;
use causeway_engine::{BundleFile, Incident};
use causeway_kubekit::{Activity, Busy};
use causeway_lake::Lake;
use causeway_model::{Event, Table, events_batch, findings_batch};
use tokio::sync::mpsc;

use super::engine_host::{EngineHost, Output};
use super::engine_state::EngineState;

/// Serves the engine's outputs until the engine is dropped.
pub(crate) async fn serve(
    lake: Lake,
    state: Arc<EngineState>,
    host: Weak<EngineHost>,
    feed: IncidentFeed,
    activity: Activity,
    mut outputs: mpsc::UnboundedReceiver<(Output, Busy)>,
) {
    while let Some((output, busy)) = outputs.recv().await {
        let Output { findings, events, incidents, all, declared, bundles, objects } = output;
        if declared && let Some(host) = host.upgrade() {
            kept(state.declared(&host.take_declared()).await, "declarations");
        }
        // Before the incident that names it is told.
        for BundleFile { fingerprint, bytes, .. } in bundles {
            if let Err(error) = lake.put_file(&bundle_path(&fingerprint), bytes).await {
                tracing::error!(%error, fingerprint, "an incident bundle was not kept");
            }
        }
        for (fingerprint, text) in objects {
            if let Err(error) = lake.put_file(&objects_path(&fingerprint), text.into_bytes()).await {
                tracing::error!(%error, fingerprint, "what a repair was planned on was not kept");
            }
        }
        if !incidents.is_empty() {
            kept(state.incidents(&all).await, "incidents");
        }
        let mut events = events;
        events.extend(incidents.iter().map(record));
        for incident in incidents {
            feed.publish(incident, activity.busy());
        }
        if !findings.is_empty() {
            store(&lake, Table::Findings, findings_batch(&findings).map(Arc::new)).await;
        }
        if !events.is_empty() {
            store(&lake, Table::Events, events_batch(&events).map(Arc::new)).await;
        }
        drop(busy);
    }
}

/// An incident as the lake keeps it, each time it has changed: its object in the API is deleted some time after its end.
fn record(incident: &Incident) -> Event {
    let latest = incident.symptoms.values().map(|f| f.at_us).max().unwrap_or(incident.detected_us);
    let time_us = latest.max(incident.symptom_since_us).max(incident.figured_us);
    let message = incident.draft.as_ref().filter(|draft| !draft.abstained).map_or_else(
        || format!("{} of {}", incident.signal, incident.service),
        |draft| {
            format!(
                "{} of {}: {} of {}",
                incident.signal,
                incident.service,
                draft.cause.kind.as_str(),
                draft.cause.entity
            )
        },
    );
    let content = serde_json::to_string(incident).unwrap_or_default();
    Event {
        time_us: incident.resolved_us.map_or(time_us, |resolved| resolved.max(time_us)),
        namespace: incident.namespace.clone(),
        kind: "Incident".to_owned(),
        entity: incident.service.clone(),
        reason: format!("{:?}", incident.phase),
        message,
        attributes: vec![
            ("fingerprint".to_owned(), incident.fingerprint.clone()),
            ("revision".to_owned(), incident.revision.to_string()),
            ("record".to_owned(), content),
        ],
    }
}

fn kept(result: anyhow::Result<()>, what: &str) {
    if let Err(error) = result {
        tracing::error!(error = format!("{error:#}"), what, "not kept for a restart");
    }
}

/// Where the bundle of an incident is kept in the lake.
pub(crate) fn bundle_path(fingerprint: &str) -> String {
    format!("bundles/{fingerprint}")
}

/// Where the objects are kept that a repair of an incident was planned on last.
pub(crate) fn objects_path(fingerprint: &str) -> String {
    format!("bundles/{fingerprint}.objects")
}

async fn store(
    lake: &Lake,
    table: Table,
    rows: Result<Arc<arrow::array::RecordBatch>, causeway_model::BatchError>,
) {
    let stored = match rows {
        Ok(rows) => lake.append(table, rows.as_ref().clone(), None).await.map_err(|e| e.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = stored {
        tracing::error!(table = table.name(), error, "rows were not stored");
    }
}

#[cfg(test)]
mod tests {
    use causeway_engine::{Engine, EngineConfig, State, StateKind};

    use super::*;

    #[test]
    fn the_record_of_an_incident_says_all_of_it() {
        let mut engine = Engine::new(EngineConfig::default());
        let state = State {
            namespace: "shop".into(),
            entity: "shop/tax".into(),
            kind: StateKind::CrashLoop,
            object: "Pod/shop/tax-1".into(),
            note: "container main ends again and again".into(),
            value: 4.0,
        };
        engine.set_states(vec![state], 1_000_000);
        engine.tick(60_000_000);
        let incident = engine.incidents()[0].clone();
        let event = record(&incident);
        assert_eq!(
            (event.kind.as_str(), event.reason.as_str(), event.namespace.as_str()),
            ("Incident", "Open", "shop")
        );
        let kept =
            event.attributes.iter().find(|(key, _)| key == "record").map(|(_, text)| text.clone()).unwrap();
        let again: Incident = serde_json::from_str(&kept).unwrap();
        assert_eq!(serde_json::to_value(&again).unwrap(), serde_json::to_value(&incident).unwrap());
        assert_eq!(events_batch(&[event]).unwrap().num_rows(), 1);
    }
}

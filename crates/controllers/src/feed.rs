//! How the engine's incidents become objects.

use std::time::Duration;

use causeway_crds::Incident;
use causeway_crds::incident::{IncidentSpec, OpenedFor};
use causeway_engine::{Incident as EngineIncident, underlying};
use causeway_kubekit::{Busy, Clock, ObjectKey, Triggers};
use kube::Client;
use kube::api::{Api, PostParams};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio_util::sync::CancellationToken;

use crate::error::{ControllerError, Doing};
use crate::incident::KEPT;
use crate::incident::symptom::leading;
use crate::mirrors::Mirrors;
use crate::text::{bounded, dns_label};

/// Delay before an object that could not be created is tried again.
const RETRY: Duration = Duration::from_secs(5);

struct News {
    incident: Box<EngineIncident>,
    busy: Option<Busy>,
}

/// Tells the controllers of new and changed incidents; clones share the way.
#[derive(Clone)]
pub struct IncidentFeed {
    sender: UnboundedSender<News>,
}

/// The other end of an [`IncidentFeed`]; give it to [`crate::run()`].
pub struct IncidentInbox {
    receiver: UnboundedReceiver<News>,
    sender: UnboundedSender<News>,
}

impl IncidentFeed {
    /// A feed and its other end.
    #[must_use]
    pub fn new() -> (Self, IncidentInbox) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { sender: sender.clone() }, IncidentInbox { receiver, sender })
    }

    /// Tells of an incident that is new or has changed: its object is created when it is absent, and reconciled.
    /// `busy` is held until that is queued. Telling the same twice, also after a restart, does no harm; after the
    /// controllers have ended, nothing happens.
    pub fn publish(&self, incident: EngineIncident, busy: Busy) {
        // A failed send means that nobody is there to reconcile any more.
        drop(self.sender.send(News { incident: Box::new(incident), busy: Some(busy) }));
    }
}

/// Serves the feed until `stop`.
pub(crate) async fn serve(
    mut inbox: IncidentInbox,
    keeper: Keeper,
    triggers: Triggers<Incident>,
    stop: CancellationToken,
) {
    tokio::select! {
        () = stop.cancelled() => return,
        () = keeper.mirrors.incidents.synced() => {}
    }
    loop {
        let news = tokio::select! {
            () = stop.cancelled() => return,
            Some(news) = inbox.receiver.recv() => news,
        };
        match keeper.ensure(&news.incident).await {
            Ok(Some(key)) => triggers.trigger(key),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(
                    fingerprint = news.incident.fingerprint,
                    error = causeway_kubekit::error_chain(&error),
                    "Incident was not created, trying again"
                );
                let sender = inbox.sender.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(RETRY).await;
                    drop(sender.send(News { incident: news.incident, busy: None }));
                });
            }
        }
        drop(news.busy);
    }
}

/// Makes the objects of incidents.
pub(crate) struct Keeper {
    pub(crate) client: Client,
    pub(crate) mirrors: Mirrors,
    pub(crate) clock: Clock,
}

impl Keeper {
    /// The key of the incident's object, which is created if it is absent. `None` when it has been over for so long that
    /// the object was deleted.
    async fn ensure(&self, incident: &EngineIncident) -> Result<Option<ObjectKey>, ControllerError> {
        let known = self
            .mirrors
            .incidents
            .list_in(&incident.namespace)
            .into_iter()
            .find(|object| object.spec.fingerprint == incident.fingerprint);
        if let Some(known) = known {
            return Ok(Some(ObjectKey::of(known.as_ref())));
        }
        let over_for = incident.resolved_us.map(|at| self.clock.now().as_microsecond() - at);
        if over_for.is_some_and(|us| us >= KEPT.as_micros() as i64) {
            return Ok(None);
        }
        let name = name_of(incident);
        let signal = leading(incident).map_or_else(
            || incident.predicted.as_ref().map(|predicted| bounded(&predicted.series.signal, 253)),
            |finding| Some(bounded(underlying(&finding.series), 253)),
        );
        let spec = IncidentSpec {
            fingerprint: incident.fingerprint.clone(),
            opened_for: OpenedFor { service: bounded(&incident.service, 253), signal },
            acknowledge: None,
            silence_until: None,
            merge_into: None,
        };
        let mut object = Incident::new(&name, spec);
        object.metadata.namespace = Some(incident.namespace.clone());
        let api: Api<Incident> = Api::namespaced(self.client.clone(), &incident.namespace);
        let key = ObjectKey::namespaced(&incident.namespace, &name);
        match api.create(&PostParams::default(), &object).await {
            Ok(created) => {
                tracing::info!(incident = %key, service = created.spec.opened_for.service, "Incident opened");
                self.mirrors.incidents.absorb(created);
            }
            // The mirror had not seen it yet.
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => return Err(error).doing(|| format!("creating Incident {key}")),
        }
        Ok(Some(key))
    }
}

/// Short name of the service and the begin of the fingerprint.
fn name_of(incident: &EngineIncident) -> String {
    let service = incident.service.rsplit('/').next().unwrap_or_default();
    let short: String = incident.fingerprint.chars().take(6).collect();
    format!("{}-{}", dns_label(service, 50), dns_label(&short, 6))
}

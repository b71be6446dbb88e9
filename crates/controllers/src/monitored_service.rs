//! MonitoredService: tells the engine what is declared, and shows how the service fares.

use std::sync::Arc;
use std::time::Duration;

use causeway_crds::incident::IncidentState;
use causeway_crds::monitored_service::{Health, MonitoredServiceStatus, TopologySummary};
use causeway_crds::occurrence::time_zone;
use causeway_crds::slo::SLOState;
use causeway_crds::{ConditionType, MonitoredService, Reason, SLO, SymptomState};
use causeway_engine::{Neighbours, ServiceConfig};
use causeway_kubekit::{Clock, ObjectKey, Progress, Report, Requeue, Statement, Truth};
use jiff::Timestamp;
use kube::ResourceExt;
use parking_lot::Mutex;

use crate::mirrors::Mirrors;
use crate::observing::Observer;
use crate::peak::offsets;
use crate::ports::Engine;
use crate::services::{entities, is_entity, telemetry_name};

/// Neighbours are looked at this often; what has not changed is not written.
const LOOK: Duration = Duration::from_secs(300);

pub(crate) struct MonitoredServices {
    mirrors: Mirrors,
    engine: Arc<dyn Engine>,
    clock: Clock,
    /// What the engine was told last.
    told: Mutex<Option<Vec<ServiceConfig>>>,
}

impl MonitoredServices {
    pub(crate) fn new(mirrors: Mirrors, engine: Arc<dyn Engine>, clock: Clock) -> Self {
        Self { mirrors, engine, clock, told: Mutex::default() }
    }

    /// Tells the engine of all services, if that is news.
    fn tell(&self) {
        let now = self.clock.now();
        let services = self.mirrors.services.list();
        let services: Vec<ServiceConfig> = services.iter().map(|s| config(s, now)).collect();
        let mut told = self.told.lock();
        if told.as_ref() != Some(&services) {
            self.engine.set_services(services.clone());
            *told = Some(services);
        }
    }
}

fn config(service: &MonitoredService, now: Timestamp) -> ServiceConfig {
    let business = service.spec.business.as_ref();
    ServiceConfig {
        namespace: service.namespace().unwrap_or_default(),
        name: service.name_any(),
        telemetry_name: telemetry_name(service),
        entry_point: service.spec.entry_point.unwrap_or(true),
        revenue_per_hour: business.map(|b| (b.revenue_per_hour.as_str().to_owned(), b.currency.clone())),
        offsets: service.spec.time_zone.as_ref().and_then(|name| Some(offsets(&time_zone(name).ok()?, now))),
    }
}

impl Observer for MonitoredServices {
    type Kind = MonitoredService;
    const NAME: &'static str = "monitored-service";

    fn report(&self, object: &MonitoredService, now: Timestamp) -> Report<MonitoredServiceStatus> {
        self.tell();
        if let Some(name) = object.spec.time_zone.as_ref().filter(|name| time_zone(name).is_err()) {
            let message = format!(
                "spec.timeZone: {name:?} is not the IANA name of a time zone, such as \"Europe/Amsterdam\""
            );
            let progress = Progress::stalled(Reason::InvalidSpec.as_str(), message);
            return Report::new(MonitoredServiceStatus::default(), progress);
        }
        let namespace = object.namespace().unwrap_or_default();
        let incidents = self.mirrors.incidents.list_in(&namespace);
        let open: Vec<_> = incidents
            .iter()
            .filter(|incident| is_entity(object, &incident.spec.opened_for.service, &namespace))
            .filter_map(|incident| incident.status.as_ref())
            .filter(|status| !matches!(status.state, IncidentState::Resolved | IncidentState::Prevented))
            .collect();
        let health = if open.iter().any(|status| status.symptom.state == SymptomState::Firing) {
            Health::Degraded
        } else if !open.is_empty() && open.iter().all(|status| status.symptom.state == SymptomState::NoData)
            || self.engine.watermark().is_none()
        {
            Health::Unknown
        } else {
            Health::Healthy
        };
        let neighbours = self.engine.neighbours(&entities(object));
        let status = MonitoredServiceStatus {
            health,
            open_incidents: i32::try_from(open.len()).unwrap_or(i32::MAX),
            topology: neighbours.map(summary),
            ..MonitoredServiceStatus::default()
        };
        let message = format!("Known to the engine as {}", telemetry_name(object));
        let report = Report::new(status, Progress::ready(Reason::Reconciled.as_str(), message))
            .condition(self.workloads(object, &namespace))
            .condition(topology_known(object, neighbours))
            .requeue(now.checked_add(LOOK).map_or(Requeue::OnChange, Requeue::At));
        match self.objectives(object, &namespace) {
            Some(objectives) => report.condition(objectives),
            None => report,
        }
    }

    fn forget(&self, _object: &MonitoredService) {
        self.tell();
    }
}

fn summary(neighbours: Neighbours) -> TopologySummary {
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    TopologySummary {
        upstreams: count(neighbours.callers),
        downstreams: count(neighbours.callees),
        inferred_edges: count(neighbours.inferred),
    }
}

fn topology_known(object: &MonitoredService, neighbours: Option<Neighbours>) -> Statement {
    let name = ConditionType::TopologyKnown.as_str();
    match neighbours {
        Some(_) => Statement::new(
            name,
            true,
            Reason::Observed.as_str(),
            "Telemetry shows who calls it and whom it calls",
        ),
        None => Statement::new(
            name,
            Truth::Unknown,
            Reason::NotSeenYet.as_str(),
            format!("No trace shows {} yet", telemetry_name(object)),
        ),
    }
}

impl MonitoredServices {
    /// Whether the SLOs of the service are met; `None` without one.
    fn objectives(&self, object: &MonitoredService, namespace: &str) -> Option<Statement> {
        let service = object.name_any();
        let mut slos = self.mirrors.slos.list_in(namespace);
        slos.retain(|slo| slo.spec.service_ref.name == service && !slo.spec.suspend);
        let in_state = |wanted: &[SLOState]| -> Vec<String> {
            let state = |slo: &SLO| slo.status.as_ref().map(|status| status.state).unwrap_or_default();
            slos.iter().filter(|slo| wanted.contains(&state(slo))).map(|slo| slo.name_any()).collect()
        };
        let missed = in_state(&[SLOState::Burning, SLOState::BurningFast, SLOState::Exhausted]);
        let (truth, reason, message) = if slos.is_empty() {
            return None;
        } else if !missed.is_empty() {
            (Truth::False, Reason::BudgetBurning, format!("{} not met", missed.join(", ")))
        } else if in_state(&[SLOState::Learning]).len() == slos.len() {
            (Truth::Unknown, Reason::Learning, "No SLO has enough history yet".to_owned())
        } else {
            (Truth::True, Reason::ObjectivesMet, "No SLO burns".to_owned())
        };
        Some(Statement::new(ConditionType::ObjectivesMet.as_str(), truth, reason.as_str(), message))
    }

    fn workloads(&self, object: &MonitoredService, namespace: &str) -> Statement {
        let name = ConditionType::WorkloadsFound.as_str();
        if object.spec.workloads.is_empty() {
            let found = crate::services::target_of(&self.mirrors, &telemetry_name(object), namespace);
            return match found {
                Some(target) => {
                    Statement::new(name, true, Reason::Observed.as_str(), format!("{target}, by its name"))
                }
                None => Statement::new(
                    name,
                    false,
                    Reason::WorkloadMissing.as_str(),
                    format!(
                        "No Deployment is named like {}: name one in spec.workloads, or nothing can be repaired",
                        telemetry_name(object)
                    ),
                ),
            };
        }
        let missing: Vec<String> = object
            .spec
            .workloads
            .iter()
            .filter(|workload| workload.kind == "Deployment")
            .map(|workload| (workload.namespace.as_deref().unwrap_or(namespace), workload.name.as_str()))
            .filter(|(own, name)| self.mirrors.deployments.get(&ObjectKey::namespaced(*own, *name)).is_none())
            .map(|(own, name)| format!("Deployment {own}/{name}"))
            .collect();
        if missing.is_empty() {
            let message = format!("{} listed", object.spec.workloads.len());
            return Statement::new(name, true, Reason::Observed.as_str(), message);
        }
        let message = format!("{} does not exist: create it, or correct spec.workloads", missing.join(", "));
        Statement::new(name, false, Reason::WorkloadMissing.as_str(), message)
    }
}

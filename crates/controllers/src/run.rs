//! Assembles mirrors and controllers, and runs them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use causeway_crds::{Incident, PeakEvent, Remediation, SLO};
use causeway_kubekit::{Busy, Controller, ControllerConfig, Mirror, Reconciler, Runtime, TrackWritesLayer};
use kube::Client;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::{Layer, service_fn};

use crate::approval::Approvals;
use crate::audit::Witness;
use crate::baseline::Baselines;
use crate::change::Watcher;
use crate::cluster::Surveyor;
use crate::cluster_guardrail::ClusterGuardrails;
use crate::context::{Context, Notifications, OperatorParts};
use crate::declarations::Declarations;
use crate::feed::{self, IncidentInbox};
use crate::incident::Incidents;
use crate::log_source::LogSources;
use crate::mirrors::{Mirrors, WORKLOADS};
use crate::monitored_service::MonitoredServices;
use crate::notification_target::{Couriers, NotificationTargets};
use crate::observing::{Observer, Observing};
use crate::pause::Pauses;
use crate::peak_event::PeakEvents;
use crate::ports::Ports;
use crate::remediation::{FirstSeen, Fixers, Remediations};
use crate::remediation_policy::Policies;
use crate::runbook::Runbooks;
use crate::slo::Slos;
use crate::triggers::{
    everywhere, in_namespace_of, incident_of, key_beside, open_incidents, others_waiting, unfinished,
    unfinished_of,
};

/// Longest time that couriers may take to end.
const COURIERS_END: Duration = Duration::from_secs(5);

/// Runs the operator's controllers until `shutdown`, and returns when they have ended.
///
/// From the call on the process counts as busy until everything was looked at once, so that
/// [`causeway_kubekit::Activity::settled`] tells when the start is over.
pub fn run(
    context: Context,
    parts: OperatorParts,
    shutdown: CancellationToken,
) -> impl Future<Output = ()> + Send {
    // Taken now and not at the first poll, so that nobody finds the process settled before it has begun.
    let starting = context.activity.busy();
    operate(context, parts, shutdown, starting)
}

/// Runs the executor alone until `shutdown`, and returns when it has ended. It watches Remediations and what decides
/// about them, nothing else.
pub async fn run_executor(context: Context, shutdown: CancellationToken) {
    let runtime = runtime(&context);
    let mirrors = Mirrors::for_executor(&runtime.client, &context.activity);
    let mut tasks = JoinSet::new();
    let house = House { runtime: &runtime, mirrors: &mirrors, stop: &shutdown };
    house.remediations(&context, &mut tasks);
    mirrors.spawn_for_executor(&mut tasks, &shutdown);
    ended(&mut tasks, &shutdown).await;
}

async fn operate(context: Context, parts: OperatorParts, shutdown: CancellationToken, starting: Busy) {
    let OperatorParts { ports, inbox, notifications, executes } = parts;
    let runtime = runtime(&context);
    let mirrors = Mirrors::new(&runtime.client, &context.activity);
    let mut tasks = JoinSet::new();
    let house = House { runtime: &runtime, mirrors: &mirrors, stop: &shutdown };
    house.observers(&ports, &mut tasks);
    let couriers = house.notifications(&context, notifications, &mut tasks);
    house.incidents(&ports, inbox, &mut tasks);
    if executes {
        house.remediations(&context, &mut tasks);
    }
    // The watches begin last, so that no listener misses the first list.
    mirrors.spawn(&mut tasks, &shutdown);
    drop(starting);
    ended(&mut tasks, &shutdown).await;
    if tokio::time::timeout(COURIERS_END, couriers.ended()).await.is_err() {
        tracing::warn!("couriers were cut off");
    }
}

fn runtime(context: &Context) -> Runtime {
    Runtime {
        client: tracked(context),
        activity: context.activity.clone(),
        clock: context.clock.clone(),
        metrics: context.metrics.clone(),
        instance: context.instance.clone(),
    }
}

async fn ended(tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended
            && error.is_panic()
        {
            tracing::error!(%error, "a controller ended by a defect: all are stopped");
            shutdown.cancel();
        }
    }
}

/// The client, with every write noted.
fn tracked(context: &Context) -> Client {
    let namespace = context.client.default_namespace().to_owned();
    let client = context.client.clone();
    let send = service_fn(move |request| {
        let client = client.clone();
        async move { client.send(request).await }
    });
    Client::new(TrackWritesLayer::new(context.activity.clone()).layer(send), namespace)
}

struct House<'a> {
    runtime: &'a Runtime,
    mirrors: &'a Mirrors,
    stop: &'a CancellationToken,
}

impl House<'_> {
    fn controller<R: Reconciler>(&self, reconciler: R, mirror: &Mirror<R::Kind>) -> Controller<R> {
        Controller::new(reconciler, mirror.clone(), self.runtime, ControllerConfig::default())
    }

    fn observer<O: Observer>(&self, observer: O, mirror: &Mirror<O::Kind>) -> Controller<Observing<O>> {
        self.controller(Observing(observer), mirror)
    }

    fn spawn<R: Reconciler>(&self, controller: Controller<R>, tasks: &mut JoinSet<()>) {
        tasks.spawn(controller.run(self.stop.clone()));
    }

    /// Kinds whose controllers only look.
    fn observers(&self, ports: &Ports, tasks: &mut JoinSet<()>) {
        let m = self.mirrors;
        self.spawn(self.observer(ClusterGuardrails, &m.guardrails), tasks);
        self.decisions(tasks);
        self.declared(ports, tasks);
        let runbooks = self.observer(Runbooks::new(m.clone(), ports.bundles.clone()), &m.runbooks);
        let named = |run: &Remediation| key_beside(run, &run.spec.runbook_ref.name);
        self.spawn(runbooks.watch(&m.remediations, named), tasks);
        let policies = self
            .observer(Policies(m.clone()), &m.policies)
            .watch(&m.remediations, |run: &Remediation| key_beside(run, &run.spec.policy_ref.name))
            .watch(&m.runbooks, in_namespace_of(&m.policies))
            .watch(&m.guardrails, everywhere(&m.policies))
            .watch(&m.pauses, everywhere(&m.policies));
        self.spawn(policies, tasks);
        let sources = LogSources::new(m.clone(), ports.gateway.clone());
        let sources = self.observer(sources, &m.log_sources);
        m.secrets.wake(sources.triggers());
        self.spawn(sources, tasks);
        let services = MonitoredServices::new(m.clone(), ports.engine.clone(), self.runtime.clock.clone());
        let services = self
            .observer(services, &m.services)
            .watch(&m.incidents, in_namespace_of(&m.services))
            .watch(&m.slos, |slo: &SLO| key_beside(slo, &slo.spec.service_ref.name))
            .watch(&m.deployments, in_namespace_of(&m.services));
        self.spawn(services, tasks);
    }

    /// What people say about repairs.
    fn decisions(&self, tasks: &mut JoinSet<()>) {
        let m = self.mirrors;
        let pauses = self.observer(Pauses(m.clone()), &m.pauses);
        self.spawn(pauses.watch(&m.remediations, everywhere(&m.pauses)), tasks);
        let approvals = self
            .observer(Approvals(m.clone()), &m.approvals)
            .watch(&m.remediations, in_namespace_of(&m.approvals))
            .watch(&m.policies, in_namespace_of(&m.approvals));
        self.spawn(approvals, tasks);
    }

    /// What people declare about series of services.
    fn declared(&self, ports: &Ports, tasks: &mut JoinSet<()>) {
        let m = self.mirrors;
        let (engine, services) = (&ports.engine, m.services.clone());
        let declarations = Arc::new(Declarations::new(m.clone(), engine.clone(), self.runtime.clock.clone()));
        tasks.spawn(Arc::clone(&declarations).at_start(self.runtime.activity.busy(), self.stop.clone()));
        let baselines =
            Baselines { mirrors: m.clone(), engine: engine.clone(), declarations: declarations.clone() };
        let baselines = self.observer(baselines, &m.baselines).needs(&m.slos);
        self.spawn(baselines.watch(&services, in_namespace_of(&m.baselines)), tasks);
        let slos = Slos { mirrors: m.clone(), engine: engine.clone(), declarations: declarations.clone() };
        let slos = self.observer(slos, &m.slos).needs(&m.baselines);
        self.spawn(slos.watch(&services, in_namespace_of(&m.slos)), tasks);
        let peaks = PeakEvents { mirrors: m.clone(), engine: engine.clone(), declarations };
        let peaks = self.observer(peaks, &m.peaks).watch(&services, everywhere(&m.peaks));
        self.spawn(peaks, tasks);
    }

    fn notifications(
        &self,
        context: &Context,
        notifications: Notifications,
        tasks: &mut JoinSet<()>,
    ) -> Couriers {
        let m = self.mirrors;
        let couriers =
            Couriers::new(m.clone(), &context.activity, &context.clock, notifications, self.stop.clone());
        let reconciler = NotificationTargets { mirrors: m.clone(), couriers: couriers.clone() };
        let announcer = couriers.clone();
        let targets = self
            .observer(reconciler, &m.targets)
            .watch(&m.incidents, move |incident: &Incident| {
                announcer.announce(incident);
                Vec::new()
            })
            .needs(&m.remediations);
        couriers.report_to(targets.triggers());
        m.secrets.wake(targets.triggers());
        self.spawn(targets, tasks);
        couriers
    }

    fn incidents(&self, ports: &Ports, inbox: IncidentInbox, tasks: &mut JoinSet<()>) {
        let m = self.mirrors;
        let runtime = self.runtime;
        let (watcher, lookout) = Watcher::new(
            runtime.client.clone(),
            m.clone(),
            ports.engine.clone(),
            &runtime.activity,
            &runtime.clock,
        );
        tasks.spawn(watcher.run(self.stop.clone()));
        let reconciler =
            Incidents { client: runtime.client.clone(), mirrors: m.clone(), ports: ports.clone() };
        for kind in WORKLOADS {
            let lookout = lookout.clone();
            m.secrets.listen(kind, move |holder| lookout.secrets(holder));
        }
        let (see_deployment, see_stateful, see_daemon) = (lookout.clone(), lookout.clone(), lookout.clone());
        let (see_config, see_scaler, see_node) = (lookout.clone(), lookout.clone(), lookout);
        let (surveyor, bell) = Surveyor::new(m.clone(), ports.engine.clone(), &runtime.activity);
        tasks.spawn(surveyor.run(self.stop.clone()));
        let ring = move || bell.ring();
        let witness = Witness::new(ports.audit.clone());
        let controller = self
            .controller(reconciler, &m.incidents)
            .watch(&m.remediations, move |object| {
                witness.see(object);
                incident_of(object)
            })
            .watch(&m.services, {
                let (open, ring) = (open_incidents(&m.incidents), ring.clone());
                move |object| {
                    ring();
                    open(object)
                }
            })
            .watch(&m.policies, open_incidents(&m.incidents))
            .watch(&m.peaks, open_incidents(&m.incidents))
            .watch(&m.runbooks, open_incidents(&m.incidents))
            .watch(&m.deployments, {
                let ring = ring.clone();
                move |object| {
                    ring();
                    see_deployment.workload(object.into());
                    Vec::new()
                }
            })
            .watch(&m.stateful_sets, move |object| {
                see_stateful.workload(object.into());
                Vec::new()
            })
            .watch(&m.daemon_sets, move |object| {
                see_daemon.workload(object.into());
                Vec::new()
            })
            .watch(&m.config_maps, move |object| {
                see_config.config_map(object);
                Vec::new()
            })
            .watch(&m.horizontal_scalers, move |object| {
                see_scaler.scaler(object);
                Vec::new()
            })
            .watch(&m.nodes, {
                let ring = ring.clone();
                move |object| {
                    see_node.node(object);
                    ring();
                    Vec::new()
                }
            })
            .watch(&m.log_sources, {
                let ring = ring.clone();
                move |_| {
                    ring();
                    Vec::new()
                }
            })
            .watch(&m.pods, move |_| {
                ring();
                Vec::new()
            });
        let triggers = controller.triggers();
        self.spawn(controller, tasks);
        let keeper =
            feed::Keeper { client: runtime.client.clone(), mirrors: m.clone(), clock: runtime.clock.clone() };
        tasks.spawn(feed::serve(inbox, keeper, triggers, self.stop.clone()));
    }

    fn remediations(&self, context: &Context, tasks: &mut JoinSet<()>) {
        let m = self.mirrors;
        let first_seen = FirstSeen::default();
        // What is signed, and tokens, go to the address that a Secret names and nowhere else.
        let http = match reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build() {
            Ok(http) => http,
            Err(error) => {
                tracing::error!(%error, "TLS for calls of Remediations can't be set up: all controllers are stopped");
                self.stop.cancel();
                return;
            }
        };
        let reconciler = Remediations {
            client: self.runtime.client.clone(),
            fixers: Fixers::new(self.runtime.client.clone()),
            admission: context.admission.clone(),
            first_seen: first_seen.clone(),
            fresh: Mutex::new(HashMap::new()),
            http,
            git: context.git.clone(),
        };
        // One at a time, so that the guards of one see the claim of the other.
        let config = ControllerConfig { concurrency: 1, ..ControllerConfig::default() };
        let (approvals, clock) = (m.approvals.clone(), context.clock.clone());
        let controller = Controller::new(reconciler, m.remediations.clone(), self.runtime, config)
            .watch(&m.approvals, move |approval| {
                first_seen.watched(approval, approvals.is_synced(), clock.now());
                key_beside(approval, &approval.spec.remediation_ref.name)
            })
            .watch(&m.incidents, unfinished_of(&m.remediations))
            .watch(&m.pauses, unfinished(&m.remediations))
            .watch(&m.peaks, unfinished::<PeakEvent>(&m.remediations))
            .watch(&m.guardrails, unfinished(&m.remediations))
            .watch(&m.policies, unfinished(&m.remediations))
            .watch(&m.remediations, others_waiting(&m.remediations));
        self.spawn(controller, tasks);
    }
}

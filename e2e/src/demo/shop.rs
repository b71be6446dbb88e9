//! One run of the shop: it runs well, a cause is set, and Causeway is on its own; a copy of the shop goes on without it.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::cluster;
use super::installation::Installation;
use super::remote::{EngineState, Remote};
use super::run::is_over;
use super::screen::Screen;
use super::slack::SlackStandIn;
use super::start::{places, start_causeway};
use super::summary::{Cost, Summary};
use super::{DemoArguments, manifests, report};
use crate::api::client;
use crate::otlp::{Exporter, Payload, Sent};
use crate::process::{Endpoints, Places, Running};
use crate::shop::NAMESPACE;
use crate::shop::cause::Scenario;
use crate::shop::kubernetes::Kubernetes;
use crate::shop::manifests::workloads;
use crate::shop::metrics::Metrics;
use crate::shop::telemetry::{Meter, capacities};
use crate::shop::topology::Topology;
use crate::shop::traces::Sampler;
use crate::shop::world::World;
use crate::simulator::Verdict;

/// Seconds of a step.
const STEP: u64 = 10;
/// Steps of ordinary business before the cause: 15 minutes.
const WARM_UP: u32 = 90;
/// Steps after the cause at most: 25 minutes.
const MAX_AFTER: u32 = 150;
/// Steps after which an undetected cause, or one that nothing may be done about, is given up: 5 minutes.
const MAX_IDLE: u32 = 30;
/// Share of the orders that succeeds when the shop is well.
const WELL: f64 = 0.99;
const TOKEN: &str = "shop-demo-token";

/// A running demo.
struct Demo {
    arguments: DemoArguments,
    scenario: Scenario,
    world: World,
    meter: Meter,
    sampler: Sampler,
    kubernetes: Kubernetes,
    /// Where one process is everything.
    causeway: Option<Running>,
    /// Where each role is a process of its own.
    installation: Option<Installation>,
    remote: Remote,
    exporter: Exporter,
    endpoints: Endpoints,
    screen: Screen,
    now: Timestamp,
    sent: Sent,
    state: EngineState,
    peak_memory_mib: u64,
}

/// Plays one scenario from its start to its end.
pub(super) async fn one(arguments: &DemoArguments) -> Result<Summary> {
    let begun = Instant::now();
    let (topology, scenario) = read(arguments)?;
    let world = World::new(topology, arguments.seed)?;
    if scenario.service(&world.topology, arguments.seed).is_none() {
        bail!(
            "the scenario is about {:?}, which this topology does not have: name one of its services in the scenario",
            scenario.services
        );
    }
    let slack = SlackStandIn::default();
    let slack_api = slack.start().await?;
    let places = places(arguments)?;
    manifests::write(arguments, NAMESPACE, &places.manifests, &slack_api)?;
    // The seed decides the tags, and another topology has other workloads.
    std::fs::write(places.manifests.join("10-workloads.yaml"), workloads(&world.topology, arguments.seed)?)?;
    let mut demo = Demo::start(arguments, &places, world, scenario).await?;
    let mut summary = demo.play().await?;
    summary.wall_seconds = begun.elapsed().as_secs();
    let (messages, posted, edited) = slack.messages().await;
    summary.slack = (posted, edited);
    let (incidents, remediations) = (demo.remote.incidents().await?, demo.remote.remediations().await?);
    demo.screen.end(&summary, &incidents, &remediations, &messages);
    if !arguments.json {
        let data = report::gather(&demo.remote, &summary, &incidents, &remediations).await?;
        std::fs::write(&arguments.report, report::render(&data)?)
            .with_context(|| format!("cannot write {}", arguments.report.display()))?;
    }
    demo.screen.where_next(arguments, &summary, &places, &demo.endpoints.otlp_http);
    demo.stop()?;
    if arguments.data.is_none() {
        let work = &places.logs;
        std::fs::remove_dir_all(work).with_context(|| format!("cannot remove {}", work.display()))?;
    }
    Ok(summary)
}

/// Topology and scenario of a run.
fn read(arguments: &DemoArguments) -> Result<(Topology, Scenario)> {
    let example = arguments.root.join("examples/shop");
    let named = arguments.shop.as_deref().unwrap_or_default();
    let file = example.join("scenarios").join(format!("{named}.yaml"));
    if !file.exists() {
        bail!("the shop has no scenario {named}: see {}", example.join("scenarios").display());
    }
    let topology = arguments.topology.clone().unwrap_or_else(|| example.join("topology.yaml"));
    Ok((parsed(&topology)?, parsed(&file)?))
}

fn parsed<T: DeserializeOwned>(file: &Path) -> Result<T> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_saphyr::from_str(&text).map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))
}

impl Demo {
    async fn start(
        arguments: &DemoArguments,
        places: &Places,
        world: World,
        scenario: Scenario,
    ) -> Result<Self> {
        let total = i64::from(WARM_UP + MAX_AFTER) * STEP as i64;
        let now = Timestamp::from_second((Timestamp::now().as_second() - total).div_euclid(60) * 60)?;
        let screen = Screen::new(arguments, opening(arguments, &world), TOKEN);
        screen.starting();
        if let Some(kubeconfig) = &places.cluster {
            Kubernetes::join(&client(kubeconfig).await?, &world.topology).await?;
            cluster::prepare(places, kubeconfig).await?;
        }
        let (causeway, installation, endpoints) = start_causeway(places, now, &[]).await?;
        let mut remote = Remote::connect(places, &endpoints, "").await?;
        remote.installation = installation.clone();
        let exporter = Exporter::new(&endpoints.otlp_http, TOKEN, NAMESPACE)?;
        let mut demo = Self {
            arguments: arguments.clone(),
            scenario,
            world,
            meter: Meter::default(),
            sampler: Sampler::new(arguments.seed),
            kubernetes: kubernetes(places).await?,
            causeway,
            installation,
            remote,
            exporter,
            endpoints,
            screen,
            now,
            sent: Sent::default(),
            state: EngineState::default(),
            peak_memory_mib: 0,
        };
        demo.settle().await?;
        demo.world.open();
        let kubernetes = match &demo.endpoints.kubernetes {
            Some(address) => format!("its Kubernetes API at {address}"),
            None => format!("works with the cluster of {}", places.kubeconfig().display()),
        };
        demo.screen.started(&demo.endpoints.api, &kubernetes);
        Ok(demo)
    }

    async fn play(&mut self) -> Result<Summary> {
        for _ in 0..WARM_UP {
            self.advance().await?;
            self.screen.warming(&self.state, self.sent);
        }
        self.screen.learned(&self.state, self.sent);
        let named = self.arguments.shop.clone().unwrap_or_default();
        let title = format!("Scenario {named} of the shop, seed {}, played", self.arguments.seed);
        let mut summary = Summary { case: named, title, ..Summary::default() };
        summary.false_alarm = !self.remote.incidents().await?.is_empty();
        let fault_at = self.now;
        let before = self.world.ledger;
        let change = self.world.begin(&self.scenario);
        self.kubernetes.change(&mut self.world, &change).await?;
        self.screen.fault_begins();
        self.settle().await?;
        // The same shop with the same cause and its pods on the same nodes, and nobody who does anything.
        let mut alone = self.world.clone();
        let mut idle = 0;
        for step in 0..MAX_AFTER {
            self.advance().await?;
            (0..STEP).for_each(|_| alone.tick());
            alone.settle();
            let (incidents, remediations) =
                (self.remote.incidents().await?, self.remote.remediations().await?);
            self.tell_shop(fault_at);
            self.screen.during(self.now, fault_at, &self.state, &incidents, &remediations);
            if !incidents.is_empty() && summary.seconds_to_detect.is_none() && !summary.false_alarm {
                summary.detected = true;
                summary.seconds_to_detect = Some(self.now.as_second() - fault_at.as_second());
            }
            let is =
                |i: &Value, state: &str| i.pointer("/status/state").and_then(Value::as_str) == Some(state);
            if let (Some(file), Some(incident)) =
                (&self.arguments.bundle, planned_for(&incidents, &remediations))
            {
                let bundle = self.remote.bundle(&incident).await?;
                std::fs::write(file, bundle).with_context(|| format!("cannot write {}", file.display()))?;
                break;
            }
            let over = !remediations.is_empty() && remediations.iter().all(is_over);
            if over && incidents.iter().all(|i| is(i, "Resolved")) {
                break;
            }
            // Nothing on its way, for a while: given up, or nothing may be done.
            let waits = remediations.is_empty() || over || self.arguments.no_repair;
            let waits = waits && self.arguments.bundle.is_none();
            idle = if waits { idle + 1 } else { 0 };
            if idle >= MAX_IDLE && step >= MAX_IDLE {
                break;
            }
        }
        let (incidents, remediations) = (self.remote.incidents().await?, self.remote.remediations().await?);
        let victim = self.scenario.service(&self.world.topology, self.arguments.seed).unwrap_or_default();
        summary.verdict = Verdict {
            label: self.scenario.labels(&victim),
            fault_type: self.scenario.cause.word().to_owned(),
            fault_active: self.world.order_success < WELL,
        };
        summary.tell(&incidents, &remediations, fault_at);
        let verified = summary.actions.iter().filter(|a| a.phase == "Succeeded");
        let right = self.scenario.cause.right_actions();
        summary.repair_right = Some(
            verified.clone().count() > 0 && verified.clone().all(|a| right.contains(&a.action.as_str())),
        );
        summary.cost = Some(Cost {
            orders_lost: self.world.ledger.lost - before.lost,
            orders_lost_without: alone.ledger.lost - before.lost,
            order_value: self.world.topology.order_value,
            success_at_end: self.world.order_success,
            visits_lost: self.world.ledger.visits_lost - before.visits_lost,
            visits_lost_without: alone.ledger.visits_lost - before.visits_lost,
        });
        if let Some(installation) = &self.installation {
            installation.seal()?;
        }
        summary.logs_stored =
            self.remote.number("SELECT count(DISTINCT attributes['log.record.uid']) FROM logs").await?;
        summary.logs_doubled = self.remote.number("SELECT count(*) FROM logs").await? - summary.logs_stored;
        summary.sent = self.sent;
        summary.peak_memory_mib = self.peak_memory_mib.max(self.endpoints.peak_memory_mib());
        Ok(summary)
    }

    /// One step: the shop runs, tells of it, and everything settles.
    async fn advance(&mut self) -> Result<()> {
        let (from, to) = (self.now, self.now + SignedDuration::from_secs(STEP as i64));
        let mut payload = Payload::default();
        for second in 0..STEP {
            self.world.tick();
            self.meter.second(&self.world);
            let from_us = from.as_microsecond() + second as i64 * 1_000_000;
            // Spread over the seconds of the step.
            let until = |seconds: u64| self.arguments.samples * seconds as usize / STEP as usize;
            let count = until(second + 1) - until(second);
            self.sampler.sample(&self.world, count, from_us, 1_000_000, &mut payload);
        }
        let at_us = to.as_microsecond() - 1;
        self.meter.report(&self.world, from.as_microsecond(), at_us, &mut payload);
        capacities(&self.world, at_us, &mut payload);
        let sent = self.exporter.send(payload).await?;
        self.sent.add(sent);
        self.now = to;
        self.settle().await
    }

    async fn settle(&mut self) -> Result<()> {
        self.state = self.remote.step(self.now).await?;
        if self.kubernetes.settle(&mut self.world).await? {
            self.state = self.remote.step(self.now).await?;
        }
        self.peak_memory_mib = self.peak_memory_mib.max(self.endpoints.peak_memory_mib());
        Ok(())
    }

    fn stop(mut self) -> Result<()> {
        if let Some(installation) = &self.installation {
            installation.stop()?;
        }
        self.causeway.as_mut().map_or(Ok(()), Running::stop)
    }

    fn tell_shop(&mut self, fault_at: Timestamp) {
        let at = format!("  +{:>3} s ", self.now.as_second() - fault_at.as_second());
        let tenths = (self.world.order_success * 10.0).floor();
        let minute = (self.now.as_second() - fault_at.as_second()) / 60;
        let told = format!("{:.1} % of the orders succeed", self.world.order_success * 100.0);
        self.screen.shop(&at, format!("o{minute}/{tenths}"), &told);
    }
}

/// The shop's way to the API that Causeway works with.
async fn kubernetes(places: &Places) -> Result<Kubernetes> {
    let client = client(&places.kubeconfig()).await?;
    let metrics = match &places.cluster {
        Some(kubeconfig) => Some(Metrics::open(&client, kubeconfig).await?),
        None => None,
    };
    Ok(Kubernetes::new(client, metrics))
}

/// Fingerprint of the incident that a repair is planned for.
fn planned_for(incidents: &[Value], remediations: &[Value]) -> Option<String> {
    let name = remediations.first()?.pointer("/spec/incidentRef/name")?.as_str()?;
    let incident =
        incidents.iter().find(|i| i.pointer("/metadata/name").and_then(Value::as_str) == Some(name))?;
    Some(incident.pointer("/spec/fingerprint")?.as_str()?.to_owned())
}

fn opening(arguments: &DemoArguments, world: &World) -> Vec<String> {
    let topology = &world.topology;
    vec![
        "Causeway: a shop in a closed loop, from the cause to the verified repair".to_owned(),
        format!(
            "Scenario {}, seed {}: {} services, {} stores, {} nodes, {} requests a second.",
            arguments.shop.as_deref().unwrap_or_default(),
            arguments.seed,
            topology.services.len(),
            topology.stores.len(),
            topology.nodes.len(),
            topology.demand
        ),
        "The shop reads its Deployments, autoscalers and ConfigMaps from the API: a right repair helps, a wrong one hurts.".to_owned(),
    ]
}

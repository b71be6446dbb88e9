//! A shop, and the product's decoder, windows and engine that listen to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use causeway_actions::Plan;
use causeway_e2e::otlp::{Exporter, Payload};
use causeway_e2e::shop::NAMESPACE;
use causeway_e2e::shop::cause::{Change, Scenario};
use causeway_e2e::shop::cluster::config_name;
use causeway_e2e::shop::rng::Rng;
use causeway_e2e::shop::telemetry::{Meter, capacities};
use causeway_e2e::shop::traces::Sampler;
use causeway_e2e::shop::world::{Ledger, World};
use causeway_engine::whatif::{Effect, MEASURE_S, SETTLE_S, Signal, Step};
use causeway_engine::{ChangeClass, Engine, EngineConfig, Placement};
use causeway_model::{Accepted, BoxFuture, Clock, Delivery, Partial, Sink, SinkError, SourceRef};
use causeway_pipeline::{Gateway, GatewayConfig, PipelineMetrics};
use causeway_remediate::{EffectSignal, SignalForecast};
use causeway_wire::{DecodeContext, Decoder as _, OtlpDecoder, OtlpEncoding, OtlpSignal};
use parking_lot::Mutex;

use crate::deeds::{Deed, Rollout, candidates};
use crate::generate;
use crate::objects::Past;

/// Seconds of a report.
const STEP: u64 = 10;
/// Seconds before the first moment.
const BEFORE: u64 = 1_200;
/// Seconds from the fault to the second moment.
const FAULTY: u64 = 200;
/// Seconds over which harm is counted.
const COUNTED: u64 = 300;
/// Seconds after that, so that every window of the measurement is closed.
const LATE: u64 = 30;
/// Requests of which each step has spans, in the time that they are looked at.
const TRACES: usize = 30;
const TRACED: u64 = 330;
/// When data time begins, seconds.
const BEGIN: i64 = 1_780_000_000;

struct Stepped(AtomicI64);

impl Clock for Stepped {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Windows are made of what is durable: here everything is.
struct Durable;

impl Sink for Durable {
    fn accept(&self, _delivery: Delivery) -> BoxFuture<'_, Result<Accepted, SinkError>> {
        Box::pin(async { Ok(Accepted { rows: 0, duplicate: false }) })
    }
}

/// The product, from the bytes of a request to the engine.
struct Product {
    clock: Arc<Stepped>,
    gateway: Gateway,
    partials: Arc<Mutex<Vec<Partial>>>,
    engine: Engine,
    exporter: Exporter,
}

impl Product {
    fn new(now_us: i64, exporter: Exporter) -> Self {
        let clock = Arc::new(Stepped(AtomicI64::new(now_us)));
        let partials: Arc<Mutex<Vec<Partial>>> = Arc::default();
        let taken = Arc::clone(&partials);
        let gateway = Gateway::new(
            Arc::new(Durable),
            Arc::new(move |partial| taken.lock().push(partial)),
            Arc::clone(&clock) as Arc<dyn Clock>,
            GatewayConfig::default(),
            PipelineMetrics::default(),
        );
        Self { clock, gateway, partials, engine: Engine::new(EngineConfig::default()), exporter }
    }

    /// Takes what the shop says until `now_us`.
    fn take(&mut self, payload: Payload, now_us: i64) {
        self.clock.0.store(now_us, Ordering::Relaxed);
        let source = SourceRef { namespace: NAMESPACE.to_owned(), name: "otlp".to_owned() };
        for (path, body) in self.exporter.encode(payload).bodies {
            let signal = match path {
                "/v1/traces" => OtlpSignal::Traces,
                "/v1/logs" => OtlpSignal::Logs,
                _ => OtlpSignal::Metrics,
            };
            let decoder = OtlpDecoder { signal, encoding: OtlpEncoding::Protobuf };
            let decoded = decoder.decode(&body, &DecodeContext::new(source.clone(), now_us)).unwrap();
            self.gateway.replay(&source, &decoded.batch).unwrap();
        }
        self.gateway.tick();
        for partial in self.partials.lock().drain(..) {
            self.engine.observe(partial, now_us);
        }
    }
}

/// Sums since the beginning.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    visits: f64,
    visits_lost: f64,
    arrived: f64,
    failed: f64,
    backlog_s: f64,
}

/// What an action does, as shares; see the head of the test.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) harm: f64,
    pub(crate) saved: f64,
}

impl Cost {
    pub(crate) fn of(with: &Sums, without: &Sums) -> Self {
        let visits = (with.visits_lost - without.visits_lost) / without.visits;
        let requests = (with.failed - without.failed) / without.arrived;
        let backlog = (with.backlog_s - without.backlog_s) / COUNTED as f64;
        // What is turned away later and not at the door has been weighed by the visits already.
        let requests = if visits <= -crate::MATTERS { 0.0 } else { requests };
        Self { harm: visits.max(requests).max(backlog), saved: -visits }
    }
}

/// What came after a moment.
pub(crate) struct After {
    pub(crate) cost: Sums,
    engine: Engine,
    /// When the change was made, in the time of the data.
    from_us: i64,
}

impl After {
    /// What the product measures of a forecast.
    pub(crate) fn measured(&self, forecast: &SignalForecast) -> Option<f64> {
        let signal = match forecast.signal {
            EffectSignal::Rate => Signal::Rate,
            EffectSignal::Latency => Signal::Latency,
            EffectSignal::Errors => Signal::Errors,
            EffectSignal::Cpu => Signal::Cpu,
            EffectSignal::Pool => Signal::Pool,
        };
        let later = |seconds: f64| self.from_us + (seconds * 1e6) as i64;
        self.engine.measured(&forecast.entity, signal, later(SETTLE_S), later(SETTLE_S + MEASURE_S))
    }
}

/// A shop with its past, and what the product knows of it.
pub(crate) struct Stage {
    pub(crate) seed: u64,
    world: World,
    past: Past,
    fault: Option<Scenario>,
    meter: Meter,
    sampler: Sampler,
    product: Product,
    now_us: i64,
}

impl Stage {
    /// The shop of a seed after twenty minutes.
    pub(crate) fn open(seed: u64) -> Self {
        let world = World::new(generate::topology(seed), seed).unwrap();
        let mut past = Past::default();
        for service in &world.topology.services {
            past.tags.insert(service.name.clone(), vec![world.first_tag(&service.name)]);
            past.configs.insert(
                service.name.clone(),
                vec![world.cluster.configs[&config_name(&service.name)].clone()],
            );
        }
        let now_us = BEGIN * 1_000_000;
        let exporter = Exporter::new("http://127.0.0.1", "token", NAMESPACE).unwrap();
        let product = Product::new(now_us, exporter);
        let (meter, sampler) = (Meter::default(), Sampler::new(seed));
        let mut stage = Self { seed, world, past, fault: None, meter, sampler, product, now_us };
        stage.live_through(BEFORE);
        stage
    }

    /// Runs, with what happened in the past of this seed.
    fn live_through(&mut self, seconds: u64) {
        let mut rng = Rng::new(self.seed, "past");
        let inner: Vec<String> =
            self.world.topology.services.iter().map(|s| s.name.clone()).filter(|n| n != "worker").collect();
        let service = inner[rng.below(inner.len())].clone();
        let (begun, ended) = (420, 640);
        for step in 0..seconds / STEP {
            match (self.seed % 3, step * STEP) {
                (0, at) if at == begun => {
                    self.begin(&service, serde_json::json!({"type": "Release", "behaviour": {"errors": 0.3}}))
                }
                (0, at) if at == ended => self.release(&service, "mended"),
                (1, at) if at == ended => self.release(&service, "harmless"),
                (2, at) if at == begun => self.configure(&service, "WORKERS", "0.02"),
                (2, at) if at == ended => self.configure(&service, "WORKERS", "64"),
                _ => {}
            }
            self.step(seconds - step * STEP <= TRACED);
        }
    }

    fn begin(&mut self, service: &str, cause: serde_json::Value) {
        let written = serde_json::json!({"title": "generated", "services": [service], "cause": cause});
        let scenario: Scenario = serde_json::from_value(written).unwrap();
        self.set(&scenario);
    }

    fn set(&mut self, scenario: &Scenario) {
        match self.world.begin(scenario) {
            Change::Image { service, tag } => self.released(&service, tag),
            Change::Config { config_map, .. } => {
                let service = config_map.trim_end_matches("-config").to_owned();
                self.configured(&service);
            }
            _ => {}
        }
    }

    fn release(&mut self, service: &str, tag: &str) {
        self.world.cluster.workloads.get_mut(service).unwrap().tag = tag.to_owned();
        self.released(service, tag.to_owned());
    }

    fn released(&mut self, service: &str, tag: String) {
        self.past.tags.get_mut(service).unwrap().push(tag);
        self.tell(service, ChangeClass::Release);
    }

    fn configure(&mut self, service: &str, key: &str, value: &str) {
        let values = self.world.cluster.configs.get_mut(&config_name(service)).unwrap();
        values.insert(key.to_owned(), value.to_owned());
        self.configured(service);
    }

    fn configured(&mut self, service: &str) {
        let values = self.world.cluster.configs[&config_name(service)].clone();
        self.past.configs.get_mut(service).unwrap().push(values);
        self.tell(service, ChangeClass::Config);
    }

    /// What the product sees of a change in Kubernetes.
    fn tell(&mut self, service: &str, class: ChangeClass) {
        let change = causeway_engine::Change {
            time_us: self.now_us,
            entity: format!("{NAMESPACE}/{service}"),
            object: format!("Deployment/{NAMESPACE}/{service}"),
            class,
            description: String::new(),
            diff: Vec::new(),
            author: String::new(),
            frozen_by: String::new(),
        };
        self.product.engine.change(change, NAMESPACE);
    }

    /// One report.
    fn step(&mut self, traced: bool) {
        let mut payload = Payload::default();
        let from_us = self.now_us;
        for second in 0..STEP {
            self.world.run(1);
            self.meter.second(&self.world);
            if traced {
                let at_us = from_us + second as i64 * 1_000_000;
                let count =
                    TRACES * (second as usize + 1) / STEP as usize - TRACES * second as usize / STEP as usize;
                self.sampler.sample(&self.world, count, at_us, 1_000_000, &mut payload);
            }
        }
        payload.logs.clear();
        self.now_us += STEP as i64 * 1_000_000;
        self.meter.report(&self.world, from_us, self.now_us - 1, &mut payload);
        capacities(&self.world, self.now_us - 1, &mut payload);
        self.product.engine.set_placements(placements(&self.world), self.now_us);
        self.product.take(payload, self.now_us);
    }

    /// Sets the fault of the seed, and waits until it shows; gives its name.
    pub(crate) fn break_something(&mut self) -> String {
        let scenario = generate::fault(&self.world.topology, self.seed);
        self.set(&scenario);
        for _ in 0..FAULTY / STEP {
            self.step(true);
        }
        let victim = scenario.service(&self.world.topology, self.seed).unwrap_or_default();
        let name = format!("{} of {victim}", scenario.cause.word());
        self.fault = Some(scenario);
        name
    }

    /// Actions that are tried now.
    pub(crate) fn deeds(&self, _fault: &str) -> Vec<Deed> {
        candidates(&self.world, &self.past, self.fault.as_ref(), self.seed)
    }

    /// What the product foretells.
    pub(crate) fn what_if(&self, steps: &[Step]) -> Effect {
        self.product.engine.what_if(steps)
    }

    /// The shop as it is now.
    pub(crate) fn fork(&self) -> World {
        self.world.clone()
    }

    /// Runs a fork on, with an action or without, and counts.
    pub(crate) fn after(&self, mut world: World, deed: Option<(&Deed, &Plan)>) -> After {
        let from_us = self.product.engine.watermark_us().unwrap();
        let mut rollout =
            deed.map(|(deed, plan)| Rollout::carry_out(&mut world, plan, &deed.view)).unwrap_or_default();
        let (begin, mut meter) = (world.ledger, Meter::default());
        let mut product = Product::new(self.now_us, self.product.exporter.clone());
        let (mut visits, mut now_us) = (0.0, self.now_us);
        let mut counted = None;
        for second in 0..COUNTED + LATE {
            rollout.second(&mut world, second);
            if second == COUNTED {
                counted = Some(counts(&world, &begin, visits));
            }
            visits += world.demand().iter().sum::<f64>();
            world.run(1);
            meter.second(&world);
            if (second + 1) % STEP == 0 {
                let from_us = now_us;
                now_us += STEP as i64 * 1_000_000;
                let mut payload = Payload::default();
                meter.report(&world, from_us, now_us - 1, &mut payload);
                if deed.is_some() && second as f64 > SETTLE_S - 60.0 {
                    product.take(payload, now_us);
                }
            }
        }
        After { cost: counted.unwrap_or_default(), engine: product.engine, from_us }
    }
}

/// What happened since `begin`.
fn counts(world: &World, begin: &Ledger, visits: f64) -> Sums {
    let (waiting, rate) = (0..world.topology.services.len())
        .filter(|at| world.consumes(*at))
        .flat_map(|at| world.instances.iter().filter(move |i| i.service == at))
        .fold((0.0, 0.0), |(waiting, rate), i| (waiting + i.station.queued, rate + i.last.arrived));
    Sums {
        visits,
        visits_lost: world.ledger.visits_lost - begin.visits_lost,
        arrived: world.ledger.arrived - begin.arrived,
        failed: world.ledger.failed - begin.failed,
        backlog_s: if waiting > 0.0 { waiting / f64::max(rate, 0.1) } else { 0.0 },
    }
}

/// Where pods run, as Kubernetes says.
fn placements(world: &World) -> Vec<Placement> {
    let of = |pod: &causeway_e2e::shop::cluster::Pod| Placement {
        service: format!("{NAMESPACE}/{}", pod.service),
        namespace: NAMESPACE.to_owned(),
        pod: pod.name.clone(),
        node: pod.node.clone(),
        addresses: Vec::new(),
    };
    world.cluster.pods.iter().map(of).collect()
}

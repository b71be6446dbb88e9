//! Sampled requests: walks through the shop as it is now, and leaves spans and log lines as its services would write them.

use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::{Span, Status, span::SpanKind, status::StatusCode};

use super::flow::{Callee, Edge};
use super::rng::Rng;
use super::world::{Instance, World};
use crate::otlp::{Payload, attributes, nanos};

/// Share of the handled requests that write a line of their own.
const LOGGED: f64 = 0.3;
/// Seconds that a request takes that is turned away.
const REFUSAL: f64 = 0.001;
/// Seconds that a call is under way besides.
const LINK: f64 = 0.0005;

/// Severities, as numbers and as texts.
const INFO: (i32, &str) = (9, "INFO");
const WARN: (i32, &str) = (13, "WARN");
const ERROR: (i32, &str) = (17, "ERROR");

/// Draws requests.
#[derive(Clone, Debug)]
pub struct Sampler {
    rng: Rng,
}

impl Sampler {
    /// A sampler with draws of its own.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed, "traces") }
    }

    /// Adds `count` requests of the `length_us` that begin at `from_us`.
    pub fn sample(&mut self, world: &World, count: usize, from_us: i64, length_us: i64, out: &mut Payload) {
        let demand = world.demand();
        for _ in 0..count {
            let mut left = self.rng.unit() * demand.iter().sum::<f64>();
            let journey = demand.iter().position(|d| {
                left -= d;
                left < 0.0
            });
            let start_us = from_us + (self.rng.unit() * length_us as f64) as i64;
            let trace = [self.rng.bits(), self.rng.bits()].map(u64::to_be_bytes).concat();
            let mut walk = Walk { rng: &mut self.rng, world, out, trace };
            walk.visit(world.entry, journey, Position { parent: 0, start_us });
        }
    }
}

/// One request on its way through the shop.
struct Walk<'a> {
    rng: &'a mut Rng,
    world: &'a World,
    out: &'a mut Payload,
    trace: Vec<u8>,
}

/// Where it is: the span that asked, and when.
#[derive(Clone, Copy)]
struct Position {
    parent: u64,
    start_us: i64,
}

impl Position {
    fn later(self, seconds: f64) -> Self {
        Self { start_us: self.start_us + (seconds * 1e6) as i64, ..self }
    }

    /// Inside of a span.
    fn inside(self, span: u64) -> Self {
        Self { parent: span, ..self }
    }
}

impl Walk<'_> {
    /// A request at a service; gives its seconds and whether it succeeded.
    fn visit(&mut self, service: usize, journey: Option<usize>, at: Position) -> (f64, bool) {
        let world = self.world;
        let own = world.instances_of(service);
        let Some(instance) = own.get(self.rng.below(own.len())) else {
            // Nothing runs: the connection is refused, and nobody writes a span.
            return (REFUSAL, false);
        };
        let id = self.rng.bits();
        let (seconds, good) = if self.rng.chance(instance.last.turned_away()) {
            let line = "request turned away: too many requests are waiting";
            self.log(instance, at.inside(id), WARN, line);
            (REFUSAL, false)
        } else {
            self.work(instance, journey, at.inside(id))
        };
        let told = &world.topology.services[service];
        let journey = journey.filter(|_| service == world.entry);
        let operation = journey.map_or(&told.operation, |j| &world.topology.journeys[j].name);
        let kind = if world.consumes(service) { SpanKind::Consumer } else { SpanKind::Server };
        let more = [("k8s.pod.name", instance.pod.as_str()), ("k8s.node.name", instance.node.as_str())];
        self.span(instance, at, id, (kind, operation), (seconds, good), &more);
        if good && self.rng.chance(LOGGED) {
            let line = format!("{operation} handled in {} ms", (seconds * 1e3).round());
            self.log(instance, at.inside(id), INFO, &line);
        }
        (seconds, good)
    }

    fn work(&mut self, instance: &Instance, journey: Option<usize>, at: Position) -> (f64, bool) {
        let (world, service) = (self.world, instance.service);
        // What waits at a broker is lag, not time of the work.
        let queueing = if world.consumes(service) { world.work(instance) } else { instance.last.own_time };
        let own = self.rng.time(queueing + instance.wait()).max(1e-4);
        let mut elapsed = own * 0.6;
        if self.rng.chance(instance.errors) {
            let text = self.exception(instance);
            self.log(instance, at.later(elapsed), ERROR, &text);
            return (elapsed, false);
        }
        let mut good = true;
        for edge in &world.edges[service] {
            if edge.journey.is_some() && edge.journey != journey {
                continue;
            }
            let count = edge.per.floor() as usize + usize::from(self.rng.chance(edge.per.fract()));
            for _ in 0..count {
                if edge.cached && self.rng.chance(world.hit(instance, edge)) {
                    continue;
                }
                let (seconds, answered) = self.call(instance, edge, at.later(elapsed));
                elapsed += seconds;
                if !answered && !edge.soft {
                    return (elapsed + own * 0.1, false);
                }
                good &= answered || edge.soft;
            }
        }
        (elapsed + own * 0.4, good)
    }

    /// A call with its retries; gives its seconds and whether it succeeded in the end.
    fn call(&mut self, instance: &Instance, edge: &Edge, at: Position) -> (f64, bool) {
        let world = self.world;
        let to = match edge.to {
            Callee::Store(store) => return self.query(instance, store, at),
            Callee::Service(to) => to,
        };
        if let Some(broker) = edge.via {
            let id = self.rng.bits();
            let seconds = self.rng.time(world.query_time(broker));
            let told = &world.topology.stores[broker];
            let more = [
                ("messaging.system", told.system.as_str()),
                ("messaging.destination.name", told.name.as_str()),
            ];
            self.span(instance, at, id, (SpanKind::Producer, "publish"), (seconds, true), &more);
            self.visit(to, None, at.later(seconds).inside(id));
            return (seconds, true);
        }
        let told = &world.topology.services[to];
        let (timeout, retries) = world.patience(instance.service);
        let again = world.call(instance.service, edge).again;
        let mut elapsed = 0.0;
        for attempt in 0..=retries {
            if attempt > 0 && !self.rng.chance(again) {
                break;
            }
            let id = self.rng.bits();
            let here = at.later(elapsed);
            let (seconds, good) = self.visit(to, None, here.inside(id));
            let late = seconds > timeout;
            let (waited, good) = (seconds.min(timeout) + LINK, good && !late);
            let peer = [("peer.service", told.name.as_str())];
            self.span(instance, here, id, (SpanKind::Client, &told.operation), (waited, good), &peer);
            elapsed += waited;
            if good {
                return (elapsed, true);
            }
            let line = if late {
                format!("call to {} timed out after {} ms", told.name, (timeout * 1e3).round())
            } else {
                format!("call to {} failed", told.name)
            };
            self.log(instance, at.later(elapsed), WARN, &line);
        }
        (elapsed, false)
    }

    fn query(&mut self, instance: &Instance, store: usize, at: Position) -> (f64, bool) {
        let (state, told) = (&self.world.stores[store], &self.world.topology.stores[store]);
        let id = self.rng.bits();
        let seconds = self.rng.time(self.world.query_time(store));
        let good = !self.rng.chance(state.last.turned_away());
        let more = [("db.system.name", told.system.as_str()), ("server.address", told.name.as_str())];
        self.span(instance, at, id, (SpanKind::Client, "query"), (seconds, good), &more);
        (seconds, good)
    }

    /// What a failed request raises: of the release, of the instance, or of a value that a rule refuses.
    fn exception(&mut self, instance: &Instance) -> String {
        let raised = [&instance.release.exception, &instance.fault.exception];
        if let Some(frames) = raised.into_iter().find(|frames| !frames.is_empty()) {
            return frames.join("\n\tat ");
        }
        let refused = self.world.refused(instance.service);
        let value = refused.get(self.rng.below(refused.len()));
        match (&self.world.topology.services[instance.service].rule, value) {
            (Some(rule), Some((key, value, _))) => rule
                .exception
                .replace("{key}", key)
                .replace("{value}", value)
                .replace("{below}", &rule.below.to_string()),
            _ => "request failed".to_owned(),
        }
    }

    /// Writes a line of an instance, in the span that it is in.
    fn log(&mut self, instance: &Instance, at: Position, (number, severity): (i32, &str), text: &str) {
        let time = nanos(at.start_us);
        let uid = format!("{:016x}{:016x}", self.rng.bits(), self.rng.bits());
        let service = self.world.topology.services[instance.service].name.clone();
        self.out.logs.entry(service).or_default().push(LogRecord {
            time_unix_nano: time,
            observed_time_unix_nano: time,
            severity_number: number,
            severity_text: severity.to_owned(),
            body: Some(AnyValue { value: Some(Value::StringValue(text.to_owned())) }),
            attributes: attributes(&[("log.record.uid", &uid), ("k8s.pod.name", &instance.pod)]),
            trace_id: self.trace.clone(),
            span_id: at.parent.to_be_bytes().to_vec(),
            ..LogRecord::default()
        });
    }

    /// Writes a span of an instance.
    fn span(
        &mut self,
        instance: &Instance,
        at: Position,
        id: u64,
        (kind, name): (SpanKind, &str),
        (seconds, good): (f64, bool),
        more: &[(&str, &str)],
    ) {
        let service = self.world.topology.services[instance.service].name.clone();
        self.out.spans.entry(service).or_default().push(Span {
            trace_id: self.trace.clone(),
            span_id: id.to_be_bytes().to_vec(),
            parent_span_id: if at.parent == 0 { Vec::new() } else { at.parent.to_be_bytes().to_vec() },
            name: name.to_owned(),
            kind: kind.into(),
            start_time_unix_nano: nanos(at.start_us),
            end_time_unix_nano: nanos(at.later(seconds).start_us),
            attributes: attributes(more),
            status: (!good).then(|| Status { code: StatusCode::Error.into(), ..Status::default() }),
            ..Span::default()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shop::topology::tests::small;

    fn world(seconds: u64) -> World {
        let mut world = World::new(small(), 3).unwrap();
        world.run(seconds);
        world
    }

    #[test]
    fn the_same_seed_writes_the_same_and_every_callee_has_a_parent() {
        let draw = |seed| {
            let mut out = Payload::default();
            Sampler::new(seed).sample(&world(30), 50, 0, 10_000_000, &mut out);
            out
        };
        let (a, b) = (draw(1), draw(1));
        assert_eq!(a.spans, b.spans);
        assert_eq!(a.logs, b.logs);
        assert_ne!(a.spans, draw(2).spans);
        assert_eq!(a.spans["web"].iter().filter(|s| s.parent_span_id.is_empty()).count(), 50);
        for service in ["price", "tax", "mail"] {
            assert!(a.spans[service].iter().all(|s| !s.parent_span_id.is_empty()), "{service}");
        }
    }

    #[test]
    fn spans_say_what_the_model_says() {
        let mut world = world(60);
        let tax = 2;
        for at in world.of[tax].clone() {
            world.instances[at].fault.errors = 0.5;
            world.instances[at].fault.exception = vec!["a.B: no".into(), "a.B.c(B.java:7)".into()];
        }
        for _ in 0..30 {
            world.tick();
        }
        let mut out = Payload::default();
        Sampler::new(5).sample(&world, 3_000, 0, 10_000_000, &mut out);
        let failed = |spans: &[Span]| {
            let served: Vec<&Span> = spans.iter().filter(|s| s.kind == i32::from(SpanKind::Server)).collect();
            served.iter().filter(|s| s.status.is_some()).count() as f64 / served.len() as f64
        };
        assert!((failed(&out.spans["tax"]) - 0.5).abs() < 0.03, "{}", failed(&out.spans["tax"]));
        let entry = world.instances_of(0).iter().map(|i| 1.0 - i.answer.good).sum::<f64>() / 2.0;
        assert!((failed(&out.spans["web"]) - entry).abs() < 0.06, "{} {entry}", failed(&out.spans["web"]));
        let raised = out.logs["tax"].iter().filter(|l| l.severity_number == 17).count();
        assert!(raised > 100);
    }
}

//! Sampled requests: walks through the shop as it is now, and leaves spans and log lines as its services would write them.

use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::{Span, Status, span::SpanKind, status::StatusCode};

use super::flow::{Callee, Edge};
use super::rng::Rng;
use super::world::{Instance, World};
use crate::otlp::{Payload, attribute, nanos};

/// Share of the handled requests that write a line of their own.
const LOGGED: f64 = 0.3;
/// Seconds that a request takes that is turned away.
const REFUSAL: f64 = 0.001;

/// Draws requests.
#[derive(Clone, Debug)]
pub struct Sampler {
    rng: Rng,
}

/// Where a request is: its trace, the span that asked, and when.
#[derive(Clone, Copy)]
struct Position<'a> {
    trace: &'a [u8],
    parent: u64,
    start_us: i64,
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
        let Some(entry) = world.topology.services.iter().position(|s| s.name == world.topology.entry) else {
            return;
        };
        for _ in 0..count {
            let mut left = self.rng.unit() * demand.iter().sum::<f64>();
            let journey = demand.iter().position(|d| {
                left -= d;
                left < 0.0
            });
            let start_us = from_us + (self.rng.unit() * length_us as f64) as i64;
            let trace: Vec<u8> =
                [self.rng.bits(), self.rng.bits()].iter().flat_map(|b| b.to_be_bytes()).collect();
            let at = Position { trace: &trace, parent: 0, start_us };
            self.visit(world, entry, journey, at, out);
        }
    }

    /// A request at a service; gives its seconds and whether it succeeded.
    fn visit(
        &mut self,
        world: &World,
        service: usize,
        journey: Option<usize>,
        at: Position<'_>,
        out: &mut Payload,
    ) -> (f64, bool) {
        let own = &world.of[service];
        let Some(instance) = own.get(self.rng.below(own.len())).map(|i| &world.instances[*i]) else {
            // Nothing runs: the connection is refused, and nobody writes a span.
            return (REFUSAL, false);
        };
        let id = self.rng.bits();
        let consumes = world.consumes(service);
        let refused = instance.last.shed / (instance.last.arrived + 1e-9);
        let (seconds, good) = if self.rng.chance(refused) {
            let line = "request turned away: too many requests are waiting";
            self.log(world, service, instance, at, id, (13, line), out);
            (REFUSAL, false)
        } else {
            self.work(world, service, journey, instance, Position { parent: id, ..at }, out)
        };
        let name = journey.filter(|_| world.topology.services[service].name == world.topology.entry);
        let operation =
            name.map_or(&world.topology.services[service].operation, |j| &world.topology.journeys[j].name);
        let kind = if consumes { SpanKind::Consumer } else { SpanKind::Server };
        let attributes =
            vec![attribute("k8s.pod.name", &instance.pod), attribute("k8s.node.name", &instance.node)];
        let span = span(at, id, operation, kind, seconds, good, attributes);
        push(out, &world.topology.services[service].name, span);
        if good && self.rng.chance(LOGGED) {
            let line = format!("{operation} handled in {} ms", (seconds * 1e3).round());
            self.log(world, service, instance, at, id, (9, &line), out);
        }
        (seconds, good)
    }

    fn work(
        &mut self,
        world: &World,
        service: usize,
        journey: Option<usize>,
        instance: &Instance,
        at: Position<'_>,
        out: &mut Payload,
    ) -> (f64, bool) {
        let waits = instance.release.wait + instance.fault.wait;
        // What waits at a broker is lag, not time of the work.
        let queueing = if world.consumes(service) {
            world.topology.services[service].work_ms / 1e3 * instance.release.work * instance.fault.work
        } else {
            instance.last.own_time
        };
        let own = self.rng.time(queueing + waits).max(1e-4);
        let mut elapsed = own * 0.6;
        if self.rng.chance(instance.errors) {
            let text = self.exception(world, service, instance);
            self.log(world, service, instance, later(at, elapsed), at.parent, (17, &text), out);
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
                let (seconds, answered) = self.call(world, service, instance, edge, later(at, elapsed), out);
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
    fn call(
        &mut self,
        world: &World,
        service: usize,
        instance: &Instance,
        edge: &Edge,
        at: Position<'_>,
        out: &mut Payload,
    ) -> (f64, bool) {
        let caller = &world.topology.services[service].name;
        let to = match edge.to {
            Callee::Store(store) => return self.query(world, caller, store, at, out),
            Callee::Service(to) => to,
        };
        let name = world.topology.services[to].name.clone();
        if let Some(broker) = edge.via {
            let id = self.rng.bits();
            let seconds = self.rng.time(world.query_time(broker));
            let attributes = vec![
                attribute("messaging.system", &world.topology.stores[broker].system),
                attribute("messaging.destination.name", &world.topology.stores[broker].name),
            ];
            push(out, caller, span(at, id, "publish", SpanKind::Producer, seconds, true, attributes));
            self.visit(world, to, None, Position { parent: id, ..later(at, seconds) }, out);
            return (seconds, true);
        }
        let timeout = world.cluster.number(caller, "CALL_TIMEOUT_MS") / 1e3;
        let retries = world.cluster.number(caller, "CALL_RETRIES").min(10.0) as usize;
        let again = world.call(service, edge).again;
        let mut elapsed = 0.0;
        for attempt in 0..=retries {
            if attempt > 0 && !self.rng.chance(again) {
                break;
            }
            let id = self.rng.bits();
            let here = later(at, elapsed);
            let (seconds, good) = self.visit(world, to, None, Position { parent: id, ..here }, out);
            let late = seconds > timeout;
            let link = 0.0005;
            let waited = seconds.min(timeout) + link;
            let operation = world.topology.services[to].operation.clone();
            let attributes = vec![attribute("peer.service", &name)];
            push(
                out,
                caller,
                span(here, id, &operation, SpanKind::Client, waited, good && !late, attributes),
            );
            elapsed += waited;
            if good && !late {
                return (elapsed, true);
            }
            let line = if late {
                format!("call to {name} timed out after {} ms", (timeout * 1e3).round())
            } else {
                format!("call to {name} failed")
            };
            self.log(world, service, instance, later(at, elapsed), at.parent, (13, &line), out);
        }
        (elapsed, false)
    }

    fn query(
        &mut self,
        world: &World,
        caller: &str,
        store: usize,
        at: Position<'_>,
        out: &mut Payload,
    ) -> (f64, bool) {
        let (state, told) = (&world.stores[store], &world.topology.stores[store]);
        let id = self.rng.bits();
        let seconds = self.rng.time(world.query_time(store));
        let good = !self.rng.chance(state.last.shed / (state.last.arrived + 1e-9));
        let attributes =
            vec![attribute("db.system.name", &told.system), attribute("server.address", &told.name)];
        push(out, caller, span(at, id, "query", SpanKind::Client, seconds, good, attributes));
        (seconds, good)
    }

    /// What a failed request raises: of the release, of the instance, or of a value that a rule refuses.
    fn exception(&mut self, world: &World, service: usize, instance: &Instance) -> String {
        let of = |frames: &[String]| (!frames.is_empty()).then(|| frames.join("\n\tat "));
        if let Some(text) = of(&instance.release.exception).or_else(|| of(&instance.fault.exception)) {
            return text;
        }
        let refused = world.refused(service);
        let Some(rule) = &world.topology.services[service].rule else { return "request failed".to_owned() };
        let Some((key, value, _)) = refused.get(self.rng.below(refused.len())) else {
            return "request failed".to_owned();
        };
        rule.exception
            .replace("{key}", key)
            .replace("{value}", value)
            .replace("{below}", &rule.below.to_string())
    }

    #[expect(clippy::too_many_arguments, reason = "a line of a log is all of this")]
    fn log(
        &mut self,
        world: &World,
        service: usize,
        instance: &Instance,
        at: Position<'_>,
        span: u64,
        (severity, text): (i32, &str),
        out: &mut Payload,
    ) {
        let time = nanos(at.start_us);
        let severity_text = match severity {
            17.. => "ERROR",
            13..=16 => "WARN",
            _ => "INFO",
        };
        let uid = format!("{:016x}{:016x}", self.rng.bits(), self.rng.bits());
        out.logs.entry(world.topology.services[service].name.clone()).or_default().push(LogRecord {
            time_unix_nano: time,
            observed_time_unix_nano: time,
            severity_number: severity,
            severity_text: severity_text.to_owned(),
            body: Some(AnyValue { value: Some(Value::StringValue(text.to_owned())) }),
            attributes: vec![attribute("log.record.uid", &uid), attribute("k8s.pod.name", &instance.pod)],
            trace_id: at.trace.to_vec(),
            span_id: span.to_be_bytes().to_vec(),
            ..LogRecord::default()
        });
    }
}

fn later(at: Position<'_>, seconds: f64) -> Position<'_> {
    Position { start_us: at.start_us + (seconds * 1e6) as i64, ..at }
}

fn span(
    at: Position<'_>,
    id: u64,
    name: &str,
    kind: SpanKind,
    seconds: f64,
    good: bool,
    attributes: Vec<opentelemetry_proto::tonic::common::v1::KeyValue>,
) -> Span {
    Span {
        trace_id: at.trace.to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        parent_span_id: if at.parent == 0 { Vec::new() } else { at.parent.to_be_bytes().to_vec() },
        name: name.to_owned(),
        kind: kind.into(),
        start_time_unix_nano: nanos(at.start_us),
        end_time_unix_nano: nanos(at.start_us + (seconds * 1e6) as i64),
        attributes,
        status: (!good).then(|| Status { code: StatusCode::Error.into(), ..Status::default() }),
        ..Span::default()
    }
}

fn push(out: &mut Payload, service: &str, span: Span) {
    out.spans.entry(service.to_owned()).or_default().push(span);
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
        let entry = world.of[0].iter().map(|i| 1.0 - world.instances[*i].answer.good).sum::<f64>() / 2.0;
        assert!((failed(&out.spans["web"]) - entry).abs() < 0.06, "{} {entry}", failed(&out.spans["web"]));
        let raised = out.logs["tax"].iter().filter(|l| l.severity_number == 17).count();
        assert!(raised > 100);
    }
}

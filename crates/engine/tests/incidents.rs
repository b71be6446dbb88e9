//! Life of incidents in a generated system: one a cause, known noise, states, predictions, money, merging; and the
//! topology that is found on the way.

#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use causeway_causal::topology::EntityKind;
use causeway_engine::{
    BaselineConfig, Change, ChangeClass, Direction, Engine, EngineConfig, Grade, Incident, IncidentPhase,
    MissingData, ModelKind, OutlookConfig, Placement, Selector, Sensitivity, ServiceConfig, State, StateKind,
    SymptomState, WindowRule,
};
use causeway_model::{
    FindingState, Partial, SeriesId, SeriesKind, SeriesPartial, SourceRef, SpanKind, SpanStub, Window,
};

const STEP: i64 = 10_000_000;
const MINUTE: i64 = 60_000_000;
const DAY: i64 = 86_400_000_000;

/// A deterministic scatter around 1.
fn scatter(seed: i64) -> f64 {
    0.9 + 0.2 * ((seed.wrapping_mul(7919).rem_euclid(101)) as f64 / 101.0)
}

fn partial(start: i64, series: Vec<(SeriesId, SeriesPartial)>, spans: Vec<SpanStub>) -> Partial {
    Partial {
        source: SourceRef { namespace: "shop".into(), name: "otlp".into() },
        window: Window { start_us: start, end_us: start + STEP },
        series,
        spans,
        templates: Vec::new(),
        aliases: Vec::new(),
        template_texts: Vec::new(),
        records: 100,
        newest_us: start + STEP,
    }
}

fn series(
    entity: &str,
    signal: &str,
    kind: SeriesKind,
    at: i64,
    sum: f64,
    count: u64,
) -> (SeriesId, SeriesPartial) {
    let mut values = SeriesPartial { kind, ..SeriesPartial::default() };
    values.add(at, sum);
    values.count = count;
    (SeriesId { entity: entity.into(), signal: signal.into(), group: "".into() }, values)
}

/// Golden signals of a service in a window: 20 requests, with this mean in seconds, this many failed.
fn golden(entity: &str, start: i64, seconds: f64, errors: f64) -> Vec<(SeriesId, SeriesPartial)> {
    vec![
        series(entity, "requests", SeriesKind::Count, start, 20.0, 20),
        series(entity, "errors", SeriesKind::Count, start, errors, 20),
        series(entity, "latency", SeriesKind::Latency, start, 20.0 * seconds, 20),
    ]
}

fn span(
    trace: u64,
    id: u64,
    parent: u64,
    service: &str,
    kind: SpanKind,
    at: i64,
    peer: Option<&str>,
) -> SpanStub {
    SpanStub {
        trace,
        span: id,
        parent,
        service: service.into(),
        operation: "GET".into(),
        kind,
        start_us: at,
        duration_us: 20_000,
        error: false,
        peer: peer.map(Into::into),
    }
}

/// A request through every edge of a tree: service n calls 2n+1 and 2n+2.
fn tree_spans(size: usize, start: i64) -> Vec<SpanStub> {
    let trace = (start / STEP + 1) as u64;
    (0..size)
        .map(|at| {
            let parent = if at == 0 { 0 } else { ((at - 1) / 2 + 1) as u64 };
            span(
                trace,
                at as u64 + 1,
                parent,
                &format!("shop/s{at}"),
                SpanKind::Server,
                start + at as i64,
                None,
            )
        })
        .collect()
}

/// Feeds windows of a tree; `bad` says by how much a service is slow and how much it fails in a window.
fn feed_tree(
    engine: &mut Engine,
    size: usize,
    windows: std::ops::Range<i64>,
    bad: &dyn Fn(i64, usize) -> f64,
) {
    for index in windows {
        let start = index * STEP;
        let mut all = Vec::new();
        for at in 0..size {
            let factor = bad(index, at);
            let seconds = 0.05 * scatter(index * 31 + at as i64) * factor;
            let errors = if factor > 1.0 { 10.0 } else { 0.0 };
            all.extend(golden(&format!("shop/s{at}"), start, seconds, errors));
        }
        engine.observe(partial(start, all, tree_spans(size, start)), (index + 2) * STEP);
    }
}

fn entry(name: &str) -> ServiceConfig {
    ServiceConfig {
        namespace: "shop".into(),
        name: name.into(),
        telemetry_name: format!("shop/{name}"),
        entry_point: true,
        revenue_per_hour: Some(("EUR".into(), "36000".into())),
        offsets: None,
    }
}

/// Ancestors of a service, itself included.
fn chain(mut at: usize) -> Vec<usize> {
    let mut out = vec![at];
    while at > 0 {
        at = (at - 1) / 2;
        out.push(at);
    }
    out
}

fn told(engine: &Engine) -> Vec<&Incident> {
    engine.incidents()
}

#[test]
fn a_cascade_of_400_anomalies_over_60_services_is_one_incident() {
    let mut engine = Engine::new(EngineConfig::default());
    // Three of them are entry points of their own, so that there are several symptoms.
    engine.set_services(vec![entry("s0"), entry("s1"), entry("s2")]);
    feed_tree(&mut engine, 60, 0..90, &|_, _| 1.0);
    engine.take_findings();
    assert!(told(&engine).is_empty());
    // A shared host stalls four times for a minute: everything suffers, from the leaves up.
    let stall = |index: i64, at: usize| {
        let wave = (index - 90) % 12;
        let depth = usize::BITS - (at + 1).leading_zeros();
        if (0..6).contains(&(wave - i64::from(6 - depth) / 3)) { 10.0 } else { 1.0 }
    };
    feed_tree(&mut engine, 60, 90..138, &stall);
    let findings = engine.take_findings();
    let anomalies = findings.iter().filter(|f| f.state == FindingState::Open).count();
    let services: BTreeSet<_> = findings.iter().map(|f| f.series.entity.clone()).collect();
    assert!(anomalies >= 400 && services.len() == 60, "{anomalies} over {}", services.len());
    assert_eq!(told(&engine).iter().filter(|i| i.merged_into.is_none()).count(), 1);
    assert_eq!(told(&engine).len(), 1);
}

#[test]
fn two_faults_three_minutes_apart_are_two_incidents() {
    let mut engine = Engine::new(EngineConfig::default());
    engine.set_services(vec![entry("s1"), entry("s2")]);
    // The gateway in front shows neither: it answers from what it has.
    feed_tree(&mut engine, 15, 0..90, &|_, _| 1.0);
    let faults = |index: i64, at: usize| {
        let first = index >= 90 && chain(7).contains(&at) && at != 0;
        let second = index >= 108 && chain(14).contains(&at) && at != 0;
        if first || second { 10.0 } else { 1.0 }
    };
    feed_tree(&mut engine, 15, 90..130, &faults);
    let services: Vec<&str> = told(&engine).iter().map(|i| i.service.as_str()).collect();
    assert_eq!(services, ["shop/s1", "shop/s2"]);
    assert!(told(&engine).iter().all(|i| i.merged_into.is_none()));
}

#[test]
fn a_signal_that_flaps_for_an_hour_is_one_incident_with_three_messages_at_most() {
    let mut engine = Engine::new(EngineConfig::default());
    let mut phases: BTreeMap<String, Vec<IncidentPhase>> = BTreeMap::new();
    feed_tree(&mut engine, 1, 0..90, &|_, _| 1.0);
    for index in 90..450 {
        // Two minutes bad, six minutes good.
        feed_tree(&mut engine, 1, index..index + 1, &|index, _| {
            if (index - 90) % 48 < 12 { 10.0 } else { 1.0 }
        });
        for incident in engine.incidents() {
            let known = phases.entry(incident.fingerprint.clone()).or_default();
            if known.last() != Some(&incident.phase) {
                known.push(incident.phase);
            }
        }
    }
    assert_eq!(phases.len(), 1);
    let messages = phases.values().next().expect("one");
    assert!(messages.len() <= 3, "{messages:?}");
}

/// A day of one service with a spike of this height at two in the morning; an hour around it is enough.
fn day_with_spike(engine: &mut Engine, day: i64, height: f64) {
    let two = day * DAY / STEP + 720;
    feed_tree(engine, 1, two - 180..two + 90, &|index, _| {
        if (two..two + 18).contains(&index) { height } else { 1.0 }
    });
}

#[test]
fn the_daily_backup_is_known_on_day_eight_and_told_when_it_gets_worse() {
    let mut engine = Engine::new(EngineConfig::default());
    for day in 0..7 {
        day_with_spike(&mut engine, day, 6.0);
        assert_eq!(told(&engine).len(), day as usize + 1, "day {day}");
    }
    assert!(told(&engine).iter().all(|i| i.phase == IncidentPhase::Resolved));
    let mut worse = Engine::restore(EngineConfig::default(), &engine.snapshot().unwrap()).unwrap();
    engine.take_events();
    day_with_spike(&mut engine, 7, 6.0);
    assert_eq!(told(&engine).len(), 7, "nobody is told on day eight");
    assert!(engine.take_events().iter().any(|e| e.reason == "KnownNoise"));
    day_with_spike(&mut worse, 7, 12.0);
    assert_eq!(told(&worse).len(), 8, "twice as bad is news");
}

fn crash_loop(service: &str, pod: &str) -> State {
    State {
        namespace: "shop".into(),
        entity: service.into(),
        kind: StateKind::CrashLoop,
        object: format!("Pod/shop/{pod}"),
        note: format!("container main of Pod shop/{pod} ends again and again: exit code 1"),
        value: 4.0,
    }
}

#[test]
fn a_state_opens_an_incident_without_telemetry_and_names_the_change_before() {
    let mut engine = Engine::new(EngineConfig::default());
    let change = Change {
        time_us: 90 * STEP,
        entity: "shop/tax".into(),
        object: "Deployment/shop/tax".into(),
        class: ChangeClass::Release,
        description: "Deployment/shop/tax changed".into(),
        diff: vec![("containers.main.image".into(), "tax:1".into(), "tax:2".into())],
        author: "ci-bot".into(),
        frozen_by: String::new(),
    };
    engine.change(change, "shop");
    assert!(told(&engine).is_empty(), "a change is never a cause without a symptom");
    let states = vec![crash_loop("shop/tax", "tax-1"), crash_loop("shop/tax", "tax-2")];
    engine.set_states(states.clone(), 100 * STEP);
    engine.set_states(states, 101 * STEP);
    engine.tick(103 * STEP);
    let incidents = told(&engine);
    assert_eq!(incidents.len(), 1, "two pods of one service are one incident");
    let draft = incidents[0].draft.clone().expect("diagnosed");
    assert!(!draft.abstained);
    assert_eq!(draft.cause.entity, "Deployment/shop/tax");
    assert_eq!(draft.cause.change, "containers.main.image: tax:1 -> tax:2 by ci-bot");
    assert!(draft.explanation[0].text.contains("exit code 1"), "{:?}", draft.explanation);
    causeway_causal::draft::verify_explanation(&draft).unwrap();
    engine.set_states(Vec::new(), 110 * STEP);
    engine.tick(130 * STEP);
    assert_eq!(told(&engine)[0].symptom, SymptomState::Clear);
    engine.tick(161 * STEP);
    assert_eq!(told(&engine)[0].phase, IncidentPhase::Resolved);
}

#[test]
fn states_without_a_change_say_themselves_what_is_wrong() {
    for kind in StateKind::ALL {
        let mut engine = Engine::new(EngineConfig::default());
        let state = vec![State { kind, ..crash_loop("shop/tax", "tax-1") }];
        engine.set_states(state.clone(), 0);
        engine.tick(kind.hold_us() - 1);
        assert!(told(&engine).is_empty() || kind.hold_us() == 0, "{kind:?} has to last");
        engine.set_states(state, kind.hold_us());
        engine.tick(kind.hold_us() + 3 * STEP);
        let draft = told(&engine)[0].draft.clone().expect("diagnosed");
        assert_eq!((draft.cause.entity.as_str(), draft.cause.kind), ("shop/tax", kind.class()), "{kind:?}");
        assert!(!draft.abstained && draft.cause.change.is_empty());
    }
}

#[test]
fn a_full_disk_and_a_certificate_open_incidents_from_metrics() {
    let mut engine = Engine::new(EngineConfig::default());
    let real = 1_790_000_000_000_000 / STEP;
    for index in real..real + 5 {
        let start = index * STEP;
        let end_s = start as f64 / 1e6 + 86_400.0;
        engine.observe(
            partial(
                start,
                vec![
                    series("shop/db", "system.filesystem.utilization", SeriesKind::Gauge, start, 0.97, 1),
                    series("shop/web", "x509_cert_not_after", SeriesKind::Gauge, start, end_s, 1),
                ],
                Vec::new(),
            ),
            (index + 2) * STEP,
        );
    }
    let found: BTreeSet<(&str, &str)> =
        told(&engine).iter().map(|i| (i.service.as_str(), i.signal.as_str())).collect();
    assert_eq!(
        found,
        BTreeSet::from([("shop/db", "state:DiskFilling"), ("shop/web", "state:CertificateExpiry")])
    );
}

/// A Baseline of a pool that looks an hour ahead for a crossing of 100.
fn pool() -> BaselineConfig {
    BaselineConfig {
        namespace: "shop".into(),
        name: "pool".into(),
        entities: vec!["shop/s0".into()],
        selector: Selector::Metric("pool".into()),
        resolution_us: MINUTE,
        model: ModelKind::Static { lower: None, upper: Some(1_000.0) },
        sensitivity: Sensitivity::Medium,
        direction: Direction::Above,
        rule: WindowRule { violating: 3, clearing: 5, size: 5 },
        missing: MissingData::Ignore,
        minimum_events: 20.0,
        minimum_history_us: 0,
        max_series: 10,
        suspended: false,
        group_by: Vec::new(),
        delay_us: 0,
        history_us: 0,
        outlook: Some(OutlookConfig {
            horizon_us: 60 * MINUTE,
            threshold: 100.0,
            direction: Direction::Above,
            probability: 0.5,
            lead_us: 5 * MINUTE,
        }),
    }
}

fn feed_pool(engine: &mut Engine, minutes: std::ops::Range<i64>, level: &dyn Fn(i64) -> f64) {
    for minute in minutes {
        for part in 0..6 {
            let start = minute * MINUTE + part * STEP;
            let all = vec![series("shop/s0", "pool", SeriesKind::Gauge, start, level(minute), 1)];
            engine.observe(partial(start, all, Vec::new()), start + 2 * STEP);
        }
    }
}

#[test]
fn what_is_foretold_comes_true_or_is_prevented_and_is_graded() {
    let rising = |minute: i64| 10.0 + minute as f64 * 0.7 + scatter(minute);
    let mut engine = Engine::new(EngineConfig::default());
    engine.set_baselines(vec![pool()]);
    let mut minute = 0;
    while told(&engine).is_empty() && minute < 130 {
        feed_pool(&mut engine, minute..minute + 1, &rising);
        minute += 1;
    }
    let incident = told(&engine)[0].clone();
    assert_eq!(incident.phase, IncidentPhase::Predicted);
    let predicted = incident.predicted.clone().expect("a prediction");
    assert!(
        predicted.deadline_us > predicted.made_us
            && predicted.probability >= 0.5
            && predicted.grade.is_none()
    );
    assert!(incident.draft.is_none() && incident.symptoms.is_empty());
    let mut other = Engine::restore(EngineConfig::default(), &engine.snapshot().unwrap()).unwrap();

    // It goes on as it did.
    feed_pool(&mut engine, minute..200, &rising);
    let came =
        told(&engine).into_iter().find(|i| i.fingerprint == incident.fingerprint).expect("kept").clone();
    assert_eq!(came.phase, IncidentPhase::Open, "{came:?}");
    assert_eq!(came.predicted.and_then(|p| p.grade), Some(Grade::Hit));
    assert_eq!(came.symptom, SymptomState::Firing);
    // Then it falls again.
    feed_pool(&mut engine, 200..230, &|_| 20.0);
    let over =
        told(&engine).into_iter().find(|i| i.fingerprint == incident.fingerprint).expect("kept").clone();
    assert_eq!(over.phase, IncidentPhase::Resolved);

    // Somebody does something about it.
    let change = Change {
        time_us: minute * MINUTE,
        entity: "shop/s0".into(),
        object: "Deployment/shop/s0".into(),
        class: ChangeClass::Scaling,
        description: "scaled".into(),
        diff: Vec::new(),
        author: "anna".into(),
        frozen_by: String::new(),
    };
    other.change(change, "shop");
    feed_pool(&mut other, minute..minute + 130, &|minute| 20.0 + scatter(minute));
    let avoided =
        told(&other).into_iter().find(|i| i.fingerprint == incident.fingerprint).expect("kept").clone();
    assert_eq!(avoided.phase, IncidentPhase::Prevented, "{avoided:?}");
    assert_eq!(avoided.predicted.and_then(|p| p.grade), Some(Grade::Prevented));
}

/// Three services in a row with real spans, so that requests can be counted; every `fails`-th request fails.
fn feed_requests(engine: &mut Engine, windows: std::ops::Range<i64>, fails: i64) {
    for index in windows {
        let start = index * STEP;
        let mut spans = Vec::new();
        let mut errors = 0.0;
        for request in 0..20 {
            let trace = (index * 100 + request + 1) as u64;
            let failed = fails > 0 && request % fails == 0;
            errors += f64::from(u8::from(failed));
            for (id, name) in ["shop/s0", "shop/tax"].iter().enumerate() {
                let mut one =
                    span(trace, id as u64 + 1, id as u64, name, SpanKind::Server, start + request, None);
                one.error = failed;
                spans.push(one);
            }
        }
        let mut all = golden("shop/s0", start, 0.02, errors);
        all.extend(golden("shop/tax", start, 0.02, errors));
        engine.observe(partial(start, all, spans), (index + 2) * STEP);
    }
}

#[test]
fn money_grows_with_the_incident_and_can_be_computed_by_hand() {
    let mut engine = Engine::new(EngineConfig::default());
    engine.set_services(vec![entry("s0")]);
    feed_requests(&mut engine, 0..90, 0);
    feed_requests(&mut engine, 90..96, 4);
    let first = told(&engine)[0].draft.clone().expect("diagnosed").money.expect("money");
    feed_requests(&mut engine, 96..160, 4);
    let draft = told(&engine)[0].draft.clone().expect("diagnosed");
    let money = draft.money.clone().expect("money");
    assert!(money.loss_so_far > 3.0 * first.loss_so_far, "{} then {}", first.loss_so_far, money.loss_so_far);
    let requests = draft.impact.requests.expect("counted");
    assert_eq!(requests.all % 20, 0);
    assert_eq!(requests.affected * 4, requests.all, "a quarter fails");
    let share = requests.affected as f64 / requests.all as f64;
    assert_eq!(draft.impact.request_share, Some(share));
    assert_eq!(money.at_risk_per_hour, 36_000.0 * share);
    assert_eq!(money.loss_so_far, money.at_risk_per_hour * money.seconds / 3600.0);
    assert!(money.interval.0 < money.at_risk_per_hour && money.at_risk_per_hour < money.interval.1);
    // Ten requests a second earn ten euros: what really failed is within the interval.
    let truth = requests.affected as f64 * 36_000.0 / 7_200.0;
    assert!((money.loss_so_far - truth).abs() < 0.15 * truth, "{} against {truth}", money.loss_so_far);
    assert_eq!(draft.severity, causeway_causal::draft::Severity::Sev2);
    // It stops when the symptom does.
    feed_requests(&mut engine, 160..230, 0);
    let incident = told(&engine)[0];
    assert_eq!(incident.phase, IncidentPhase::Resolved);
    let last = incident.draft.clone().expect("diagnosed").money.expect("money");
    let hurt = (incident.symptom_since_us - incident.since_us) as f64 / 1e6;
    assert!(last.seconds <= hurt, "{} of {hurt}", last.seconds);
}

#[test]
fn people_merge_incidents_and_a_restart_keeps_them() {
    let mut engine = Engine::new(EngineConfig::default());
    for name in ["a", "b"] {
        engine.set_states(
            [
                vec![crash_loop("shop/a", "a-1")],
                vec![crash_loop("shop/a", "a-1"), crash_loop("shop/b", "b-1")],
            ][usize::from(name == "b")]
            .clone(),
            100 * STEP + i64::from(name == "b") * 300 * STEP,
        );
    }
    let prints: Vec<String> = told(&engine).iter().map(|i| i.fingerprint.clone()).collect();
    assert_eq!(prints.len(), 2);
    engine.merge(&prints[1], &prints[0], 410 * STEP);
    engine.merge(&prints[1], &prints[0], 411 * STEP);
    engine.merge(&prints[0], "unknown", 411 * STEP);
    let (kept, gone) = (told(&engine)[0].clone(), told(&engine)[1].clone());
    assert_eq!((gone.phase, gone.merged_into.as_ref()), (IncidentPhase::Resolved, Some(&prints[0])));
    assert_eq!((kept.phase, kept.symptoms.len()), (IncidentPhase::Open, 2));
    // Incidents are kept apart from the snapshot: what a file says is taken over with its group.
    let mut other = Engine::new(EngineConfig::default());
    other.adopt(engine.incidents().into_iter().cloned().collect());
    other.set_states(vec![crash_loop("shop/a", "a-2")], 420 * STEP);
    assert_eq!(told(&other).len(), 2, "the new pod joins the open incident");
    assert_eq!(told(&other)[0].symptoms.len(), 3);
}

#[test]
fn two_hundred_services_are_found_with_reused_addresses_and_without_traces() {
    let name = |at: usize| format!("shop/s{at}");
    let truth: BTreeSet<(usize, usize)> =
        (1..200).flat_map(|at| [((at - 1) / 2, at), (at / 3, at)]).filter(|(a, b)| a != b).collect();
    let mut engine = Engine::new(EngineConfig::default());
    let mut owner: Vec<usize> = (0..200).collect();
    let mut turn = 7_usize;
    let mut pick = move |n: usize| {
        turn = turn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (turn >> 33) % n
    };
    let placements = |owner: &[usize]| -> Vec<Placement> {
        let place = |(address, who): (usize, &usize)| Placement {
            service: name(*who),
            namespace: "shop".into(),
            pod: format!("s{who}-{address}"),
            node: format!("n{}", address % 5),
            addresses: vec![format!("10.0.{}.{}", address / 250, address % 250)],
        };
        owner.iter().enumerate().map(place).collect()
    };
    engine.set_placements(placements(&owner), 0);
    for index in 0..30 {
        let (start, now) = (index * STEP, (index + 1) * STEP);
        let mut spans = Vec::new();
        for (number, (a, b)) in truth.iter().enumerate() {
            let trace = (index * 1_000 + number as i64 + 1) as u64;
            let at = start + 1_000 + pick(9_000_000) as i64;
            if number % 3 == 0 {
                // The callee sends no spans: only the address that is called is known.
                let address = owner.iter().position(|o| o == b).expect("an address");
                let peer = format!("10.0.{}.{}", address / 250, address % 250);
                spans.push(span(trace, 1, 0, &name(*a), SpanKind::Client, at, Some(&peer)));
            } else {
                spans.push(span(trace, 1, 0, &name(*a), SpanKind::Client, at, None));
                spans.push(span(trace, 2, 1, &name(*b), SpanKind::Server, at, None));
            }
        }
        let named = [
            ("Model/openai:gpt-5", SpanKind::Client),
            ("Tool/search", SpanKind::Internal),
            ("Agent/planner", SpanKind::Internal),
            ("Database/postgresql:db:shop", SpanKind::Client),
            ("Queue/kafka:orders", SpanKind::Producer),
            ("api.pay.example", SpanKind::Client),
        ];
        for (at, (peer, kind)) in named.into_iter().enumerate() {
            spans.push(span(900_000 + at as u64, 1, 0, "shop/s0", kind, start, Some(peer)));
        }
        engine.observe(partial(start, Vec::new(), spans), now);
        if index % 6 == 5 {
            // Ten pods end, and their addresses go to others.
            for _ in 0..10 {
                let (x, y) = (pick(200), pick(200));
                owner.swap(x, y);
            }
            engine.set_placements(placements(&owner), now);
        }
    }
    let edges = engine.topology().edges_at(30 * STEP);
    let service = |kind: EntityKind| kind == EntityKind::Service;
    let found: BTreeSet<(String, String)> = edges
        .iter()
        .filter(|e| service(e.from.kind) && service(e.to.kind))
        .map(|e| (e.from.key(), e.to.key()))
        .collect();
    let truth: BTreeSet<(String, String)> = truth.into_iter().map(|(a, b)| (name(a), name(b))).collect();
    let hit = truth.intersection(&found).count() as f64 / truth.len() as f64;
    let wrong = found.difference(&truth).count() as f64 / found.len() as f64;
    assert!(hit >= 0.99, "found {hit}");
    assert!(wrong <= 0.01, "false {wrong}");
    let inferred =
        edges.iter().find(|e| e.inferred && service(e.to.kind) && service(e.from.kind)).expect("inferred");
    assert!(inferred.confidence < 0.6, "{inferred:?}");
    for kind in [
        EntityKind::Model,
        EntityKind::Tool,
        EntityKind::Agent,
        EntityKind::Database,
        EntityKind::Queue,
        EntityKind::External,
        EntityKind::Pod,
        EntityKind::Node,
    ] {
        assert!(edges.iter().any(|e| e.to.kind == kind), "{kind:?}");
    }
    assert_eq!(
        edges.iter().filter(|e| e.to.kind == EntityKind::External).count(),
        1,
        "no address became a peer"
    );
    assert!(engine.topology().edges_at(-STEP).is_empty(), "nothing existed before");
}

#[test]
fn log_records_tell_of_calls_to_what_is_known() {
    let mut engine = Engine::new(EngineConfig::default());
    for index in 0..3 {
        let start = index * STEP;
        let (trace, at) = (index as u64 + 1, start + 1_000);
        let spans = vec![
            span(trace, 1, 0, "shop/gateway", SpanKind::Server, at, None),
            span(trace, 2, 1, "shop/web", SpanKind::Server, at, None),
            span(trace, 3, 2, "shop/stock", SpanKind::Server, at, None),
        ];
        let called =
            ["server.address=web.shop.svc.cluster.local", "server.address=nobody", "peer.service=stock"];
        let told = called.map(|group| {
            let (mut id, values) = series("shop/proxy", "log.client.calls", SeriesKind::Count, start, 1.0, 5);
            id.group = group.into();
            (id, values)
        });
        engine.observe(partial(start, told.to_vec(), spans), start + STEP);
    }
    let edges = engine.topology().edges_at(3 * STEP);
    let mut found: Vec<(String, bool)> =
        edges.iter().filter(|e| e.from.key() == "shop/proxy").map(|e| (e.to.key(), e.inferred)).collect();
    found.sort();
    assert_eq!(found, [("shop/stock".to_owned(), true), ("shop/web".to_owned(), true)]);
}

#[test]
fn twenty_runs_give_the_same_bytes() {
    let run = || {
        let mut engine = Engine::new(EngineConfig { bundles: true, ..EngineConfig::default() });
        engine.set_services(vec![entry("s1"), entry("s2")]);
        feed_tree(&mut engine, 15, 0..60, &|_, _| 1.0);
        engine.set_states(vec![crash_loop("shop/s7", "s7-1")], 61 * STEP);
        feed_tree(&mut engine, 15, 60..76, &|_, at| if chain(7).contains(&at) { 10.0 } else { 1.0 });
        let bundles: Vec<Vec<u8>> = engine.take_bundles().into_iter().map(|b| b.bytes).collect();
        (serde_json::to_vec(&engine.incidents()).unwrap(), bundles)
    };
    let first = run();
    assert!(!first.1.is_empty());
    for _ in 1..20 {
        assert_eq!(run(), first);
    }
}

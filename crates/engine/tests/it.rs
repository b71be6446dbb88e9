//! The engine over generated windows: a slow callee, silence, restart.

#![allow(clippy::expect_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use causeway_engine::{
    Bundle, BundleError, BundleFile, Engine, EngineConfig, IncidentPhase, SymptomState, digest,
};
use causeway_model::{
    LogHistogram, Partial, SeriesId, SeriesKind, SeriesPartial, SourceRef, SpanKind, SpanStub, Window,
};
use flate2::Compression;
use flate2::write::GzEncoder;

const STEP: i64 = 10_000_000;

fn source() -> SourceRef {
    SourceRef { namespace: "shop".into(), name: "otlp".into() }
}

/// A deterministic scatter around 1.
fn scatter(seed: i64) -> f64 {
    0.9 + 0.2 * ((seed * 7919 % 101) as f64 / 101.0)
}

/// One window of a front end that calls two services; `slow` multiplies the time of the second one.
fn window(index: i64, slow: f64) -> Partial {
    let start = index * STEP;
    let mut spans = Vec::new();
    let mut series = Vec::new();
    let services: [(&str, f64); 3] = [("shop/front", 0.02), ("shop/cart", 0.03), ("shop/price", 0.05 * slow)];
    let mut latencies = vec![Vec::new(); 3];
    for request in 0..20 {
        let trace = (index * 100 + request + 1) as u64;
        let noise = scatter(index * 31 + request);
        let own: Vec<i64> = services.iter().map(|(_, s)| (s * noise * 1e6) as i64).collect();
        let total = own.iter().sum::<i64>();
        let begin = start + request * 400_000;
        let span = |id: u64, parent: u64, service: &str, kind, start_us, duration_us| SpanStub {
            trace,
            span: id,
            parent,
            service: service.into(),
            operation: "GET".into(),
            kind,
            start_us,
            duration_us,
            error: false,
            peer: None,
        };
        spans.push(span(1, 0, services[0].0, SpanKind::Server, begin, total));
        spans.push(span(2, 1, services[0].0, SpanKind::Client, begin + own[0], own[1] + 500));
        spans.push(span(3, 2, services[1].0, SpanKind::Server, begin + own[0] + 200, own[1]));
        spans.push(span(4, 1, services[0].0, SpanKind::Client, begin + own[0] + own[1], own[2] + 500));
        spans.push(span(5, 4, services[2].0, SpanKind::Server, begin + own[0] + own[1] + 200, own[2]));
        for (list, value) in latencies.iter_mut().zip([total, own[1], own[2]]) {
            list.push(value as f64 / 1e6);
        }
    }
    for ((service, _), values) in services.iter().zip(&latencies) {
        let id =
            |signal: &str| SeriesId { entity: (*service).into(), signal: signal.into(), group: "".into() };
        let mut requests = SeriesPartial { kind: SeriesKind::Count, ..SeriesPartial::default() };
        let mut latency = SeriesPartial { kind: SeriesKind::Latency, ..SeriesPartial::default() };
        let mut histogram = LogHistogram::default();
        for value in values {
            requests.add(start, 1.0);
            latency.add(start, *value);
            histogram.add(*value);
        }
        latency.histogram = Some(histogram);
        series.push((id("requests"), requests));
        series.push((id("errors"), SeriesPartial { kind: SeriesKind::Count, ..SeriesPartial::default() }));
        series.push((id("latency"), latency));
    }
    Partial {
        source: source(),
        window: Window { start_us: start, end_us: start + STEP },
        series,
        spans,
        templates: Vec::new(),
        aliases: Vec::new(),
        template_texts: vec![(1, Arc::from("started"))],
        records: 100,
        newest_us: start + STEP,
    }
}

fn feed(engine: &mut Engine, windows: std::ops::Range<i64>, slow: f64) {
    for index in windows {
        engine.observe(window(index, slow), (index + 2) * STEP);
    }
}

#[test]
fn a_slow_callee_opens_one_incident_that_names_it_and_ends_with_it() {
    let mut engine = Engine::new(EngineConfig::default());
    feed(&mut engine, 0..90, 1.0);
    assert!(engine.incidents().is_empty(), "quiet data opens nothing");
    feed(&mut engine, 90..102, 12.0);
    assert_eq!(engine.incidents().len(), 1);
    let incident = engine.incidents()[0].clone();
    assert_eq!(incident.service, "shop/front");
    let draft = incident.draft.expect("diagnosed");
    assert_eq!(draft.cause.entity, "shop/price", "{draft:?}");
    assert!(!draft.explanation.is_empty());
    causeway_causal::draft::verify_explanation(&draft).unwrap();
    feed(&mut engine, 102..145, 1.0);
    let incident = &engine.incidents()[0];
    assert_eq!((incident.symptom, incident.phase), (SymptomState::Clear, IncidentPhase::Resolved));
    assert_eq!(engine.incidents().len(), 1);
}

#[test]
fn an_outage_does_not_become_normal() {
    let mut engine = Engine::new(EngineConfig::default());
    feed(&mut engine, 0..90, 1.0);
    feed(&mut engine, 90..400, 12.0);
    assert_eq!(engine.incidents()[0].symptom, SymptomState::Firing);
}

#[test]
fn silence_is_neither_firing_nor_clear() {
    let mut engine = Engine::new(EngineConfig::default());
    feed(&mut engine, 0..90, 1.0);
    feed(&mut engine, 90..100, 12.0);
    engine.tick(140 * STEP);
    assert_eq!(engine.incidents()[0].symptom, SymptomState::NoData);
    assert!(engine.take_events().iter().any(|e| e.reason == "SourceSilent"));
    engine.tick(400 * STEP);
    assert_eq!(engine.incidents()[0].phase, IncidentPhase::Open, "missing data never resolves");
}

#[test]
fn a_restored_engine_goes_on_identically() {
    let mut straight = Engine::new(EngineConfig::default());
    feed(&mut straight, 0..90, 1.0);
    let bytes = straight.snapshot().unwrap();
    let mut restored = Engine::restore(EngineConfig::default(), &bytes).unwrap();
    for index in 0..90 {
        restored.remember(window(index, 1.0));
    }
    for engine in [&mut straight, &mut restored] {
        feed(engine, 90..104, 12.0);
    }
    let (a, b) = (&straight.incidents()[0], &restored.incidents()[0]);
    assert_eq!(a.fingerprint, b.fingerprint);
    assert_eq!(a.detected_us, b.detected_us);
    assert_eq!(a.draft.as_ref().map(|d| &d.cause), b.draft.as_ref().map(|d| &d.cause));
}

/// An engine that decided, and the last bundle it made.
fn decided() -> (Engine, BundleFile) {
    let mut engine = Engine::new(EngineConfig { bundles: true, ..EngineConfig::default() });
    feed(&mut engine, 0..90, 1.0);
    feed(&mut engine, 90..102, 12.0);
    let file = engine.take_bundles().pop().expect("a bundle of each ranking");
    (engine, file)
}

#[test]
fn a_bundle_makes_the_same_decision_again() {
    let (engine, file) = decided();
    let incident = &engine.incidents()[0];
    assert_eq!(file.fingerprint, incident.fingerprint);
    assert_eq!(incident.bundle.as_ref(), Some(&file.digest), "the newest ranking is the one that is kept");
    assert_eq!(file.digest, digest(&file.bytes));
    assert_eq!(decided().1, file, "the same input gives the same bytes");
    let bundle = Bundle::read(&file.bytes).unwrap();
    for _ in 0..20 {
        let again = bundle.replay().unwrap();
        assert_eq!(again.decision, bundle.decision);
        let kept = incident.draft.as_ref().expect("diagnosed");
        assert_eq!((&again.draft.cause, &again.draft.explanation), (&kept.cause, &kept.explanation));
    }
}

#[test]
fn a_damaged_bundle_is_refused() {
    let (_, file) = decided();
    assert!(matches!(Bundle::read(b"PK"), Err(BundleError::Damaged(_))));
    assert!(matches!(Bundle::read(&file.bytes[..file.bytes.len() / 2]), Err(BundleError::Damaged(_))));
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    let newer = BTreeMap::from([("version", 99)]);
    rmp_serde::encode::write_named(&mut packer, &newer).unwrap();
    let bytes = packer.finish().unwrap();
    assert!(matches!(Bundle::read(&bytes), Err(BundleError::Version { found: 99 })));
}

#[test]
fn a_new_owner_goes_on_from_the_snapshot_and_what_gateways_resend() {
    let from = |engine: &mut Engine, indexes: std::ops::Range<i64>, slow: f64| {
        for index in indexes {
            let sequence = index as u64 + 1;
            engine.observe_from("one", sequence, window(index, slow), (index + 2) * STEP);
        }
    };
    let mut straight = Engine::new(EngineConfig::default());
    from(&mut straight, 0..95, 1.0);
    // A second gateway holds the last windows back.
    straight.observe_from("two", 1, window(90, 1.0), 97 * STEP);
    from(&mut straight, 95..97, 1.0);
    assert_eq!(straight.cursor("one"), 97);
    let bytes = straight.snapshot().unwrap();
    let mut restored = Engine::restore(EngineConfig::default(), &bytes).unwrap();
    let cursor = restored.cursor("one");
    assert!(cursor < 97, "windows that were not complete come again: {cursor}");
    for index in 0..i64::try_from(cursor).unwrap() {
        restored.remember(window(index, 1.0));
    }
    restored.await_sources(99 * STEP);
    // It does not know where the cursor is: all that is still kept comes again.
    from(&mut restored, 50..97, 1.0);
    for engine in [&mut straight, &mut restored] {
        from(engine, 97..110, 12.0);
        assert_eq!(engine.cursor("one"), 110);
        assert!(!engine.observe_from("one", 110, window(109, 12.0), 112 * STEP), "known");
    }
    let (a, b) = (&straight.incidents()[0], &restored.incidents()[0]);
    assert_eq!((&a.fingerprint, a.detected_us), (&b.fingerprint, b.detected_us));
    assert_eq!(straight.counts().windows, 110);
}

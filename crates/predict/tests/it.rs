//! Properties that hold for every series.

use std::sync::Arc;

use causeway_predict::{
    Alert, Config, Detector, Direction, ForecastOptions, MissingData, ModelKind, Observation, Offsets,
    PeakEvent, Prior, Reorder, SignalKind, State, Transition, Verdict, WindowRule, forecast, offline,
    time_to_breach,
};
use proptest::prelude::*;

/// A small generator, so that series are the same everywhere.
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) as f64) / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

/// Days of five-minute points with a daily rhythm, noise, and spikes.
fn series(seed: u64, n: usize) -> Vec<(i64, f64)> {
    let mut noise = Noise(seed);
    (0..n)
        .map(|i| {
            let daily = (i as f64 / 288.0 * std::f64::consts::TAU).sin();
            let spike = if noise.uniform() < 0.002 { 40.0 * noise.uniform() } else { 0.0 };
            (1_700_000_000 + 300 * i as i64, 50.0 + 20.0 * daily + noise.normal() + spike)
        })
        .collect()
}

fn verdicts(config: &Arc<Config>, points: &[(i64, f64)]) -> Vec<Verdict> {
    let mut detector = Detector::new(config.clone());
    points.iter().map(|&(t, v)| detector.observe(t, Some(v))).collect()
}

fn gauge() -> Arc<Config> {
    Arc::new(Config { kind: SignalKind::Gauge, ..Config::default() })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn restored_detectors_continue_identically(seed in any::<u64>(), cut in 1_usize..900) {
        let (config, points) = (gauge(), series(seed, 1000));
        let mut whole = Detector::new(config.clone());
        let mut first = Detector::new(config.clone());
        for &(t, v) in &points[..cut] {
            whole.observe(t, Some(v));
            first.observe(t, Some(v));
        }
        let text = serde_json::to_string(first.snapshot()).unwrap();
        let state: State = serde_json::from_str(&text).unwrap();
        let mut second = Detector::restore(config, state);
        for &(t, v) in &points[cut..] {
            prop_assert_eq!(whole.observe(t, Some(v)), second.observe(t, Some(v)));
        }
    }

    #[test]
    fn scaling_and_shifting_a_gauge_changes_no_verdict(seed in any::<u64>(), power in -8_i32..8, shift in -512_i32..512) {
        let (config, points) = (gauge(), series(seed, 1500));
        // Powers of two and few digits keep the arithmetic exact enough to compare flags.
        let points: Vec<(i64, f64)> = points.iter().map(|&(t, v)| (t, (v * 64.0).round() / 64.0)).collect();
        let moved: Vec<(i64, f64)> =
            points.iter().map(|&(t, v)| (t, (v + f64::from(shift)) * 2_f64.powi(power))).collect();
        for (a, b) in verdicts(&config, &points).iter().zip(verdicts(&config, &moved)) {
            prop_assert!((a.score - b.score).abs() < 0.05, "{} {}", a.score, b.score);
            prop_assert_eq!(a.anomalous, b.anomalous);
        }
    }

    #[test]
    fn arrival_order_inside_the_delay_changes_nothing(seed in any::<u64>()) {
        let (config, points) = (gauge(), series(seed, 600));
        let mut noise = Noise(seed ^ 7);
        let mut arrivals: Vec<(i64, i64, f64)> =
            points.iter().map(|&(t, v)| (t + (noise.uniform() * 890.0) as i64, t, v)).collect();
        arrivals.sort_by_key(|&(arrived, _, _)| arrived);
        let mut reorder = Reorder::new(900);
        let mut detector = Detector::new(config.clone());
        let mut seen = Vec::new();
        for (_, t, v) in arrivals {
            seen.extend(reorder.push(t, v).into_iter().map(|(t, v)| detector.observe(t, Some(v))));
        }
        seen.extend(reorder.drain().into_iter().map(|(t, v)| detector.observe(t, Some(v))));
        prop_assert_eq!(seen, verdicts(&config, &points));
    }

    #[test]
    fn constant_or_missing_series_never_page(value in -1e9_f64..1e9, kind in 0_usize..6, holes in 0_u64..5) {
        let kinds = [SignalKind::Auto, SignalKind::Gauge, SignalKind::Counter, SignalKind::Count, SignalKind::Ratio, SignalKind::Latency];
        for config in [Config { kind: kinds[kind], ..Config::default() }, Config::golden(kinds[kind])] {
            let mut detector = Detector::new(config);
            for i in 0..2000_u64 {
                let missing = holes > 0 && (i / 7) % 5 < holes;
                let verdict = detector.observe(300 * i as i64, (!missing).then_some(value));
                prop_assert!(!verdict.anomalous && !verdict.outside, "{:?} at {}", verdict, i);
            }
        }
    }

    #[test]
    fn no_input_panics(rows in prop::collection::vec((any::<i64>(), any::<f64>()), 0..300), kind in 0_usize..6, horizon in 0_usize..40) {
        let kinds = [SignalKind::Auto, SignalKind::Gauge, SignalKind::Counter, SignalKind::Count, SignalKind::Ratio, SignalKind::Latency];
        let mut detector = Detector::new(Config { kind: kinds[kind], warmup: 5, ..Config::default() });
        for &(t, v) in &rows {
            let v = detector.observe(t, Some(v));
            prop_assert!(v.score.is_finite());
        }
        let near: Vec<(i64, f64)> = rows.iter().map(|&(t, v)| (t % 1_000_000, v)).collect();
        if let Ok(made) = forecast(&near, horizon, &ForecastOptions::default()) {
            prop_assert_eq!(made.mean.len(), horizon);
            for pair in made.quantiles.windows(2) {
                prop_assert!(pair[0].1.iter().zip(&pair[1].1).all(|(a, b)| a <= b));
            }
        }
    }

    #[test]
    fn offline_never_panics(text in "[0-9T:Z,.\\-na\n]{0,200}") {
        if let Ok(lines) = offline::baseline(&text, None) {
            prop_assert!(lines.count() > 0);
        }
        if let Ok(made) = offline::forecast(&text, 5, None) {
            prop_assert!(made.len() > 10);
        }
    }
}

/// What a golden signal's finding did: openings before the fault, windows from the fault to its opening, and of the
/// last 20 windows of the fault those that had it open.
struct Run {
    false_openings: usize,
    found: Option<usize>,
    open: usize,
}

/// Ten-second windows: 60 of them normal, then 40 of a fault. Each is `(value, weight)`.
fn golden(
    kind: SignalKind,
    normal: impl Fn(&mut Noise) -> (f64, f64),
    fault: impl Fn(&mut Noise) -> (f64, f64),
    seed: u64,
) -> Run {
    let mut noise = Noise(seed);
    let mut detector = Detector::new(Config::golden(kind));
    let mut alert = Alert::new(WindowRule::default(), MissingData::Ignore);
    let mut run = Run { false_openings: 0, found: None, open: 0 };
    for i in 0..100 {
        let (value, weight) = if i < 60 { normal(&mut noise) } else { fault(&mut noise) };
        let t = 1_000_000 + 10 * i as i64;
        let verdict = detector.observe_weighted(t, Some(value), Some(weight));
        if let Some(Transition::Opened { .. }) =
            alert.observe(t, Observation::of(&verdict, alert.is_open(), 1.0))
        {
            if i < 60 {
                run.false_openings += 1;
            } else if run.found.is_none() {
                run.found = Some(i - 60);
            }
        }
        run.open += usize::from(i >= 80 && alert.is_open());
    }
    run
}

fn latency(level: f64, spread: f64) -> impl Fn(&mut Noise) -> (f64, f64) {
    move |n| (level * (spread * n.normal()).exp(), 50.0)
}

fn errors(p: f64, trials: u32) -> impl Fn(&mut Noise) -> (f64, f64) {
    move |n| {
        let bad = (0..trials).filter(|_| n.uniform() < p).count();
        (bad as f64 / f64::from(trials), f64::from(trials))
    }
}

fn poisson(mean: f64) -> impl Fn(&mut Noise) -> (f64, f64) {
    move |n| {
        let (mut k, mut p, floor) = (0.0, n.uniform(), (-mean).exp());
        while p > floor {
            k += 1.0;
            p *= n.uniform();
        }
        (k, k)
    }
}

#[test]
fn golden_faults_open_a_finding_within_a_few_windows() {
    for seed in 0..50 {
        let runs = [
            ("steady latency", 3, golden(SignalKind::Latency, latency(0.1, 0.1), latency(0.3, 0.1), seed)),
            ("errors", 4, golden(SignalKind::Ratio, errors(0.01, 100), errors(0.3, 100), seed)),
            ("rate", 6, golden(SignalKind::Count, poisson(30.0), poisson(2.0), seed)),
        ];
        for (what, within, run) in runs {
            assert!(run.found.is_some_and(|at| at <= within), "{what}, seed {seed}: {:?}", run.found);
            assert!(run.open >= 18, "{what}, seed {seed}: open in {} of 20", run.open);
        }
    }
}

#[test]
fn a_scattered_latency_is_found_in_most_cases() {
    let found = (0..100)
        .filter(|&seed| {
            let run = golden(SignalKind::Latency, latency(0.1, 0.33), latency(0.35, 0.33), seed);
            run.found.is_some_and(|at| at <= 12)
        })
        .count();
    assert!(found >= 85, "{found} of 100");
}

#[test]
fn golden_noise_opens_no_finding() {
    let mut false_openings = 0;
    for seed in 0..100 {
        for spread in [0.1, 0.33, 0.5] {
            false_openings +=
                golden(SignalKind::Latency, latency(0.1, spread), latency(0.1, spread), seed).false_openings;
        }
        false_openings += golden(SignalKind::Ratio, errors(0.02, 4), errors(0.02, 4), seed).false_openings;
        false_openings += golden(SignalKind::Count, poisson(2.0), poisson(2.0), seed).false_openings;
        false_openings += golden(SignalKind::Count, poisson(30.0), poisson(30.0), seed).false_openings;
    }
    assert!(false_openings == 0, "{false_openings} in 600 runs");
}

/// Requests a five-minute step: a daily rhythm and Poisson-like noise.
fn requests(noise: &mut Noise, i: usize) -> f64 {
    let daily = 1.0 + 0.5 * (i as f64 / 288.0 * std::f64::consts::TAU).sin();
    (1000.0 * daily * (1.0 + 0.03 * noise.normal())).round()
}

#[test]
fn a_declared_peak_is_normal_and_an_outage_in_it_is_not() {
    let (start, hour) = (10 * 86_400, 3_600);
    let peak = |multiplier| PeakEvent {
        name: "sale".to_owned(),
        start,
        end: start + 12 * hour,
        multiplier,
        warm_up: 0,
        cool_down: 0,
    };
    let run = |multiplier: Option<f64>, outage: bool| {
        let mut noise = Noise(5);
        let mut detector = Detector::new(Config {
            events: Arc::from([peak(multiplier)]),
            step: Some(300),
            ..Config::default()
        });
        let mut flagged = Vec::new();
        for i in 0..11 * 288 {
            let t = 300 * i as i64;
            let mut value = requests(&mut noise, i);
            if peak(None).contains(t) {
                value *= if outage && t >= start + 6 * hour { 2.0 } else { 7.0 };
            }
            if detector.observe(t, Some(value)).anomalous && t >= start {
                flagged.push((t - start) / 300);
            }
        }
        flagged
    };
    assert_eq!(run(Some(7.0), false), Vec::<i64>::new(), "declared");
    assert_eq!(run(None, false), Vec::<i64>::new(), "of unknown size");
    let found = run(Some(7.0), true);
    assert!(found.first().is_some_and(|&at| (72..75).contains(&at)), "{found:?}");
}

#[test]
fn warm_up_and_cool_down_are_expected_and_teach_nothing() {
    let (start, hour) = (10 * 86_400, 3_600);
    let peak = PeakEvent {
        name: "sale".to_owned(),
        start,
        end: start + 12 * hour,
        multiplier: Some(7.0),
        warm_up: 6 * hour,
        cool_down: 6 * hour,
    };
    let config = Arc::new(Config { events: Arc::from([peak.clone()]), step: Some(300), ..Config::default() });
    let (mut noise, mut detector) = (Noise(8), Detector::new(config));
    let mut ordinary = Detector::new(Config { step: Some(300), ..Config::default() });
    let (mut plain, mut last) = (Noise(8), None);
    for i in 0..14 * 288 {
        let t = 300 * i as i64;
        let value = (requests(&mut noise, i) * 7_f64.powf(peak.share(t))).round();
        let verdict = detector.observe(t, Some(value));
        assert!(!verdict.anomalous || t < start - 6 * hour, "{verdict:?} at {}", t - start);
        let calm = ordinary.observe(t, Some(requests(&mut plain, i)));
        last = verdict.ordinary.zip(calm.ordinary);
    }
    assert!(last.is_some_and(|(with, without)| (with / without - 1.0).abs() < 0.05), "{last:?}");
}

#[test]
fn a_remembered_event_is_expected_at_its_next_occurrence() {
    let day = 86_400;
    let first = PeakEvent {
        name: "payday".to_owned(),
        start: 8 * day,
        end: 8 * day + day / 2,
        multiplier: None,
        warm_up: 0,
        cool_down: 0,
    };
    let events = first.every(5, &Offsets::default(), 20 * day);
    let config = Config { events: events.clone().into(), step: Some(300), ..Config::default() };
    let (mut noise, mut detector) = (Noise(4), Detector::new(config));
    let mut off = Vec::new();
    for i in 0..19 * 288 {
        let t = 300 * i as i64;
        let inside = events.iter().any(|e| e.contains(t));
        let value = requests(&mut noise, i) * if inside { 4.0 } else { 1.0 };
        let verdict = detector.observe(t, Some(value.round()));
        if t > 10 * day && inside {
            off.push((verdict.expected.unwrap_or(0.0) / value - 1.0).abs());
            assert!(!verdict.anomalous, "{verdict:?}");
        }
    }
    let mean = off.iter().sum::<f64>() / off.len() as f64;
    assert!(mean < 0.1, "{mean}");
}

#[test]
fn a_clock_change_is_no_deviation_where_the_zone_is_known() {
    // The workload lives by local time: a batch from 2 to 3, ten times the usual; the clock goes forward on day 12.
    let change = 12 * 86_400;
    let zone = Offsets::new(vec![(0, 3600), (change, 7200)]);
    let flagged = |offsets: Offsets| {
        let config = Config { offsets: Arc::new(offsets), step: Some(300), ..Config::default() };
        let (mut noise, mut detector) = (Noise(6), Detector::new(config));
        let day_after = change..change + 2 * 86_400;
        (0..16 * 288)
            .filter(|&i| {
                let t = 300 * i;
                let batch = (7_200..10_800).contains(&zone.local(t).rem_euclid(86_400));
                let value = 100.0 * if batch { 10.0 } else { 1.0 } + 3.0 * noise.normal();
                detector.observe(t, Some(value.round())).anomalous && day_after.contains(&t)
            })
            .count()
    };
    assert_eq!(flagged(zone.clone()), 0);
    assert!(flagged(Offsets::default()) > 0);
}

#[test]
fn a_pattern_that_vanishes_is_found_and_a_rare_one_is_not_missed() {
    let config = || Config { kind: SignalKind::Count, step: Some(60), ..Config::default() };
    let mut noise = Noise(12);
    let mut detector = Detector::new(config());
    let first = (0..5_000).position(|i| {
        let value = if i < 4_500 { poisson(4.0)(&mut noise).0 } else { 0.0 };
        detector.observe(60 * i, Some(value)).anomalous
    });
    assert!(first.is_some_and(|at| (4_500..4_520).contains(&at)), "{first:?}");
    let mut detector = Detector::new(config());
    for i in 0..20_000 {
        let value = poisson(1.0 / 60.0)(&mut noise).0;
        let verdict = detector.observe(60 * i, Some(value));
        assert!(value > 0.0 || !verdict.anomalous, "silence at {i}: {verdict:?}");
    }
}

#[test]
fn few_trials_prove_nothing() {
    let config = Config { min_events: 5.0, ..Config::golden(SignalKind::Ratio) };
    let (mut noise, mut detector) = (Noise(2), Detector::new(config));
    let mut found = None;
    for i in 0..300 {
        let (value, weight) = match i {
            // Three requests, two of them bad, for ten minutes; then a thousand with a third bad.
            200..260 => (2.0 / 3.0, 3.0),
            260.. => (0.33, 1000.0),
            _ => errors(0.01, 500)(&mut noise),
        };
        let verdict = detector.observe_weighted(10 * i, Some(value), Some(weight));
        if verdict.anomalous && i >= 200 && found.is_none() {
            found = Some(i);
        }
    }
    assert!(found.is_some_and(|at| (260..264).contains(&at)), "{found:?}");
}

#[test]
fn siblings_agree_on_a_prior() {
    let of = |levels: &[f64]| {
        let siblings: Vec<Prior> = levels.iter().map(|&level| Prior { level, scale: level / 10.0 }).collect();
        Prior::of_siblings(&siblings)
    };
    assert_eq!(of(&[1.0, 1.2, 900.0]), Some(Prior { level: 1.2, scale: 0.12 }));
    assert_eq!(of(&[]), None);
    assert_eq!(of(&[0.0]), None);
}

#[test]
fn a_prior_of_siblings_shortens_the_start() {
    let mut sibling = Detector::new(Config::golden(SignalKind::Latency));
    let mut noise = Noise(9);
    for i in 0..200 {
        sibling.observe(10 * i, Some(0.1 * (0.1 * noise.normal()).exp()));
    }
    let prior = sibling.typical();
    assert!(
        prior.is_some_and(|p| (p.level - 0.1).abs() < 0.02 && p.scale > 0.002 && p.scale < 0.03),
        "{prior:?}"
    );
    let mut detector = Detector::new(Config { prior, ..Config::golden(SignalKind::Latency) });
    let ready = (0..20).position(|i| detector.observe(10 * i, Some(0.1)).ready);
    assert_eq!(ready, Some(4));
    assert!((0..3).any(|i| detector.observe(1000 + 10 * i, Some(0.5)).anomalous));
}

#[test]
fn static_bounds_hold_at_once() {
    let model = ModelKind::Static { lower: Some(1.0), upper: Some(2.0) };
    let mut detector = Detector::new(Config { model, direction: Direction::Above, ..Config::default() });
    let flags: Vec<bool> =
        [0.5, 1.5, 2.5].iter().zip(0..).map(|(&v, t)| detector.observe(t, Some(v)).anomalous).collect();
    assert_eq!(flags, [false, false, true]);
}

#[test]
fn a_counter_reset_is_no_deviation() {
    let mut detector = Detector::new(Config { kind: SignalKind::Counter, ..Config::default() });
    let (mut total, mut noise) = (1e6, Noise(3));
    for i in 0..3000_i64 {
        total = if i == 2000 { 0.0 } else { total } + 600.0 + 30.0 * noise.normal();
        let verdict = detector.observe(60 * i, Some(total));
        assert!(!(1990..2100).contains(&i) || !verdict.anomalous, "at {i}: {verdict:?}");
    }
}

#[test]
fn state_is_small() {
    let mut detector = Detector::new(gauge());
    for (t, v) in series(1, 600) {
        detector.observe(t, Some(v));
    }
    assert!(detector.memory() <= 2600, "{} bytes", detector.memory());
}

#[test]
fn a_rising_series_breaches() {
    let history: Vec<(i64, f64)> = (0..500).map(|i| (60 * i, i as f64)).collect();
    let made = forecast(&history, 60, &ForecastOptions::default()).unwrap();
    let breach = time_to_breach(&made, 505.0, Direction::Above, 0.5).unwrap();
    assert!(breach.at > 60 * 499 && breach.at <= 60 * 560 && breach.likely, "{breach:?}");
    assert_eq!(time_to_breach(&made, 1e9, Direction::Above, 0.5), None);
}

#[test]
fn odd_documents_give_errors_or_nulls() {
    assert_eq!(offline::read_series("timestamp,value\n"), Err(offline::OfflineError::Empty));
    assert!(offline::read_series("timestamp,value\nyesterday,1\n").is_err());
    let lines: Vec<String> = offline::baseline(
        "timestamp,value\n2024-01-01T00:00:00Z,\n2024-01-01T00:00:00Z,NaN\n2023-01-01 00:00:00,5\n",
        None,
    )
    .unwrap()
    .collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[2].contains("\"expected\":null"), "{}", lines[2]);
    let one = offline::forecast("timestamp,value\n2024-01-01T00:00:00Z,7\n", 3, None).unwrap();
    assert!(one.starts_with("{\"mean\":[7.0,7.0,7.0]"), "{one}");
    assert!(offline::forecast("timestamp,value\n2024-01-01T00:00:00Z,\n", 3, None).is_err());
}

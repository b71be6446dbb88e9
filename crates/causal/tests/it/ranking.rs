use causeway_causal::case::{Case, LogLine, Severity, SpanStatus};
use causeway_causal::offline::to_json;
use causeway_causal::rank::rank;
use causeway_causal::ranking::CauseClass;
use causeway_causal::signal::{Class, classify};

use crate::made::{Fault, lines, shop, traces};

fn plain(name: &str) -> String {
    name.to_owned()
}

#[test]
fn the_slow_or_failing_or_busy_one_comes_first() {
    for (fault, cause) in [
        (Fault::Slow("store"), "store"),
        (Fault::Slow("tax"), "tax"),
        (Fault::Slow("checkout"), "checkout"),
        (Fault::Failing("pay"), "pay"),
        (Fault::Failing("store"), "store"),
        (Fault::Busy("search"), "search"),
    ] {
        for late in 0..4 {
            let ranking = rank(&shop(fault, late, &plain));
            assert_eq!(ranking.ranked[0].entity, cause, "late by {late}");
            assert!(!ranking.abstained, "{cause} late by {late}: {}", ranking.ranked[0].score);
            assert!(ranking.confidence > 0.5);
            assert!(ranking.ranked[0].evidence.len() >= 2);
        }
    }
}

#[test]
fn names_do_not_matter() {
    let renamed = |name: &str| format!("x{}", name.bytes().map(u32::from).sum::<u32>());
    for fault in [Fault::Slow("store"), Fault::Failing("pay"), Fault::Busy("search")] {
        let (a, b) = (rank(&shop(fault, 0, &plain)), rank(&shop(fault, 0, &renamed)));
        assert_eq!(renamed(&a.ranked[0].entity), b.ranked[0].entity);
        assert!((a.ranked[0].score - b.ranked[0].score).abs() < 1e-9);
    }
}

#[test]
fn a_missing_edge_does_not_hide_the_cause() {
    for gone in 0..7 {
        let mut case = shop(Fault::Slow("store"), 0, &plain);
        case.edges.remove(gone);
        let ranking = rank(&case);
        assert_eq!(ranking.ranked[0].entity, "store", "without edge {gone}");
    }
}

#[test]
fn no_incident_no_cause() {
    let ranking = rank(&shop(Fault::None, 0, &plain));
    assert!(ranking.abstained);
    assert!(ranking.confidence < 0.5);
}

#[test]
fn empty_cases_are_answered() {
    let case = causeway_causal::case::Case::new("empty", "web", "latency", "p99", 0, 60);
    let ranking = rank(&case);
    assert!(ranking.abstained && ranking.ranked.len() == 1);
}

#[test]
fn the_same_case_gives_the_same_bytes() {
    let mut case = shop(Fault::Slow("tax"), 0, &plain);
    traces(&mut case, 60, 0, 0, false);
    traces(&mut case, 60, 40_000, 0, true);
    let first = to_json("a", &rank(&case));
    for _ in 0..20 {
        assert_eq!(first, to_json("a", &rank(&case.clone())));
    }
    // Nor does the order of what comes in.
    case.edges.reverse();
    case.series.reverse();
    assert_eq!(first, to_json("a", &rank(&case)));
}

#[test]
fn node_and_link_are_told_apart() {
    for (own, link, class) in [(60_000, 0, CauseClass::SlowItself), (0, 60_000, CauseClass::NetworkDelay)] {
        let mut case = shop(Fault::None, 0, &plain);
        traces(&mut case, 80, 0, 0, false);
        traces(&mut case, 80, own, link, true);
        let ranking = rank(&case);
        assert_eq!((ranking.ranked[0].entity.as_str(), ranking.ranked[0].class), ("tax", class));
        assert!(!ranking.abstained);
    }
}

#[test]
fn a_new_error_line_and_a_missing_line_speak() {
    let mut case = shop(Fault::None, 0, &plain);
    traces(&mut case, 50, 0, 0, false);
    traces(&mut case, 50, 0, 0, true);
    lines(&mut case, 50, "INFO looked up rate {} ms", false);
    let mut returns = case.clone();
    lines(&mut case, 50, "INFO looked up rate {} ms", true);
    lines(&mut case, 40, "ERROR tax.py:41 bad rate for order {}", true);
    let ranking = rank(&case);
    assert_eq!(
        (ranking.ranked[0].entity.as_str(), ranking.ranked[0].class),
        ("tax", CauseClass::CodeException)
    );
    let first_bad = ranking.ranked[0]
        .evidence
        .iter()
        .find(|e| e.signal.contains("tax.py:41"))
        .expect("the first bad line");
    assert!(first_bad.note.contains("order 0"));
    // It no longer writes what it always wrote.
    returns.logs.clear();
    let ranking = rank(&returns);
    assert_eq!((ranking.ranked[0].entity.as_str(), ranking.ranked[0].class), ("tax", CauseClass::CodeReturn));
}

#[test]
fn a_caller_that_gives_up_and_complains_is_not_the_cause() {
    let mut case = shop(Fault::None, 0, &plain);
    traces(&mut case, 80, 0, 0, false);
    traces(&mut case, 80, 60_000, 0, true);
    let checkout = case.names.intern("checkout");
    // It waits for 20 ms, and then its own request fails.
    for span in case.spans.iter_mut().filter(|s| s.entity == checkout) {
        span.status = SpanStatus::Error;
        span.duration_us = 20_000;
    }
    let complaints = case.spans.iter().filter(|s| s.span == 3).map(|s| LogLine {
        time_us: s.start_us,
        entity: checkout,
        trace: s.trace,
        span: 3,
        severity: Severity::Warn,
        message: "call to tax timed out after 20 ms".into(),
        template: None,
        count: 1,
    });
    case.logs = complaints.collect();
    let ranking = rank(&case);
    assert_eq!((ranking.ranked[0].entity.as_str(), ranking.ranked[0].class), ("tax", CauseClass::SlowItself));
    // A failure that the callee knows nothing of is its own.
    traces(&mut case, 80, 0, 0, true);
    for span in case.spans.iter_mut().filter(|s| s.entity == checkout && s.span == 3) {
        span.status = SpanStatus::Error;
    }
    case.logs.clear();
    assert_eq!(rank(&case).ranked[0].entity, "checkout");
}

#[test]
fn what_is_used_up_names_the_class() {
    let slow = || {
        let mut case = shop(Fault::None, 0, &plain);
        traces(&mut case, 80, 0, 0, false);
        traces(&mut case, 80, 60_000, 0, true);
        case
    };
    let add = |case: &mut Case, metric: &str, usual: f64, now: f64| {
        let values = (0..10).map(|at| if at < 4 { usual } else { now }).collect();
        case.add_series("tax", metric, "", values, vec![usual; 200]);
    };
    let of = |case: &Case| {
        let first = rank(case).ranked.remove(0);
        (first.entity, first.class)
    };
    let mut pool = slow();
    add(&mut pool, "db.client.connection.pending_requests", 0.0, 40.0);
    assert_eq!(of(&pool), ("tax".to_owned(), CauseClass::ConnectionPool));
    let mut demand = slow();
    add(&mut demand, "k8s.container.cpu_limit_utilization", 0.4, 0.99);
    let tax = demand.names.intern("tax");
    for series in demand.series.iter_mut().filter(|s| s.entity == tax) {
        if classify(&series.metric, &series.stat).class == Class::Traffic {
            series.values.iter_mut().skip(4).for_each(|value| *value *= 3.0);
        }
    }
    assert_eq!(of(&demand), ("tax".to_owned(), CauseClass::Overload));
    add(&mut demand, "messaging.consumer.lag", 2.0, 5_000.0);
    assert_eq!(of(&demand), ("tax".to_owned(), CauseClass::QueueGrowth));
}

#[test]
fn an_incident_without_points_before_it_is_compared_with_the_baseline() {
    let mut case = shop(Fault::Busy("search"), 0, &plain);
    case.times_us.drain(..4);
    for series in &mut case.series {
        series.values.drain(..4);
    }
    let ranking = rank(&case);
    assert_eq!(ranking.ranked[0].entity, "search");
}

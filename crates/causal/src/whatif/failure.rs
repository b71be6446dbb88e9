//! Which share of the requests fails after a change: what is refused or comes too late, and what fails with it.

use super::level::{now, usual};
use super::load::{Load, refused};
use super::system::System;
use super::time::Three;

/// Share of the failed calls with which callers fail, where none has failed yet: low, likely, high.
const PASSES: Three = [0.1, 0.9, 1.0];
/// Share of the answers of a starved service that come too late for its callers: low, likely, high.
const LATE: Three = [0.1, 0.8, 1.0];
/// What a starved service is asked for besides, because callers ask again: budgets of a fifth for retries are common, and calls
/// nest: low, likely, high.
const AGAIN: Three = [0.9, 1.25, 2.0];
/// Retries for each failed call: low, likely, high.
const RETRIES: Three = [0.0, 0.2, 0.3];

/// Share of the requests of every service that fail after the change, and how much more or less of what callers get of it is of
/// no use to them.
pub(super) fn shares(system: &System, present: &[Load], after: &[Load]) -> (Vec<Three>, Vec<Three>) {
    let mut found: Vec<Three> = vec![[f64::NAN; 3]; system.services.len()];
    // What callers get of it more that is of no use to them.
    let mut worse: Vec<Three> = vec![[0.0; 3]; system.services.len()];
    for at in system.callees_first() {
        let service = &system.services[at];
        let before = now(&service.errors, system.window_s);
        let normal = usual(&service.errors, system.window_s).min(before);
        let (old, new) = (present[at].bound(), after[at].bound());
        for which in 0..3 {
            let mut more = refused(new * AGAIN[which]) - refused(old * AGAIN[which]);
            if new < 1.0 && old < 1.0 {
                more = 0.0;
            }
            if old >= 1.0 && new < 1.0 {
                more = normal - before;
            }
            for call in system.calls.iter().filter(|call| call.from == at && call.waits) {
                let passes = if call.passes.is_finite() { call.passes } else { PASSES[which] };
                more += (call.per_request * passes).min(1.0) * worse[call.to][which];
            }
            let share = (before + more).clamp(normal.min(1.0), 1.0);
            found[at][which] = share;
            let starved = f64::from(u8::from(new >= 1.0)) - f64::from(u8::from(old >= 1.0));
            worse[at][which] = share - before + LATE[which] * (1.0 - share) * starved;
        }
        found[at].sort_by(f64::total_cmp);
    }
    (found, worse)
}

/// How many times as many requests come to every service because its callers, and theirs, ask again more or less often.
pub(super) fn retries(system: &System, worse: &[Three]) -> Vec<Three> {
    let mut times: Vec<Three> = vec![[1.0; 3]; system.services.len()];
    for at in system.callees_first().into_iter().rev() {
        let calls = || system.calls.iter().filter(|call| call.to == at && call.waits);
        let rate = |from: usize| now(&system.services[from].rate, system.window_s);
        let all: f64 = calls().map(|call| call.per_request * rate(call.from)).sum();
        if all.is_nan() || all <= 0.0 {
            continue;
        }
        for which in 0..3 {
            let asked: f64 =
                calls().map(|call| call.per_request * rate(call.from) * times[call.from][which]).sum();
            times[at][which] = asked / all * (1.0 + RETRIES[which] * worse[at][which]).max(0.5);
        }
        times[at].sort_by(f64::total_cmp);
    }
    times
}

//! Which share of the requests fails after a change: what is refused or comes too late, and what fails with it.

use super::level::{now, usual};
use super::load::Load;
use super::system::System;
use super::time::Three;

/// Share of the failed calls with which callers fail, where none has failed yet: low, likely, high.
const PASSES: Three = [0.1, 0.7, 1.0];
/// Share of the answers of a starved service that come too late for its callers: low, likely, high.
const LATE: Three = [0.0, 0.4, 0.95];

/// Share of the requests of every service that fail after the change.
pub(super) fn shares(system: &System, present: &[Load], after: &[Load]) -> Vec<Three> {
    let mut found: Vec<Three> = vec![[f64::NAN; 3]; system.services.len()];
    // What callers get of it more that is of no use to them.
    let mut worse: Vec<Three> = vec![[0.0; 3]; system.services.len()];
    for at in system.callees_first() {
        let service = &system.services[at];
        let before = now(&service.errors, system.window_s);
        let normal = usual(&service.errors, system.window_s).min(before);
        let (old, new) = (present[at].bound(), after[at].bound());
        for which in 0..3 {
            let mut more = after[at].refused() - present[at].refused();
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
    found
}

//! How long requests take under another load: the time of a service itself grows with its use, and callers wait for it.

use super::level::{mean, median, now, tail, usual, windows};
use super::load::Load;
use super::system::{Service, System};

/// Growth of the own time with use where the history does not show it; between nothing and a queue of one server (1).
const GROWTH: f64 = 0.4;
/// Growths that are tried on the history.
const TRIED: [f64; 8] = [0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2.0];
/// Use from which the growth is not followed any more: waiting is then bounded by what callers bear.
const STEEP: f64 = 0.95;
/// Least difference of use in the history that the growth is read from.
const TELLING: f64 = 0.15;
/// Part of the time of a request that it takes itself at least.
const OWN: f64 = 0.05;
/// How uncertain the growth is, as a factor.
const GROWTH_SPREAD: f64 = 1.5;
/// Times the own time, and seconds, that a request takes where more is asked for than there is: least, likely, most.
const STARVED: [(f64, f64); 3] = [(1.0, 0.0), (20.0, 1.0), (400.0, 100.0)];
/// Seconds that callers wait for a starved service before they give up: low, likely, high.
const PATIENCE: Three = [0.2, 2.0, 30.0];

/// Three answers: low, likely, high.
pub(super) type Three = [f64; 3];

/// How many times its idle time a request takes at a use.
fn stretch(used: f64, growth: f64) -> f64 {
    let used = used.clamp(0.0, STEEP);
    1.0 + growth * used / (1.0 - used)
}

/// Seconds of each window that a service takes itself: what is left of its latency without its callees.
fn own_history(system: &System, at: usize) -> Vec<f64> {
    let service = &system.services[at];
    let stores = in_stores(system, at);
    (0..service.latency.len())
        .map(|window| {
            let waited: f64 = system
                .calls
                .iter()
                .filter(|call| call.from == at && call.waits)
                .map(|call| call.per_request * at_window(&system.services[call.to], window))
                .sum();
            let whole = service.latency[window];
            (whole - waited - stores).max(OWN * whole)
        })
        .collect()
}

fn at_window(service: &Service, window: usize) -> f64 {
    service.latency.get(window).copied().filter(|v| v.is_finite()).unwrap_or(0.0)
}

fn in_stores(system: &System, at: usize) -> f64 {
    let clients = system.stores.iter().flat_map(|store| &store.clients);
    clients.filter(|(service, _, _)| *service == at).map(|(_, calls, seconds)| calls * seconds).sum()
}

/// The growth that fits the history best by the median of the absolute error, drawn to what is likely; [`GROWTH`] where use
/// was always the same. O(windows log windows).
fn growth(own: &[f64], used: &[f64]) -> f64 {
    let points: Vec<(f64, f64)> = own
        .iter()
        .zip(used)
        .map(|(o, u)| (*o, *u))
        .filter(|(o, u)| *o > 0.0 && u.is_finite() && *u < STEEP)
        .collect();
    let mut uses: Vec<f64> = points.iter().map(|(_, u)| *u).collect();
    uses.sort_by(f64::total_cmp);
    let at = |share: f64| uses.get((share * uses.len() as f64) as usize).copied().unwrap_or_default();
    if points.len() < 12 || at(0.9) - at(0.1) < TELLING {
        return GROWTH;
    }
    let error = |growth: f64| {
        let idle = median(points.iter().map(|(o, u)| (o / stretch(*u, growth)).ln()));
        let off = median(points.iter().map(|(o, u)| ((o / stretch(*u, growth)).ln() - idle).abs()));
        off + 0.02 * (growth / GROWTH).ln().abs()
    };
    TRIED.into_iter().min_by(|a, b| error(*a).total_cmp(&error(*b))).unwrap_or(GROWTH)
}

/// Mean seconds of a request of every service after the change.
pub(super) fn latencies(system: &System, present: &[Load], after: &[Load]) -> Vec<Three> {
    let mut found: Vec<Three> = vec![[f64::NAN; 3]; system.services.len()];
    for at in system.callees_first() {
        let service = &system.services[at];
        let before = now(&service.latency, system.window_s);
        let own = own_history(system, at);
        let own_now = mean(tail(&own, windows(super::level::NOW_S, system.window_s)));
        let grown = growth(&own, &service.cpu);
        let idle = IdleTime {
            now: own_now,
            usual: usual(&own, system.window_s),
            usual_use: usual(&service.cpu, system.window_s),
        };
        for (which, spread) in [1.0 / GROWTH_SPREAD, 1.0, GROWTH_SPREAD].into_iter().enumerate() {
            let growth = grown * spread;
            let then = idle.under(&present[at], &after[at], growth, which);
            let mut seconds = before + then - own_now;
            for call in system.calls.iter().filter(|call| call.from == at && call.waits) {
                let moved = found[call.to][which] - now(&system.services[call.to].latency, system.window_s);
                // Where callers give up is not known.
                let starved = after[call.to].bound() >= 1.0 && present[call.to].bound() < 1.0;
                let moved = if starved { moved.min(PATIENCE[which]) } else { moved };
                if moved.is_finite() {
                    seconds += call.per_request * moved;
                }
            }
            // What waited for a callee that has room again takes what it usually takes.
            let floor = usual(&service.latency, system.window_s).min(before);
            found[at][which] = if seconds < before { seconds.max(0.8 * floor) } else { seconds };
        }
        found[at].sort_by(f64::total_cmp);
    }
    found
}

/// Time that a service takes itself.
struct IdleTime {
    now: f64,
    usual: f64,
    usual_use: f64,
}

impl IdleTime {
    /// Under another load; `which` of the three answers.
    fn under(&self, present: &Load, after: &Load, growth: f64, which: usize) -> f64 {
        let (old, new) = (present.bound(), after.bound());
        if !old.is_finite() || !new.is_finite() && new != f64::INFINITY {
            return self.now;
        }
        match (old >= 1.0, new >= 1.0) {
            (false, false) => self.now * stretch(new, growth) / stretch(old, growth) * crowd(present, after),
            (true, false) => {
                let usual_use = if self.usual_use.is_finite() { self.usual_use } else { new };
                (self.usual * stretch(new, growth) / stretch(usual_use, growth)).min(self.now)
            }
            (false, true) => {
                let (times, seconds) = STARVED[which];
                (self.now * times).max(seconds)
            }
            (true, true) => self.now * new / old,
        }
    }
}

/// Work takes longer on a crowded node, whatever waits.
fn crowd(present: &Load, after: &Load) -> f64 {
    after.crowded / present.crowded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_growth_is_read_from_a_history_that_shows_it() {
        let used: Vec<f64> = (0..90).map(|i| 0.2 + 0.6 * f64::from(i % 30) / 30.0).collect();
        for truth in [0.1, 0.5, 1.2] {
            let own: Vec<f64> = used.iter().map(|u| 0.01 * stretch(*u, truth)).collect();
            assert_eq!(growth(&own, &used), truth);
        }
        assert_eq!(growth(&[0.01; 90], &[0.4; 90]), GROWTH);
    }
}

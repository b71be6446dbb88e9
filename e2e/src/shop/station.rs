//! One instance as a fluid queue: what comes in, what it can serve in a second, and what waits or is turned away.

/// Requests that may wait at an instance for each one that it works on; more are turned away.
const WAITING_PER_WORKER: f64 = 4.0;

/// What limits an instance in this second. Rates are requests a second, times are seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// CPU time of a request.
    pub work: f64,
    /// Cores that it gets.
    pub cores: f64,
    /// How fast a core works for it, 0 to 1; below 1 where others crowd the node.
    pub speed: f64,
    /// Requests that it works on at once.
    pub workers: f64,
    /// Time that a request waits for callees.
    pub calls: f64,
    /// Requests a second that its connections to stores can carry; infinite without a store.
    pub connections: f64,
    /// Requests that may wait; see [`Limits::usual_room`].
    pub room: f64,
}

impl Limits {
    /// How many may wait where callers wait too.
    #[must_use]
    pub fn usual_room(workers: f64) -> f64 {
        workers * WAITING_PER_WORKER
    }

    /// Requests a second that it can serve.
    #[must_use]
    pub fn capacity(&self) -> f64 {
        let cpu = self.cores / self.work.max(1e-9);
        let busy = self.work / self.speed.max(1e-9) + self.calls;
        cpu.min(self.workers / busy.max(1e-9)).min(self.connections).max(0.0)
    }
}

/// A queue of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Station {
    /// Requests that wait.
    pub queued: f64,
}

/// What a second brought.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Second {
    /// Requests that came.
    pub arrived: f64,
    /// Requests that were served, well or not.
    pub served: f64,
    /// Requests that were turned away.
    pub shed: f64,
    /// Mean time of a served request, without its calls.
    pub own_time: f64,
    /// Cores used.
    pub cores_used: f64,
    /// Share of the capacity that is used, 0 to 1.
    pub load: f64,
}

impl Second {
    /// Share of the arrivals that were turned away.
    pub(super) fn turned_away(&self) -> f64 {
        self.shed / (self.arrived + 1e-9)
    }
}

impl Station {
    /// One second with `arrived` requests.
    pub fn second(&mut self, arrived: f64, limits: &Limits) -> Second {
        let capacity = limits.capacity();
        let present = self.queued + arrived;
        let served = present.min(capacity);
        let left = present - served;
        let queued = left.min(limits.room);
        let shed = left - queued;
        let load = if capacity > 0.0 { (present / capacity).min(1.0) } else { 1.0 };
        // Those that wait now, and the bunching within the second that a fluid does not have (as in M/M/1, bounded).
        let waiting = (self.queued + queued) / 2.0 / capacity.max(1e-3);
        let service = limits.work / limits.speed.max(1e-3);
        let own_time = service * (1.0 + load.powi(3) / (1.25 - load)) + waiting;
        self.queued = queued;
        Second { arrived, served, shed, own_time, cores_used: served * limits.work, load }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limits(work_ms: f64, cores: f64, workers: f64, calls: f64, connections: f64) -> Limits {
        let room = Limits::usual_room(workers);
        Limits { work: work_ms / 1e3, cores, speed: 1.0, workers, calls, connections, room }
    }

    prop_compose! {
        fn some_limits()(work in 0.1..200.0_f64, cores in 0.05..4.0_f64, workers in 1.0..200.0_f64,
            calls in 0.0..5.0_f64, connections in 0.0..400.0_f64) -> Limits {
            limits(work, cores, workers, calls, connections)
        }
    }

    /// Served over some seconds by `replicas` equal instances that share the arrivals.
    fn served(limits: &Limits, arrivals: &[f64], replicas: usize) -> f64 {
        let mut stations = vec![Station::default(); replicas];
        let mut total = 0.0;
        for arrived in arrivals {
            for station in &mut stations {
                total += station.second(arrived / replicas as f64, limits).served;
            }
        }
        total
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_made(limits in some_limits(), arrivals in prop::collection::vec(0.0..500.0_f64, 1..60)) {
            let mut station = Station::default();
            let (mut arrived, mut done) = (0.0, 0.0);
            for a in arrivals {
                let second = station.second(a, &limits);
                arrived += a;
                done += second.served + second.shed;
                prop_assert!(second.served >= 0.0 && second.shed >= 0.0 && station.queued >= 0.0);
                prop_assert!(second.served <= limits.capacity() + 1e-9);
                prop_assert!(second.own_time.is_finite() && second.own_time >= 0.0);
                prop_assert!(second.cores_used <= limits.cores + 1e-9);
            }
            prop_assert!((arrived - done - station.queued).abs() < 1e-6 * (1.0 + arrived));
        }

        #[test]
        fn more_replicas_never_serve_less(limits in some_limits(), replicas in 1..8_usize, more in 1..4_usize,
            arrivals in prop::collection::vec(0.0..500.0_f64, 1..60)) {
            let (few, many) = (served(&limits, &arrivals, replicas), served(&limits, &arrivals, replicas + more));
            prop_assert!(many >= few - 1e-6 * (1.0 + few), "{few} by {replicas}, {many} by {}", replicas + more);
        }
    }

    #[test]
    fn each_limit_can_be_the_one_that_counts() {
        let of = |l: Limits| (l.capacity() * 10.0).round() / 10.0;
        assert_eq!(of(limits(10.0, 0.5, 64.0, 0.0, f64::INFINITY)), 50.0, "cores");
        assert_eq!(of(limits(10.0, 0.5, 4.0, 0.19, f64::INFINITY)), 20.0, "workers that wait for callees");
        assert_eq!(of(limits(10.0, 0.5, 64.0, 0.0, 7.0)), 7.0, "connections");
    }

    #[test]
    fn time_grows_with_load_and_with_what_waits() {
        let l = limits(10.0, 0.5, 64.0, 0.0, f64::INFINITY);
        let time = |rate: f64, seconds: usize| {
            let mut s = Station::default();
            (0..seconds).map(|_| s.second(rate, &l).own_time).last().unwrap()
        };
        assert!(
            time(5.0, 9) < time(40.0, 9) && time(40.0, 9) < time(60.0, 9) && time(60.0, 3) < time(60.0, 9)
        );
    }
}

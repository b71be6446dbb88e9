//! What every service has to do and what it has for it, now and after a change: requests flow down from callers to callees,
//! instances share them, stores and nodes are shared by instances.

use super::level::{median, now, tail, usual, windows};
use super::nodes::{alone, crowding, empty, fill_nodes, total};
use super::system::{Change, Service, System};

/// From this use on a limit is no measure of what is asked for: more can't be seen.
pub(super) const FULL: f64 = 0.92;
/// What is asked of nodes, of what they have, from which all that runs there gets too little: less is within the error of use.
pub(super) const CROWDED: f64 = 1.03;
/// Least share of its demand that a service is taken to serve.
const TRICKLE: f64 = 0.05;
/// What would be asked of nodes, of what they have, from which it speaks against more capacity: what a starved service would use
/// is not known well.
pub(super) const GROWN: f64 = 1.35;
/// Times that the flow is followed down; calls are seldom nested deeper.
const DEPTH: usize = 12;

/// A service under load. Uses are shares of what there is; above 1 more is asked for than there is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Load {
    /// Requests that arrive, per second.
    pub(super) rate: f64,
    /// Instances.
    pub(super) instances: f64,
    /// CPU that is asked for, of its limit; NaN where nothing is known.
    pub(super) cpu: f64,
    /// Connections that are asked for, of those that it may hold; NaN where nothing is known.
    pub(super) pool: f64,
    /// How many times longer its work takes because others are on its nodes, at least 1.
    pub(super) crowded: f64,
}

impl Load {
    /// The limit that counts. Where nodes are asked for more than they have, all that runs there gets too little.
    pub(super) fn bound(&self) -> f64 {
        let nodes = if self.crowded > CROWDED { self.crowded } else { 0.0 };
        (self.cpu * self.crowded).max(self.pool).max(nodes)
    }

    /// Requests that it serves, per second.
    pub(super) fn served(&self) -> f64 {
        self.rate * (1.0 - self.refused())
    }

    /// Share of the requests that there is nothing for.
    fn refused(&self) -> f64 {
        refused(self.bound())
    }
}

/// Share of the requests that there is nothing for where so many times of what there is is asked for.
pub(super) fn refused(bound: f64) -> f64 {
    if bound > 1.0 { (1.0 - 1.0 / bound).min(1.0 - TRICKLE) } else { 0.0 }
}

/// What a request costs: use times instances, over requests a second. The median of the windows in which the limit was not
/// reached; the newest where there are enough of them.
fn cost(service: &Service, used: &[f64], newest: usize) -> f64 {
    let of = |at: usize| {
        let (used, rate) = (used.get(at)?, service.rate.get(at)?);
        let instances = service.instances.get(at)?;
        (*used < FULL && *rate > 0.0).then_some(used * instances / rate)
    };
    let length = used.len();
    let fresh: Vec<f64> =
        (length.saturating_sub(newest)..length).filter_map(of).filter(|v| v.is_finite()).collect();
    if fresh.len() * 2 >= newest { median(fresh.into_iter()) } else { median((0..length).filter_map(of)) }
}

/// Every service now.
pub(super) fn at_present(system: &System) -> Vec<Load> {
    let newest = windows(super::level::NOW_S, system.window_s);
    let present: Vec<f64> = system.nodes.iter().map(|node| node.used).collect();
    let crowded = crowding(system, &present, &[]);
    let of = |(at, service): (usize, &Service)| {
        let rate = now(&service.rate, system.window_s);
        let told = now(&service.instances, system.window_s);
        let placed = total(service);
        let instances = if placed > 0.0 { placed } else { told };
        let demand = |used: &[f64], waits: bool| {
            let measured = now(used, system.window_s);
            let asked = cost(service, used, newest) * rate / instances;
            let full = measured >= FULL || waits;
            // What a full service fails, it had nothing for.
            let failing = now(&service.errors, system.window_s) - usual(&service.errors, system.window_s);
            let beyond = if failing > 0.0 { 1.0 / (1.0 - failing.min(0.9)) } else { 1.0 };
            if full { measured.max(beyond).max(asked) } else { measured }
        };
        let waiting = now(tail(&service.pending, newest), system.window_s) > 1.0;
        let (cpu, pool) = (demand(&service.cpu, false), demand(&service.pool, waiting));
        Load { rate, instances, cpu, pool, crowded: crowded.get(at).copied().unwrap_or(1.0) }
    };
    system.services.iter().enumerate().map(of).collect()
}

/// Every service after the changes have settled.
pub(super) fn afterwards(system: &System, present: &[Load], changes: &[Change]) -> Vec<Load> {
    let mut after = present.to_vec();
    let mut used: Vec<f64> = system.nodes.iter().map(|node| node.used).collect();
    let mut left = Vec::new();
    for change in changes {
        for at in system.touched(change) {
            if let Some(load) = after.get_mut(at) {
                resize(load, change);
            }
        }
        if let Change::Empty { node } = change {
            empty(system, node, &mut used, &mut after);
            left.extend(system.nodes.iter().position(|n| n.name == *node));
        }
    }
    share_pools(system, present, &mut after);
    flow(system, present, &mut after);
    fill_nodes(system, present, &after, &mut used);
    let moved = !left.is_empty();
    for ((load, crowded), before) in after.iter_mut().zip(crowding(system, &used, &left)).zip(present) {
        // What a starved service would use of more capacity is known less well than what is moved uses now.
        let counts = moved || crowded > GROWN || before.crowded > 1.0;
        load.crowded = if counts { crowded } else { 1.0 };
    }
    for (at, service) in system.services.iter().enumerate() {
        after[at].crowded = after[at].crowded.max(alone(system, service, &present[at], &after[at]));
    }
    flow(system, present, &mut after);
    after
}

fn resize(load: &mut Load, change: &Change) {
    let before = load.instances;
    let wanted = |load: &Load, target: f64| (load.instances * load.cpu / target - 1e-6).ceil();
    match change {
        Change::Instances { from, to, .. } if *from > 0.0 => load.instances *= to / from,
        Change::Bounds { least, most, target, .. } => {
            let wish = wanted(load, *target);
            let grown = if wish.is_finite() && wish > load.instances { wish } else { load.instances };
            load.instances = grown.clamp(*least, most.max(*least));
        }
        Change::Cpu { factor, most, target, .. } if *factor > 0.0 => {
            load.cpu /= factor;
            let wish = wanted(load, *target);
            if wish.is_finite() && wish > load.instances {
                load.instances = wish.min(most.max(load.instances));
            }
        }
        _ => {}
    }
    if load.instances > 0.0 {
        load.cpu *= before / load.instances;
        load.pool *= before / load.instances;
    } else {
        (load.cpu, load.pool) = (f64::INFINITY, load.pool);
    }
}

/// Share of the connections that its clients may hold that each store takes, by position.
pub(super) fn granted(system: &System, loads: &[Load]) -> Vec<(f64, f64)> {
    let asked = |store: usize| -> f64 {
        let of = |(service, load): (&Service, &Load)| {
            let pool = service.pools.iter().find(|(at, _)| *at == store).map_or(0.0, |(_, pool)| *pool);
            pool * load.instances
        };
        system.services.iter().zip(loads).map(of).sum()
    };
    let stores = system.stores.iter().enumerate();
    stores
        .map(|(at, store)| {
            let asked = asked(at);
            let granted = if store.most.is_finite() && asked > store.most { store.most / asked } else { 1.0 };
            (asked, granted)
        })
        .collect()
}

fn share_pools(system: &System, present: &[Load], after: &mut [Load]) {
    let (before, then) = (granted(system, present), granted(system, after));
    for (at, service) in system.services.iter().enumerate() {
        let worst = service.pools.iter().filter_map(|(store, _)| {
            let (old, new) = (before.get(*store)?.1, then.get(*store)?.1);
            Some(old / new.max(1e-9))
        });
        let factor = worst.fold(f64::NAN, f64::max);
        if let Some(load) = after.get_mut(at).filter(|_| factor.is_finite()) {
            load.pool *= factor;
        }
    }
}

/// Rates after the change: what callers serve more or less reaches callees.
fn flow(system: &System, present: &[Load], after: &mut [Load]) {
    for _ in 0..DEPTH {
        let mut moved = 0.0_f64;
        for at in 0..after.len() {
            let mut rate = present[at].rate;
            for call in system.calls.iter().filter(|call| call.to == at) {
                let (old, new) = (present[call.from].served(), after[call.from].served());
                if old.is_finite() && new.is_finite() {
                    rate += call.per_request * (new - old);
                }
            }
            let rate = rate.max(0.0);
            let old = after[at].rate;
            if !rate.is_finite() || old.is_nan() || old <= 0.0 {
                continue;
            }
            let factor = rate / old;
            after[at].rate = rate;
            after[at].cpu *= factor;
            after[at].pool *= factor;
            moved = moved.max((factor - 1.0).abs());
        }
        if moved < 1e-4 {
            break;
        }
    }
}

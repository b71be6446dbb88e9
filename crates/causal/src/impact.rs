//! Who suffers, and what it costs: a walk up from the cause, and arithmetic that a person can repeat.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::topology::{EdgeKind, Topology};

/// What a cause affects.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Impact {
    /// Keys of the affected services, the cause's own included, in order.
    pub services: Vec<String>,
    /// Keys of the affected entry points, in order.
    pub entry_points: Vec<String>,
    /// Share of the entry points' requests that is affected, 0 to 1; `None` when not measured.
    pub request_share: Option<f64>,
    /// Share of the error budget that burns in an hour; `None` without an objective.
    pub error_budget_per_hour: Option<f64>,
    /// Requests of the symptom's service since it began that failed or were too slow, and all of them; `None` when not
    /// measured.
    #[serde(default)]
    pub requests: Option<Requests>,
}

/// Requests in a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requests {
    /// Those that failed or were too slow.
    pub affected: u64,
    /// All of them.
    pub all: u64,
}

impl Requests {
    /// The affected share with its interval.
    pub fn share(self) -> Share {
        Share::of_counts(self.affected, self.all)
    }
}

/// Walks up from `cause` at `at_us` through symptomatic entities (keys), passing at most one silent entity in between.
/// Entry points are those of `entry_points`; when that is empty, the affected entities that nobody calls.
pub fn impact(
    topology: &Topology,
    at_us: i64,
    cause: &str,
    symptomatic: &BTreeSet<String>,
    entry_points: &BTreeSet<String>,
) -> Impact {
    let mut affected = BTreeSet::from([cause.to_owned()]);
    let mut stack = vec![(cause.to_owned(), false)];
    let mut passed = BTreeSet::new();
    while let Some((key, silent)) = stack.pop() {
        for up in callers(topology, &key, at_us) {
            if symptomatic.contains(&up) {
                if affected.insert(up.clone()) {
                    stack.push((up, false));
                }
            } else if !silent && passed.insert(up.clone()) {
                stack.push((up, true));
            }
        }
    }
    let is_entry = |key: &&String| {
        if entry_points.is_empty() {
            callers(topology, key, at_us).is_empty()
        } else {
            entry_points.contains(*key)
        }
    };
    Impact {
        entry_points: affected.iter().filter(is_entry).cloned().collect(),
        services: affected.into_iter().collect(),
        request_share: None,
        error_budget_per_hour: None,
        requests: None,
    }
}

fn callers(topology: &Topology, key: &str, at_us: i64) -> Vec<String> {
    let Some(id) = topology.by_key(key) else {
        return Vec::new();
    };
    // What runs on a host suffers with it, just as a caller does with its callee.
    topology
        .above(id, at_us)
        .into_iter()
        .filter(|e| matches!(e.kind, EdgeKind::Calls | EdgeKind::RunsOn))
        .map(|e| e.from.key())
        .collect()
}

/// A share with its interval, 0 to 1 each.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// Best estimate.
    pub value: f64,
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

impl Share {
    /// A share that is known exactly.
    pub fn exact(value: f64) -> Self {
        let value = value.clamp(0.0, 1.0);
        Self { value, low: value, high: value }
    }

    /// Failed of all requests with Wilson's 95 % interval (Wilson, 1927). No requests: 0 to 1.
    pub fn of_counts(failed: u64, all: u64) -> Self {
        if all == 0 {
            return Self { value: 0.0, low: 0.0, high: 1.0 };
        }
        let (n, p, z) = (all as f64, failed.min(all) as f64 / all as f64, 1.96);
        let center = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
        let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt() / (1.0 + z * z / n);
        Self { value: p, low: (center - half).max(0.0), high: (center + half).min(1.0) }
    }
}

/// Money at stake, recomputable by hand from its own fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Money {
    /// ISO 4217 code.
    pub currency: String,
    /// Revenue of an hour in normal operation at this time.
    pub revenue_per_hour: f64,
    /// Affected share of it.
    pub share: Share,
    /// `revenue_per_hour` times the share.
    pub at_risk_per_hour: f64,
    /// The same with the lower and the upper bound of the share.
    pub interval: (f64, f64),
    /// Seconds of the incident so far.
    pub seconds: f64,
    /// `at_risk_per_hour` times the hours so far.
    pub loss_so_far: f64,
    /// How it was computed.
    pub method: String,
    /// What was assumed.
    pub assumptions: Vec<String>,
}

/// Revenue at risk: revenue of an hour, times the affected share, times the time so far.
/// `revenue_per_hour` is at least 0, `seconds` is the duration so far; both clamped.
pub fn revenue_at_risk(
    currency: &str,
    revenue_per_hour: f64,
    share: Share,
    seconds: f64,
    assumptions: &[&str],
) -> Money {
    let revenue = revenue_per_hour.max(0.0);
    let seconds = seconds.max(0.0);
    let at_risk = revenue * share.value;
    Money {
        currency: currency.to_owned(),
        revenue_per_hour: revenue,
        share,
        at_risk_per_hour: at_risk,
        interval: (revenue * share.low, revenue * share.high),
        seconds,
        loss_so_far: at_risk * seconds / 3600.0,
        method: "revenue per hour x affected share of requests x hours".to_owned(),
        assumptions: assumptions.iter().map(|a| (*a).to_owned()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{CallStub, EntityId, Seen, TopologyConfig};

    #[test]
    fn a_full_outage_of_ninety_minutes() {
        let money = revenue_at_risk("EUR", 1_500_000.0, Share::exact(1.0), 90.0 * 60.0, &["flat revenue"]);
        assert_eq!(money.loss_so_far, 2_250_000.0);
        assert_eq!(money.at_risk_per_hour, 1_500_000.0);
        let half = revenue_at_risk("EUR", 1_500_000.0, Share::exact(0.2), 90.0 * 60.0, &[]);
        assert!((half.loss_so_far - 450_000.0).abs() < 1e-6);
    }

    #[test]
    fn shares_have_an_interval() {
        let share = Share::of_counts(50, 100);
        assert!(share.low > 0.39 && share.low < 0.41 && share.high > 0.59 && share.high < 0.61);
        assert_eq!(Share::of_counts(0, 0).high, 1.0);
    }

    #[test]
    fn walks_up_through_symptoms_only() {
        let mut topology = Topology::new(TopologyConfig::default());
        let s = |n: &str| EntityId::service("", n);
        for (a, b) in
            [("web", "cart"), ("cart", "db"), ("admin", "db"), ("mobile", "proxy"), ("proxy", "cart")]
        {
            topology.observe_call(&CallStub {
                caller: s(a),
                callee: s(b),
                count: 1,
                first_us: 0,
                last_us: 10,
                seen: Seen::Trace,
            });
        }
        let symptomatic: BTreeSet<String> = ["web", "cart", "mobile"].map(String::from).into();
        let got = impact(&topology, 5, "db", &symptomatic, &BTreeSet::new());
        assert_eq!(got.services, ["cart", "db", "mobile", "web"]);
        assert_eq!(got.entry_points, ["mobile", "web"]);
    }
}

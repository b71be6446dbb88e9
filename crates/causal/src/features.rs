//! The evidence about each node as numbers between 0 and about 1. What they add up to is decided in `fuse`.

use crate::account::{Account, account};
use crate::case::{Case, Change, ChangeKind, FieldDiff};
use crate::events::{Shift, shifts};
use crate::facts::{Fact, Facts};
use crate::graph::Graph;
use crate::link::links;
use crate::signal::{Class, Golden};
use crate::spans::{Slow, TimeShift, Tree};
use crate::stats::median;

/// Number of terms.
pub(crate) const TERMS: usize = 11;
/// Names of the terms, in the order of [`Features`] and of the coefficients.
pub(crate) const NAMES: [&str; TERMS] = [
    "latency_share",
    "error_share",
    "saturation",
    "time_share",
    "behaviour",
    "link",
    "silence",
    "memory_step",
    "network_step",
    "change",
    "restarts",
];
pub(crate) const LATENCY: usize = 0;
pub(crate) const ERRORS: usize = 1;
pub(crate) const SATURATION: usize = 2;
pub(crate) const TIME: usize = 3;
pub(crate) const BEHAVIOUR: usize = 4;
pub(crate) const LINK: usize = 5;
pub(crate) const SILENCE: usize = 6;
pub(crate) const MEMORY: usize = 7;
pub(crate) const NETWORK: usize = 8;
pub(crate) const CHANGE: usize = 9;
pub(crate) const RESTARTS: usize = 10;

/// Strength of each term for one node.
pub(crate) type Features = [f64; TERMS];

/// Changes older than this before the symptom count for little.
const CHANGE_LEAD_US: i64 = 3_600_000_000;

/// Everything that was derived from a case.
pub(crate) struct View<'a> {
    pub case: &'a Case,
    pub graph: Graph,
    pub facts: Facts,
    pub latency: Account,
    pub errors: Account,
    pub time: TimeShift,
    pub shifts: Vec<Shift>,
    /// Strongest shifts of each node, as positions in `shifts`.
    pub shifts_of: Vec<Vec<usize>>,
    pub features: Vec<Features>,
}

impl<'a> View<'a> {
    pub(crate) fn of(case: &'a Case) -> Self {
        let now = Tree::of(&case.spans);
        let usual = Tree::of(&case.baseline_spans);
        let mut calls = now.calls();
        calls.extend(usual.calls());
        let graph = Graph::of(case, &calls);
        let facts = Facts::of(case, &graph);
        let latency = account(case, &graph, &facts, Golden::Latency);
        let errors = account(case, &graph, &facts, Golden::Errors);
        let mut time = TimeShift::of(&now, &usual);
        for list in [&mut time.own, &mut time.links] {
            list.sort_by(|a, b| {
                (case.name(a.from), case.name(a.to)).cmp(&(case.name(b.from), case.name(b.to)))
            });
        }
        let shifts = shifts(case, &graph, &now, &usual);
        let mut shifts_of = vec![Vec::new(); graph.nodes.len()];
        for (at, shift) in shifts.iter().enumerate() {
            if let Some(node) = graph.at(shift.entity) {
                shifts_of[node].push(at);
            }
        }
        let n = graph.nodes.len();
        let mut view = Self {
            case,
            graph,
            facts,
            latency,
            errors,
            time,
            shifts,
            shifts_of,
            features: vec![[0.0; TERMS]; n],
        };
        view.fill();
        view
    }

    fn fill(&mut self) {
        let time = self.time_shares();
        let behaviour = self.behaviour();
        let link = links(self);
        let silence = self.silence();
        let symptom = crate::signal::classify(&self.case.symptom.metric, &self.case.symptom.stat);
        let errors_first = symptom.class.golden() == Golden::Errors;
        for node in 0..self.graph.nodes.len() {
            let mut f = [0.0; TERMS];
            f[LATENCY] = self.latency.share[node] * if errors_first { 0.3 } else { 1.0 };
            f[ERRORS] = self.errors.share[node] * if errors_first { 1.0 } else { 0.3 };
            f[SATURATION] = self.saturation(node).map_or(0.0, |(v, _)| v);
            f[TIME] = time[node];
            f[BEHAVIOUR] = behaviour[node];
            f[LINK] = link[node];
            f[SILENCE] = silence[node];
            f[MEMORY] = self.memory_step(node).map_or(0.0, |(v, _)| v);
            f[NETWORK] = self.network_step(node).map_or(0.0, |(v, _)| v);
            f[CHANGE] = self.change(node).map_or(0.0, |(v, _)| v);
            f[RESTARTS] = self.restarts(node).map_or(0.0, |(v, _)| v).max(self.state(node));
            self.features[node] = f;
        }
        if symptom.class.golden() == Golden::Latency {
            self.discount_what_takes_no_time();
        }
    }

    /// Requests are slow, and where their time goes is known: changed habits elsewhere that cost no time are another matter.
    fn discount_what_takes_no_time(&mut self) {
        let most = self.features.iter().map(|f| f[TIME]).fold(0.0, f64::max);
        for f in &mut self.features {
            let elsewhere = ((most - f[TIME] - 0.4) / 0.4).clamp(0.0, 1.0);
            f[BEHAVIOUR] *= 1.0 - 0.6 * elsewhere;
        }
    }

    /// CPU, throttling, queues: level and change must both matter.
    pub(crate) fn saturation(&self, node: usize) -> Option<(f64, &Fact)> {
        let classes = [Class::Cpu, Class::Throttle, Class::Queue, Class::Lag, Class::Pool, Class::Disk];
        self.best(node, &classes, |f| {
            let clear = ((f.score.z - 4.0) / 8.0).clamp(0.0, 1.0);
            let material = match f.signal.material {
                m if m > 0.0 => ((f.score.observed / m - 1.0) / 1.5).clamp(0.0, 1.0),
                _ => 0.5,
            };
            let grown =
                (f.score.observed / f.score.normal.abs().max(f.signal.floor)).max(1e-9).ln() / 4.0_f64.ln();
            clear * material * grown.clamp(0.0, 1.0)
        })
    }

    /// A jump of memory in proportion to what was used; what was rising before goes on rising.
    pub(crate) fn memory_step(&self, node: usize) -> Option<(f64, &Fact)> {
        self.best(node, &[Class::Memory], |f| {
            let before = self.facts.window.before(&self.case.series[f.series]);
            // The median step from point to point is the trend, whatever single jumps there are.
            let trend = median(before.windows(2).map(|w| w[1] - w[0])).max(0.0);
            let since = f.score.at as f64 - before.len() as f64 / 2.0;
            let grown = f.score.observed - f.score.normal - trend * since.max(0.0);
            let grown = grown / f.score.normal.abs().max(1e-9);
            ((f.score.z - 3.0) / 4.0).clamp(0.0, 1.0) * ((grown - 0.01) / 0.09).clamp(0.0, 1.0)
        })
    }

    pub(crate) fn network_step(&self, node: usize) -> Option<(f64, &Fact)> {
        self.best(node, &[Class::Network], |f| ((f.score.z.abs() - 3.0) / 6.0).clamp(0.0, 1.0))
    }

    pub(crate) fn restarts(&self, node: usize) -> Option<(f64, &Fact)> {
        self.best(node, &[Class::Restarts], |f| ((f.score.observed - f.score.normal) / 2.0).clamp(0.0, 1.0))
    }

    /// 1 where something is wrong in itself at a node, half for what it runs on.
    fn state(&self, node: usize) -> f64 {
        let nearness = |touched: usize| match touched {
            _ if touched == node => 1.0,
            _ if self.graph.hosts[node].contains(&touched) => 0.5,
            _ => 0.0,
        };
        let touched = self.case.states.iter().filter_map(|state| self.graph.at(state.entity));
        touched.map(nearness).fold(0.0, f64::max)
    }

    fn best(&self, node: usize, classes: &[Class], value: impl Fn(&Fact) -> f64) -> Option<(f64, &Fact)> {
        self.facts.by_node[node]
            .iter()
            .filter(|f| classes.contains(&f.signal.class))
            .map(|f| (value(f), f))
            .filter(|(v, _)| *v > 0.0)
            .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.order.cmp(&a.1.order)))
    }

    /// The change that fits best: recent, before or with the symptom. A change of a host counts for what runs on it.
    pub(crate) fn change(&self, node: usize) -> Option<(f64, usize)> {
        let start = self.case.symptom.start_us;
        let late = i64::from(self.case.interval_s) * 1_000_000;
        let mut best: Option<(f64, usize)> = None;
        for (at, change) in self.case.changes.iter().enumerate() {
            let touched = self.graph.at(change.entity);
            let nearness = match touched {
                Some(t) if t == node => 1.0,
                Some(t) if self.graph.hosts[node].contains(&t) => 0.5,
                // What a node is answered may have changed although nobody there shows anything: wrong values.
                Some(t)
                    if self.graph.callees[node].contains(&t)
                        && matches!(change.kind, ChangeKind::Release | ChangeKind::Config) =>
                {
                    0.6
                }
                _ => continue,
            };
            let before = start - change.time_us;
            if before < -late {
                continue;
            }
            let age = (before.max(0) as f64 / CHANGE_LEAD_US as f64).min(4.0);
            let weight = match change.kind {
                ChangeKind::Release | ChangeKind::Config => 1.0,
                // More instances follow more demand: a consequence more often than a cause.
                ChangeKind::Scaling if grew(change) => 0.2,
                ChangeKind::Scaling | ChangeKind::Infrastructure => 0.7,
                ChangeKind::Other => 0.5,
            };
            let value = nearness * weight * (-age).exp();
            let key = |at: usize| (&self.case.changes[at].object, &self.case.changes[at].description);
            if best.is_none_or(|(v, b)| value > v || (value >= v && key(at) < key(b))) {
                best = Some((value, at));
            }
        }
        best
    }

    /// Share of the extra time that a node's own operations and the links to it explain. The extra time must matter next
    /// to what requests take anyway.
    fn time_shares(&self) -> Vec<f64> {
        let n = self.graph.nodes.len();
        let mut out = vec![0.0; n];
        let mut total = 0.0;
        for slow in &self.time.own {
            if let Some(node) = self.graph.at(slow.from) {
                out[node] += slow.excess_us;
                total += slow.excess_us;
            }
        }
        let links: Vec<(usize, usize, &Slow)> = self
            .time
            .links
            .iter()
            .filter_map(|s| Some((self.graph.at(s.from)?, self.graph.at(s.to)?, s)))
            .collect();
        total += links.iter().map(|(_, _, s)| s.excess_us).sum::<f64>();
        let yardstick = total.max(0.25 * self.time.request_us);
        if yardstick <= 0.0 {
            return vec![0.0; n];
        }
        for node in 0..n {
            let (incoming, lit_in) = lit(links.iter().filter(|l| l.1 == node).map(|l| l.2));
            let (outgoing, lit_out) = lit(links.iter().filter(|l| l.0 == node).map(|l| l.2));
            // A slow answer is the callee's first. A caller is to blame for the links out of it when all of them are slow,
            // and more so when the links into it are slow as well.
            out[node] += incoming * lit_in + 0.6 * outgoing * lit_out * (0.4 + 0.6 * lit_in);
        }
        out.iter().map(|v| v / yardstick).collect()
    }

    /// Changed habits of a node's operations, less what a callee's changed habits explain.
    fn behaviour(&self) -> Vec<f64> {
        let n = self.graph.nodes.len();
        let raw: Vec<f64> = (0..n)
            .map(|node| {
                let z = self.shifts_of[node].first().map_or(0.0, |at| self.shifts[*at].z);
                ((z - 1.2) / 3.0).clamp(0.0, 1.3)
            })
            .collect();
        (0..n)
            .map(|node| {
                let below = self.graph.callees[node].iter().map(|c| raw[*c]).fold(0.0, f64::max);
                (raw[node] - 0.5 * below).max(0.0)
            })
            .collect()
    }

    /// A node that still gets requests but no longer passes them on: what only it calls has gone quiet.
    fn silence(&self) -> Vec<f64> {
        let n = self.graph.nodes.len();
        let quiet: Vec<f64> = (0..n).map(|i| self.quiet(i)).collect();
        (0..n)
            .map(|node| {
                let below: Vec<usize> = self.graph.callees[node]
                    .iter()
                    .copied()
                    .filter(|c| self.graph.callers[*c].len() == 1)
                    .collect();
                if below.is_empty() {
                    return 0.0;
                }
                let silent = below.iter().map(|c| quiet[*c]).sum::<f64>() / below.len() as f64;
                // The symptom's own entity shows the silence of everything below it.
                let own = if node == self.graph.target { 0.5 } else { 1.0 };
                (silent * (1.0 - quiet[node]) * own).clamp(0.0, 1.0)
            })
            .collect()
    }

    /// How clearly a node has gone quiet: requests, network and CPU below what is usual, 0 to 1.
    fn quiet(&self, node: usize) -> f64 {
        let drops: Vec<f64> = self.facts.by_node[node]
            .iter()
            .filter(|f| matches!(f.signal.class, Class::Traffic | Class::Network | Class::Cpu))
            .filter_map(|f| {
                let down = crate::window::fall(&self.case.series[f.series], &f.signal, &self.facts.window)?;
                Some(((down - 1.0) / 2.5).clamp(0.0, 1.0))
            })
            .collect();
        if drops.is_empty() {
            return 0.0;
        }
        drops.iter().sum::<f64>() / drops.len() as f64
    }
}

/// Whether a change asks for more replicas and nothing else.
fn grew(change: &Change) -> bool {
    let count = |text: &str| text.parse::<u32>().ok();
    let more = |field: &FieldDiff| field.path == "spec.replicas" && count(&field.old) < count(&field.new);
    !change.diff.is_empty() && change.diff.iter().all(more)
}

/// Extra time on the slow ones of some links, and the share of the links that are slow.
fn lit<'s>(links: impl Iterator<Item = &'s Slow>) -> (f64, f64) {
    let (mut slow, mut all, mut excess) = (0.0, 0.0, 0.0);
    for link in links {
        let weight = (link.count as f64).min(5.0);
        all += weight;
        if link.excess_us > 0.2 * link.count as f64 * link.normal_us.max(1000.0) {
            slow += weight;
            excess += link.excess_us;
        }
    }
    if all > 0.0 { (excess, slow / all) } else { (0.0, 0.0) }
}

//! Where the topology has holes: an excess that no known caller shows must surface somewhere else, for it is conserved.
//!
//! A node is stranded when it has an excess, and its known callers have nothing like it. Its excess is taken to be handed to the
//! node that is reached from the symptom and has most left to explain. Cost: stranded nodes times edges.

use crate::account::Account;
use crate::graph::Graph;

/// How much of a stranded excess is believed to surface where it is taken to: the node has no known way to the symptom.
const UNKNOWN_WAY: f64 = 0.9;
/// The same for a node that has a way to the symptom, but along callers that show nothing; and for one that is but a second
/// victim of what others call as well.
const OTHER_WAY: f64 = 0.3;
/// Callers that show less than this part of an excess do not carry it.
const CARRIED: f64 = 0.3;

/// Nodes whose excess does not show at any known caller.
pub(crate) fn stranded(graph: &Graph, account: &Account) -> Vec<bool> {
    (0..graph.nodes.len())
        .map(|node| {
            if account.total[node] <= 0.0 || node == graph.target {
                return false;
            }
            let shown: f64 = graph.callers[node].iter().map(|c| account.total[*c]).sum();
            // A caller without telemetry may well carry it, where somebody calls that one.
            let silent = graph.callers[node]
                .iter()
                .any(|c| !account.known[*c] && (*c == graph.target || !graph.callers[*c].is_empty()));
            shown < CARRIED * account.total[node] && !silent
        })
        .collect()
}

/// A leaf with a single caller is what that caller sees of an endpoint. Where a sibling with callees of its own shows an
/// excess in the same signal, the leaf is that sibling seen from outside (a load balancer, a remote address): counting both
/// would explain the caller's excess twice. Where such a sibling is stranded, the leaf becomes its caller.
pub(crate) fn mirrors(graph: &Graph, account: &Account) -> Vec<bool> {
    let n = graph.nodes.len();
    let mut out = vec![false; n];
    for leaf in 0..n {
        let total = account.total[leaf];
        if total <= 0.0 || !graph.callees[leaf].is_empty() || !graph.hosts[leaf].is_empty() {
            continue;
        }
        let [caller] = graph.callers[leaf].as_slice() else { continue };
        let inner = |s: &usize| !graph.callees[*s].is_empty();
        out[leaf] = graph.callees[*caller].iter().any(|s| inner(s) && account.total[*s] > 0.15 * total);
    }
    out
}

/// Hands the excess of stranded nodes to where most is left to explain, largest first.
pub(crate) fn adopt(graph: &Graph, account: &mut Account, stranded: &[bool]) {
    let n = graph.nodes.len();
    let mut reached: Vec<bool> = (0..n).map(|i| graph.reachable(i) && !graph.assumed[i]).collect();
    let mut left: Vec<f64> = (0..n)
        .map(|i| (account.total[i] - account.handed[i].iter().map(|h| h.1).sum::<f64>()).max(0.0))
        .collect();
    let mut order: Vec<usize> = (0..n).filter(|i| stranded[*i] && !account.mirror[*i]).collect();
    order.sort_by(|a, b| account.total[*b].total_cmp(&account.total[*a]).then(a.cmp(b)));
    for node in order {
        let below = below(graph, node);
        let amount = |caller: usize| left[caller].min(account.total[node]);
        let best = (0..n)
            .filter(|c| reached[*c] && !below[*c] && !account.mirror[*c] && left[*c] > 0.0)
            // Of several that could take it all, the one that it fits best.
            .max_by(|a, b| {
                amount(*a).total_cmp(&amount(*b)).then(left[*b].total_cmp(&left[*a])).then(b.cmp(a))
            });
        let (caller, amount) = match best {
            Some(caller) => (caller, amount(caller)),
            // The symptom's own mean may hide what a part of its requests suffers.
            None if account.total[graph.target] <= 0.0 && !reached[node] => {
                (graph.target, account.total[node])
            }
            None => continue,
        };
        let callees = &graph.callees[node];
        let suffers = callees.iter().any(|c| account.total[*c] > 0.0);
        let second = suffers && callees.iter().all(|c| reached[*c]);
        let amount = amount * if reached[node] || second { OTHER_WAY } else { UNKNOWN_WAY };
        left[caller] -= amount;
        account.handed[caller].push((node, amount));
        account.handed[caller].sort_by_key(|(callee, _)| *callee);
        for at in 0..n {
            reached[at] |= below[at];
        }
    }
}

/// A node and everything that it calls, directly or not.
fn below(graph: &Graph, node: usize) -> Vec<bool> {
    let mut out = vec![false; graph.nodes.len()];
    let mut stack = vec![node];
    while let Some(at) = stack.pop() {
        if !std::mem::replace(&mut out[at], true) {
            stack.extend(&graph.callees[at]);
        }
    }
    out
}

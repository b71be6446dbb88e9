//! The topology of a case as adjacency lists over its entities: distances, paths and reachability.

use ahash::AHashMap;

use crate::case::{Case, EdgeKind, Sym};

/// Entities of a case by dense number, in order of their names, so that nothing depends on the order of the input.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    pub nodes: Vec<Sym>,
    index: AHashMap<Sym, usize>,
    pub callees: Vec<Vec<usize>>,
    pub callers: Vec<Vec<usize>>,
    pub hosts: Vec<Vec<usize>>,
    pub placed: Vec<Vec<usize>>,
    pub target: usize,
    /// Hops from the target along calls (and placement); `usize::MAX` where it is not reachable.
    pub distance: Vec<usize>,
    parent: Vec<Option<usize>>,
    /// Nodes that nobody is known to call although they may well be called: where an edge is missing, they hang here.
    pub orphans: Vec<usize>,
    /// Nodes that are only reached through an orphan.
    pub assumed: Vec<bool>,
}

impl Graph {
    /// Builds the graph from the edges of the case and the calls seen in its spans.
    pub(crate) fn of(case: &Case, span_calls: &[(Sym, Sym)]) -> Self {
        let mut nodes: Vec<Sym> = case
            .series
            .iter()
            .map(|s| s.entity)
            .chain(case.edges.iter().flat_map(|e| [e.from, e.to]))
            .chain(case.spans.iter().chain(&case.baseline_spans).map(|s| s.entity))
            .chain(case.logs.iter().map(|l| l.entity))
            .chain(case.changes.iter().map(|c| c.entity))
            .chain(case.states.iter().map(|s| s.entity))
            .chain([case.symptom.entity])
            .collect();
        nodes.sort_by(|a, b| case.name(*a).cmp(case.name(*b)));
        nodes.dedup();
        let index: AHashMap<Sym, usize> = nodes.iter().enumerate().map(|(at, n)| (*n, at)).collect();
        let n = nodes.len();
        let mut graph = Self {
            target: index.get(&case.symptom.entity).copied().unwrap_or(0),
            nodes,
            index,
            callees: vec![Vec::new(); n],
            callers: vec![Vec::new(); n],
            hosts: vec![Vec::new(); n],
            placed: vec![Vec::new(); n],
            distance: vec![usize::MAX; n],
            parent: vec![None; n],
            orphans: Vec::new(),
            assumed: vec![false; n],
        };
        let calls = case.edges.iter().filter(|e| e.kind == EdgeKind::Calls).map(|e| (e.from, e.to));
        for (from, to) in calls.chain(span_calls.iter().copied()) {
            if let (Some(a), Some(b)) = (graph.at(from), graph.at(to))
                && a != b
            {
                graph.callees[a].push(b);
                graph.callers[b].push(a);
            }
        }
        for edge in case.edges.iter().filter(|e| e.kind == EdgeKind::RunsOn) {
            if let (Some(a), Some(b)) = (graph.at(edge.from), graph.at(edge.to)) {
                graph.hosts[a].push(b);
                graph.placed[b].push(a);
            }
        }
        for list in [&mut graph.callees, &mut graph.callers, &mut graph.hosts, &mut graph.placed] {
            for neighbours in list.iter_mut() {
                neighbours.sort_unstable();
                neighbours.dedup();
            }
        }
        graph.walk(graph.target, 0);
        graph.adopt_orphans();
        graph
    }

    /// Number of the entity.
    pub(crate) fn at(&self, sym: Sym) -> Option<usize> {
        self.index.get(&sym).copied()
    }

    /// Breadth first from a node; hosts are one hop below what runs on them.
    fn walk(&mut self, from: usize, distance: usize) {
        if self.nodes.is_empty() {
            return;
        }
        let mut queue = std::collections::VecDeque::from([from]);
        self.distance[from] = distance;
        while let Some(at) = queue.pop_front() {
            let next: Vec<usize> = self.callees[at].iter().chain(&self.hosts[at]).copied().collect();
            for to in next {
                if self.distance[to] == usize::MAX {
                    self.distance[to] = self.distance[at] + 1;
                    self.parent[to] = Some(at);
                    queue.push_back(to);
                }
            }
        }
    }

    /// A topology is never complete: nodes without any caller are taken to hang somewhere below the target, farther away
    /// than everything that is known to.
    fn adopt_orphans(&mut self) {
        let far = self.distance.iter().filter(|d| **d != usize::MAX).max().map_or(1, |d| d + 1);
        let known: Vec<bool> = self.distance.iter().map(|d| *d != usize::MAX).collect();
        for node in 0..self.nodes.len() {
            let host = !self.placed[node].is_empty();
            if self.distance[node] == usize::MAX && self.callers[node].is_empty() && !host {
                self.orphans.push(node);
                self.walk(node, far);
            }
        }
        for node in 0..self.nodes.len() {
            self.assumed[node] = !known[node] && self.distance[node] != usize::MAX;
        }
    }

    /// Whether the node can hand a symptom up to the target.
    pub(crate) fn reachable(&self, node: usize) -> bool {
        self.distance[node] != usize::MAX
    }

    /// Nodes from `node` up to the target; empty when it is not known to be reachable.
    pub(crate) fn path_to_target(&self, node: usize) -> Vec<usize> {
        if !self.reachable(node) || self.assumed[node] {
            return Vec::new();
        }
        let mut path = vec![node];
        let mut at = node;
        while let Some(up) = self.parent[at] {
            path.push(up);
            at = up;
        }
        path
    }
}

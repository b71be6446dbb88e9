//! The anomalous part of the topology at one moment: where chains of dependencies end, and what hangs together.

use std::collections::{BTreeMap, BTreeSet};

/// Anomalous entities and the dependencies among them.
pub(crate) struct Anomalous {
    below: BTreeMap<String, BTreeSet<String>>,
    component: BTreeMap<String, usize>,
}

impl Anomalous {
    /// The anomalous entities, what they depend on among themselves (through at most one silent entity), and which of
    /// them hang together.
    pub(crate) fn of(names: BTreeSet<&str>, dependencies: &dyn Fn(&str) -> Vec<String>) -> Self {
        let mut below: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for name in &names {
            let mut reach = BTreeSet::new();
            for next in dependencies(name) {
                if names.contains(next.as_str()) {
                    reach.insert(next);
                } else {
                    reach.extend(dependencies(&next).into_iter().filter(|n| names.contains(n.as_str())));
                }
            }
            reach.remove(*name);
            below.insert((*name).to_owned(), reach);
        }
        let component = components(&below);
        Self { below, component }
    }

    /// Where the chains of anomalous dependencies below an entity end; a cycle ends at its first name.
    pub(crate) fn roots(&self, entity: &str) -> BTreeSet<String> {
        let mut seen = BTreeSet::from([entity.to_owned()]);
        let mut stack = vec![entity.to_owned()];
        let mut ends = BTreeSet::new();
        while let Some(at) = stack.pop() {
            let next = self.below.get(&at);
            if next.is_none_or(BTreeSet::is_empty) {
                ends.insert(at);
                continue;
            }
            for to in next.into_iter().flatten() {
                if seen.insert(to.clone()) {
                    stack.push(to.clone());
                }
            }
        }
        if ends.is_empty() {
            ends.extend(seen.into_iter().next());
        }
        ends
    }

    pub(crate) fn calls(&self, from: &str, to: &str) -> bool {
        self.below.get(from).is_some_and(|b| b.contains(to))
    }

    pub(crate) fn connected(&self, a: &str, b: &str) -> bool {
        matches!((self.component.get(a), self.component.get(b)), (Some(x), Some(y)) if x == y)
    }
}

fn components(below: &BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, usize> {
    let mut around: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in below.iter().flat_map(|(f, ts)| ts.iter().map(move |t| (f.as_str(), t.as_str()))) {
        around.entry(from).or_default().push(to);
        around.entry(to).or_default().push(from);
    }
    let mut out = BTreeMap::new();
    for (number, name) in below.keys().enumerate() {
        if out.contains_key(name) {
            continue;
        }
        let mut stack = vec![name.as_str()];
        while let Some(at) = stack.pop() {
            if out.insert(at.to_owned(), number).is_none() {
                stack.extend(around.get(at).into_iter().flatten());
            }
        }
    }
    out
}

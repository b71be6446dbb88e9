//! Where the nodes of a directed graph stand: columns by depth, rows so that few edges cross.

use std::collections::BTreeMap;

/// Columns at most; deeper nodes share the last.
const MAX_COLUMNS: usize = 7;
/// Sweeps that order the rows.
const SWEEPS: usize = 6;

/// Nodes by column, each column from top to bottom.
///
/// Columns are longest paths from the roots, bounded so that cycles end; rows are ordered by the mean row of their
/// neighbours (Sugiyama, Tagawa and Toda 1981), in time linear in the edges for each sweep.
pub(super) fn columns(edges: &[(&str, &str)]) -> Vec<Vec<String>> {
    let mut depth: BTreeMap<&str, usize> = BTreeMap::new();
    for (from, to) in edges {
        depth.entry(from).or_default();
        depth.entry(to).or_default();
    }
    for _ in 0..MAX_COLUMNS {
        for (from, to) in edges {
            let next = depth.get(from).copied().unwrap_or_default() + 1;
            if from != to
                && next < MAX_COLUMNS
                && let Some(known) = depth.get_mut(to)
            {
                *known = (*known).max(next);
            }
        }
    }
    let mut columns: Vec<Vec<String>> = vec![Vec::new(); MAX_COLUMNS];
    for (name, column) in &depth {
        columns[*column].push((*name).to_owned());
    }
    columns.retain(|column| !column.is_empty());
    for sweep in 0..SWEEPS {
        sort(&mut columns, edges, sweep % 2 == 0);
    }
    columns
}

/// One sweep: every column but the first is ordered by what stands before it, or all but the last by what stands behind.
fn sort(columns: &mut [Vec<String>], edges: &[(&str, &str)], forward: bool) {
    let count = columns.len();
    for step in 1..count {
        let index = if forward { step } else { count - 1 - step };
        let rows: BTreeMap<&str, f64> = columns
            .iter()
            .enumerate()
            .filter(|(column, _)| if forward { *column < index } else { *column > index })
            .flat_map(|(_, names)| {
                let height = names.len() as f64;
                names.iter().enumerate().map(move |(row, name)| (name.as_str(), (row as f64 + 0.5) / height))
            })
            .collect();
        let mut sums: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
        for (from, to) in edges {
            let (node, other) = if forward { (to, from) } else { (from, to) };
            if let Some(row) = rows.get(other) {
                let sum = sums.entry(node).or_default();
                *sum = (sum.0 + row, sum.1 + 1.0);
            }
        }
        let means: BTreeMap<String, f64> =
            sums.into_iter().map(|(name, (sum, n))| (name.to_owned(), sum / n)).collect();
        let height = columns[index].len() as f64;
        let mut keyed: Vec<(f64, String)> = std::mem::take(&mut columns[index])
            .into_iter()
            .enumerate()
            .map(|(row, name)| (means.get(&name).copied().unwrap_or((row as f64 + 0.5) / height), name))
            .collect();
        keyed.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
        columns[index] = keyed.into_iter().map(|(_, name)| name).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_stand_left_of_what_they_call_and_edges_do_not_cross() {
        let found = columns(&[("web", "b"), ("web", "a"), ("a", "x"), ("b", "y"), ("x", "web")]);
        // x calls back: the cycle ends at the last column.
        let column = |name: &str| found.iter().position(|c| c.iter().any(|n| n == name)).unwrap();
        assert!(column("a") < column("x") && column("b") < column("y"));
        let straight = columns(&[("w", "a"), ("w", "b"), ("a", "z"), ("b", "y")]);
        assert_eq!(straight, [vec!["w"], vec!["a", "b"], vec!["z", "y"]]);
    }
}

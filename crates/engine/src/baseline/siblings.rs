//! What series that are alike teach a new one, so that it is judged after minutes.

use std::collections::BTreeMap;

use causeway_predict::Prior;
use linfa::traits::Transformer as _;
use linfa_clustering::Dbscan;
use ndarray::Array2;

/// Fewest siblings that make a family.
const FEWEST: usize = 3;
/// Siblings whose level and scatter differ by less than about this factor are alike.
const ALIKE: f64 = 2.0;

/// What the largest family of `siblings` has in common, if more than half belong to it. Levels and scatters are clustered on
/// logarithmic scales (DBSCAN, Ester et al. 1996); siblings that do not agree teach nothing. O(n²), when a series begins.
pub(super) fn prior(siblings: &[Prior]) -> Option<Prior> {
    let sound: Vec<&Prior> =
        siblings.iter().filter(|p| p.level.is_finite() && p.scale.is_finite() && p.scale > 0.0).collect();
    if sound.len() < FEWEST {
        return None;
    }
    let coordinates = sound.iter().flat_map(|p| [p.level.abs().max(p.scale).ln(), p.scale.ln()]).collect();
    let points = Array2::from_shape_vec((sound.len(), 2), coordinates).ok()?;
    let families = Dbscan::params(FEWEST).tolerance(ALIKE.ln()).transform(&points).ok()?;
    let mut members: BTreeMap<usize, Vec<Prior>> = BTreeMap::new();
    for (sibling, family) in sound.iter().zip(families.iter()) {
        if let Some(family) = family {
            members.entry(*family).or_default().push(**sibling);
        }
    }
    let largest = members.into_values().max_by_key(Vec::len)?;
    if 2 * largest.len() <= sound.len() { None } else { Prior::of_siblings(&largest) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(levels: &[f64]) -> Vec<Prior> {
        levels.iter().map(|&level| Prior { level, scale: level.abs() / 20.0 }).collect()
    }

    #[test]
    fn the_largest_family_speaks() {
        let found = prior(&of(&[100.0, 110.0, 95.0, 120.0, 9000.0])).unwrap();
        assert!((95.0..=120.0).contains(&found.level), "{found:?}");
    }

    #[test]
    fn siblings_that_do_not_agree_teach_nothing() {
        assert_eq!(prior(&of(&[100.0, 110.0])), None);
        assert_eq!(prior(&of(&[1.0, 100.0, 10_000.0, 1e6])), None);
        assert_eq!(prior(&of(&[100.0, 101.0, 102.0, 9000.0, 9100.0, 9200.0])), None);
        assert_eq!(prior(&[Prior { level: f64::NAN, scale: 1.0 }; 5]), None);
    }
}

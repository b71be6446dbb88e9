//! Known noise: what comes back day after day at the same time without getting worse does not page again.
//!
//! The occurrences of a signature over eight days are clustered by their time of day (DBSCAN, Ester et al. 1996, on the
//! circle of a day). A cluster that was seen on each of the last seven days is known, and is as bad as its worst
//! occurrence; noise without a rhythm belongs to no cluster and is never known.

use std::collections::{BTreeMap, BTreeSet};
use std::f64::consts::TAU;

use causeway_model::Micros;
use linfa::traits::Transformer as _;
use linfa_clustering::Dbscan;
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::incident::Peaks;

const DAY_US: i64 = 86_400_000_000;
/// Days on which a cluster must have been seen.
const DAYS: usize = 7;
/// How much worse than before it may be and still be known.
const WORSE: f64 = 1.5;
/// Occurrences at most this far apart in their time of day are neighbours.
const NEAR_HOURS: f64 = 1.0;
/// Occurrences kept of a signature.
const MOST: usize = 256;
/// Signatures kept.
const SIGNATURES: usize = 2_000;

/// An occurrence that is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Occurrence {
    at_us: Micros,
    peaks: Peaks,
}

/// What is known of recurring signatures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Noise {
    seen: BTreeMap<String, Vec<Occurrence>>,
}

impl Noise {
    /// Notes an occurrence that is over, with its worst excesses.
    pub(crate) fn note(&mut self, signature: &str, peaks: &Peaks, at_us: Micros) {
        let seen = self.seen.entry(signature.to_owned()).or_default();
        seen.push(Occurrence { at_us, peaks: peaks.clone() });
        if seen.len() > MOST {
            seen.remove(0);
        }
        self.seen
            .retain(|_, all| all.last().is_some_and(|last| at_us - last.at_us <= (DAYS as i64 + 1) * DAY_US));
        while self.seen.len() > SIGNATURES {
            let oldest =
                self.seen.iter().min_by_key(|(_, all)| all.last().map(|o| o.at_us)).map(|(k, _)| k.clone());
            let Some(oldest) = oldest else { break };
            self.seen.remove(&oldest);
        }
    }

    /// The excesses up to which an occurrence that begins at `at_us` is known noise; `None` when it is not known.
    /// Cost: O(n²) in the occurrences of one signature, at most 256, when an incident opens.
    pub(crate) fn known(&self, signature: &str, at_us: Micros) -> Option<Peaks> {
        let recent = |o: &&Occurrence| at_us - o.at_us <= (DAYS as i64) * DAY_US + DAY_US / 2;
        let past: Vec<Occurrence> = self.seen.get(signature)?.iter().filter(recent).cloned().collect();
        if past.len() < DAYS {
            return None;
        }
        let times: Vec<Micros> = past.iter().map(|o| o.at_us).chain([at_us]).collect();
        let clusters = clusters(&times);
        let own = (*clusters.last()?)?;
        let alike =
            || past.iter().zip(&clusters).filter(|(_, cluster)| **cluster == Some(own)).map(|(o, _)| o);
        let days: BTreeSet<i64> = alike()
            .map(|o| (at_us - o.at_us + DAY_US / 2).div_euclid(DAY_US))
            .filter(|day| *day >= 1)
            .collect();
        if days.len() < DAYS {
            return None;
        }
        let mut limits = Peaks::new();
        for (key, peak) in alike().flat_map(|o| &o.peaks) {
            let limit = limits.entry(key.clone()).or_default();
            *limit = limit.max(*peak * WORSE);
        }
        Some(limits)
    }
}

/// The cluster of each moment by its time of day.
fn clusters(times: &[Micros]) -> Vec<Option<usize>> {
    let angle = |at: usize| {
        let part = times.get(at).map_or(0, |t| t.rem_euclid(DAY_US)) as f64 / DAY_US as f64;
        part * TAU
    };
    let places = Array2::from_shape_fn((times.len(), 2), |(row, column)| {
        if column == 0 { angle(row).cos() } else { angle(row).sin() }
    });
    let near = 2.0 * (NEAR_HOURS / 24.0 * TAU / 2.0).sin();
    let params = Dbscan::params(3).tolerance(near);
    params.transform(&places).map_or_else(|_| vec![None; times.len()], |found| found.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_US: i64 = DAY_US / 24;

    fn peaks(peak: f64) -> Peaks {
        Peaks::from([("shop/web latency".to_owned(), peak)])
    }

    #[test]
    fn a_daily_spike_is_known_on_day_eight_up_to_one_and_a_half_times_its_worst() {
        let mut noise = Noise::default();
        for day in 0..7 {
            assert_eq!(noise.known("backup", day * DAY_US), None);
            noise.note("backup", &peaks(4.0 + (day % 2) as f64), day * DAY_US + (day % 3) * 600_000_000);
        }
        assert_eq!(noise.known("backup", 7 * DAY_US), Some(peaks(7.5)));
        assert_eq!(
            noise.known("backup", 7 * DAY_US + 9 * HOUR_US),
            None,
            "at another time of day it is news"
        );
        assert_eq!(noise.known("other", 7 * DAY_US), None);
        assert_eq!(noise.known("backup", 20 * DAY_US), None, "long ago");
    }

    #[test]
    fn the_day_is_a_circle_and_what_has_no_rhythm_is_news() {
        let mut around_midnight = Noise::default();
        let mut anywhere = Noise::default();
        for day in 0..7 {
            around_midnight.note(
                "s",
                &peaks(1.0),
                day * DAY_US + if day % 2 == 0 { -600_000_000 } else { 600_000_000 },
            );
            anywhere.note("s", &peaks(1.0), day * DAY_US + (day * 7 % 24) * HOUR_US);
        }
        assert!(around_midnight.known("s", 7 * DAY_US).is_some());
        assert_eq!(anywhere.known("s", 7 * DAY_US), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut noise = Noise::default();
        for at in 0..3_000 {
            noise.note(&format!("s{at}"), &peaks(1.0), at);
            noise.note("often", &peaks(1.0), at);
        }
        assert!(noise.seen.len() <= SIGNATURES && noise.seen["often"].len() <= MOST);
    }
}

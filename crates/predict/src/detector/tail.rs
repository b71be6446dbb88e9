//! Peaks over a running threshold: from a deviation to the probability of one as large.

use serde::{Deserialize, Serialize};

/// Share of points beyond the running quantile.
const SHARE: f64 = 0.02;
/// `-log10(SHARE)`: the score at the quantile.
const SCORE_AT_QUANTILE: f64 = 1.699;
/// How many excesses the prior is worth.
const PRIOR_EXCESSES: f64 = 5.0;
/// Excesses after which old ones fade.
const MEMORY: f64 = 200.0;
/// Largest score.
pub(super) const MAX_SCORE: f64 = 16.0;

/// One side's tail: a running 98 % quantile and a generalised Pareto of the excesses over it, fitted by moments
/// (Hosking and Wallis 1987; streaming use after Siffer et al. 2017). O(1) a point, 16 bytes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Tail {
    quantile: f32,
    mean: f32,
    square: f32,
    excesses: f32,
    /// Highest excess of the cluster that is going on; 0 between clusters.
    peak: f32,
}

impl Tail {
    /// A tail like a normal distribution's, slightly heavier.
    pub(super) fn new() -> Self {
        Self { quantile: 2.2, mean: 0.5, square: 0.6, excesses: 0.0, peak: 0.0 }
    }

    /// Score of a deviation: `-log10` of the probability of one as large. 0 on the other side.
    pub(super) fn score(&self, z: f64) -> f64 {
        let q = f64::from(self.quantile);
        if z <= q {
            return if z > 0.0 { SCORE_AT_QUANTILE * z / q } else { 0.0 };
        }
        let mean = f64::from(self.mean);
        let variance = (f64::from(self.square) - mean * mean).max(0.25 * mean * mean);
        let ratio = mean * mean / variance;
        let shape = (0.5 * (1.0 - ratio)).clamp(0.02, 0.5);
        let scale = (mean * (1.0 - shape)).max(1e-6);
        let tail = (1.0 + shape * (z - q) / scale).log10() / shape;
        let youth = 1.0 * 5.0 / (5.0 + f64::from(self.excesses));
        (SCORE_AT_QUANTILE + (tail - youth).max(0.0)).min(MAX_SCORE)
    }

    /// Learns one deviation.
    pub(super) fn update(&mut self, z: f64) {
        let q = f64::from(self.quantile);
        let rate = (1.0 / (10.0 + f64::from(self.excesses))).max(0.007) * q;
        let beyond = z > q;
        let step = if beyond { 1.0 - SHARE } else { -SHARE };
        self.quantile = (q + rate * step).max(0.5) as f32;
        if beyond {
            self.peak = self.peak.max((z - q) as f32);
        } else if self.peak > 0.0 {
            self.learn_excess(f64::from(self.peak));
            self.peak = 0.0;
        }
    }

    /// One excess a cluster, its highest: what follows from the same cause is no second surprise.
    fn learn_excess(&mut self, excess: f64) {
        let mean = f64::from(self.mean);
        let excess = excess.min(8.0 * mean.max(0.2));
        let weight = 1.0 / (f64::from(self.excesses).min(MEMORY) + PRIOR_EXCESSES + 1.0);
        self.mean += (weight * (excess - mean)) as f32;
        self.square += (weight * (excess * excess - f64::from(self.square))) as f32;
        self.excesses = (self.excesses + 1.0).min(1e6);
    }

    /// The running 98 % quantile.
    pub(super) fn quantile(&self) -> f64 {
        f64::from(self.quantile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_grow_with_the_deviation() {
        let tail = Tail::new();
        let scores: Vec<f64> = (0..40).map(|i| tail.score(f64::from(i) * 0.5)).collect();
        assert!(scores.windows(2).all(|w| w[0] <= w[1]), "{scores:?}");
        assert!((tail.score(2.2) - SCORE_AT_QUANTILE).abs() < 1e-3);
    }

    #[test]
    fn a_heavy_tail_is_learned() {
        let mut tail = Tail::new();
        let fresh = tail.score(12.0);
        for i in 0..20_000_u32 {
            tail.update(if i % 40 == 0 { 10.0 } else { 0.5 });
        }
        assert!(tail.score(12.0) < fresh / 2.0, "{} {fresh}", tail.score(12.0));
    }
}

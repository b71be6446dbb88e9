//! Peaks over a running threshold: from a deviation to the probability of one as large.

use serde::{Deserialize, Serialize};

/// Share of points beyond the running quantile.
const SHARE: f64 = 0.02;
/// `-log10(SHARE)`: the score at the quantile.
const SCORE_AT_QUANTILE: f64 = 1.699;
/// How many excesses the prior is worth.
const PRIOR_EXCESSES: f32 = 5.0;
/// Excesses after which old ones fade.
const MEMORY: f32 = 200.0;
/// Largest score.
pub(super) const MAX_SCORE: f64 = 16.0;

/// Both tails of `N` channels: running 98 % quantiles, and a generalised Pareto of the excesses over each, fitted by moments
/// (Hosking and Wallis 1987; streaming use after Siffer et al. 2017). O(1) a point, 20 bytes a tail.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(
    bound = "[[f32; 2]; N]: Serialize + for<'a> Deserialize<'a>, [[Excesses; 2]; N]: Serialize + for<'a> Deserialize<'a>"
)]
pub(super) struct Tails<const N: usize> {
    /// By channel; high values, then low ones.
    quantiles: [[f32; 2]; N],
    excesses: [[Excesses; 2]; N],
}

/// What is known beyond a quantile.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Excesses {
    mean: f32,
    square: f32,
    count: f32,
    /// Highest excess of the cluster that is going on; 0 between clusters.
    peak: f32,
}

impl<const N: usize> Tails<N> {
    /// Tails like a normal distribution's, slightly heavier.
    pub(super) fn new() -> Self {
        let fresh = Excesses { mean: 0.5, square: 0.6, count: 0.0, peak: 0.0 };
        Self { quantiles: [[2.2; 2]; N], excesses: [[fresh; 2]; N] }
    }

    /// Score of a deviation, on the side of its sign: `-log10` of the probability of one as large.
    pub(super) fn score(&self, channel: usize, deviation: f64) -> f64 {
        let side = usize::from(deviation < 0.0);
        let (z, q) = (deviation.abs(), f64::from(self.quantiles[channel][side]));
        if z <= q { SCORE_AT_QUANTILE * z / q } else { self.excesses[channel][side].score(z - q) }
    }

    /// Learns a deviation of each channel.
    pub(super) fn update(&mut self, deviations: &[f64; N]) {
        for (c, &z) in deviations.iter().enumerate() {
            for (side, z) in [z, -z].into_iter().enumerate() {
                let q = f64::from(self.quantiles[c][side]);
                let beyond = z > q;
                let step = if beyond { 1.0 - SHARE } else { -SHARE };
                let excesses = &mut self.excesses[c][side];
                let moved = q + f64::from(excesses.rate()) * q * step;
                self.quantiles[c][side] = if moved > 0.5 { moved as f32 } else { 0.5 };
                if beyond {
                    excesses.peak = excesses.peak.max((z - q) as f32);
                } else if excesses.peak > 0.0 {
                    excesses.learn_peak();
                }
            }
        }
    }

    /// A running 98 % quantile; side 0 is that of high values, 1 of low ones.
    pub(super) fn quantile(&self, channel: usize, side: usize) -> f64 {
        f64::from(self.quantiles[channel][side])
    }
}

impl Excesses {
    fn score(&self, excess: f64) -> f64 {
        let mean = f64::from(self.mean);
        let variance = (f64::from(self.square) - mean * mean).max(0.25 * mean * mean);
        let ratio = mean * mean / variance;
        let shape = (0.5 * (1.0 - ratio)).clamp(0.02, 0.5);
        let scale = (mean * (1.0 - shape)).max(1e-6);
        let tail = (1.0 + shape * excess / scale).log10() / shape;
        let youth = 5.0 / (5.0 + f64::from(self.count));
        (SCORE_AT_QUANTILE + (tail - youth).max(0.0)).min(MAX_SCORE)
    }

    /// Rate of the quantile, relative to it.
    fn rate(&self) -> f32 {
        if self.count < 133.0 { 1.0 / (10.0 + self.count) } else { 0.007 }
    }

    /// One excess a cluster, its highest: what follows from the same cause is no second surprise.
    fn learn_peak(&mut self) {
        let excess = self.peak.min(8.0 * self.mean.max(0.2));
        let weight = 1.0 / (self.count.min(MEMORY) + PRIOR_EXCESSES + 1.0);
        self.mean += weight * (excess - self.mean);
        self.square += weight * (excess * excess - self.square);
        self.count = (self.count + 1.0).min(1e6);
        self.peak = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_grow_with_the_deviation() {
        let tails = Tails::<1>::new();
        let scores: Vec<f64> = (0..40).map(|i| tails.score(0, f64::from(i) * 0.5)).collect();
        assert!(scores.windows(2).all(|w| w[0] <= w[1]), "{scores:?}");
        assert!((tails.score(0, 2.2) - SCORE_AT_QUANTILE).abs() < 1e-3);
    }

    #[test]
    fn a_heavy_tail_is_learned() {
        let mut tails = Tails::<1>::new();
        let fresh = tails.score(0, 12.0);
        for i in 0..20_000_u32 {
            tails.update(&[if i % 40 == 0 { 10.0 } else { 0.5 }]);
        }
        assert!(tails.score(0, 12.0) < fresh / 2.0, "{} {fresh}", tails.score(0, 12.0));
        assert!(tails.score(0, -12.0) > tails.score(0, 12.0));
    }
}

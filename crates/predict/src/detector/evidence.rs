//! What a number of events can prove at all.

use serde::{Deserialize, Serialize};

use super::tail::MAX_SCORE;
use crate::config::{Config, SignalKind};

/// How long a pattern has been silent, and how well silence usually lasts.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Silence {
    zeros: u32,
    /// Longest silence so far, slowly forgotten.
    longest: f64,
    /// Running probability that an empty step follows an empty step.
    lasting: f64,
}

impl Default for Silence {
    fn default() -> Self {
        Self { zeros: 0, longest: 0.0, lasting: 0.3 }
    }
}

impl Silence {
    /// Score of the run of empty steps that ends here, where `usual` events are usual in a step: the pattern vanished.
    ///
    /// The lower of two: a negative binomial with dispersion 1, whose bursts leave gaps (`P(0) = 1 / (1 + usual)` a
    /// step), and how long silence lasted before.
    pub(super) fn score(&mut self, usual: f64, empty: bool) -> f64 {
        let before = self.zeros;
        self.zeros = if empty { before.saturating_add(1) } else { 0 };
        if !empty {
            self.longest = (0.98 * self.longest).max(f64::from(before));
            return 0.0;
        }
        let run = f64::from(self.zeros);
        if run <= 1.5 * self.longest {
            return 0.0;
        }
        let score = (run * (1.0 + usual.max(0.0)).log10()).min(-run * self.lasting.log10());
        // A run beyond all experience says nothing of the ordinary ones.
        if before > 0 && score < 4.0 {
            self.lasting += 0.01 * (1.0 - self.lasting);
        }
        self.lasting = self.lasting.clamp(0.05, 0.995);
        score.min(MAX_SCORE)
    }
}

/// Lowers the scores `[high, low]` of a weighted value to what its number of events can prove.
pub(super) fn bound(
    kind: SignalKind,
    config: &Config,
    value: f64,
    trials: f64,
    normal: f64,
    raw: &mut [f64; 2],
) {
    if trials < config.min_events {
        *raw = [0.0; 2];
        return;
    }
    if kind == SignalKind::Ratio {
        let bad = value * trials;
        let p = normal.clamp(1e-4, 1.0 - 1e-4);
        if bad < config.min_events {
            raw[0] = 0.0;
        }
        raw[0] = raw[0].min(2.0 * binomial_score(bad, trials, p));
        raw[1] = raw[1].min(2.0 * binomial_score(trials - bad, trials, 1.0 - p));
    }
}

/// `-log10` of Chernoff's bound on the probability that a Poisson count with mean `mean` lies as far from it as `k`: the most
/// that one count can prove, since real counts scatter more.
pub(super) fn poisson_score(k: f64, mean: f64) -> f64 {
    let mean = mean.max(0.01);
    let gain = if k > 0.0 { k * (k / mean).ln() } else { 0.0 };
    (mean - k + gain) / std::f64::consts::LN_10
}

/// `-log10` of Chernoff's bound on `P(X >= k)` for a binomial of `n` trials at `p`; 0 when `k` is at or below the mean.
///
/// An upper bound of the probability, so a lower bound of the evidence (Chernoff 1952); O(1) where the tail sum is O(n).
pub(crate) fn binomial_score(k: f64, n: f64, p: f64) -> f64 {
    if n <= 0.0 || k <= n * p {
        return 0.0;
    }
    let q = (k / n).min(1.0);
    let part = |a: f64, b: f64| if a > 0.0 { a * (a / b).ln() } else { 0.0 };
    n * (part(q, p) + part(1.0 - q, 1.0 - p)) / std::f64::consts::LN_10
}

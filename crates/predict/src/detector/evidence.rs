//! What a number of events can prove at all.

use crate::config::{Config, SignalKind};

/// Score of `zeros` empty steps in a row where `mu` events are usual in each: the pattern vanished.
///
/// Negative binomial with dispersion 1 (variance `mu + mu²`), so that bursts leave gaps: `P(0) = 1 / (1 + mu)`.
pub(super) fn vanished(zeros: u32, mu: f64) -> f64 {
    if zeros == 0 || mu <= 0.0 {
        return 0.0;
    }
    (f64::from(zeros) * (1.0 + mu).log10()).min(super::tail::MAX_SCORE)
}

/// Lowers the scores `[high, low]` of a weighted value to what its number of events can prove.
pub(super) fn bound(kind: SignalKind, config: &Config, value: f64, trials: f64, normal: f64, raw: &mut [f64; 2]) {
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

//! A linear regression on what came just before and a season before.

use super::candidate::Seasons;

/// Most regressors, the intercept among them.
const MOST: usize = 10;
/// Points that are learned from at most: a week of five minutes, twelve weeks of hours.
const POINTS: usize = 2_016;
/// Ridge penalty, as a share of the regressors' own squares.
const RIDGE: f64 = 1e-6;

/// Normal equations, which grow point by point.
struct Normal {
    square: [[f64; MOST]; MOST],
    cross: [f64; MOST],
    count: usize,
}

/// Paths of `horizon` points from each of the origins, in their order: autoregression with seasonal lags, least squares with a small ridge, each fitted on the points before its origin alone, and iterated. `None` where
/// history is too short. Cost: O(points * 50 + origins * horizon * 10).
pub(super) fn paths(
    y: &[f64],
    origins: &[usize],
    horizon: usize,
    seasons: &Seasons,
) -> Option<Vec<Vec<f64>>> {
    let lags = seasons.lags();
    let longest = lags.iter().copied().max()?;
    let newest = origins.iter().copied().max()?;
    let mut ascending: Vec<(usize, usize)> = origins.iter().copied().zip(0..).collect();
    ascending.sort_unstable();
    let first = longest.max(newest.saturating_sub(POINTS));
    if ascending.first()?.0 < first + 4 * MOST {
        return None;
    }
    let recent = &y[first - longest..ascending.first()?.0];
    let centre = recent.iter().sum::<f64>() / recent.len() as f64;
    let spread = recent.iter().map(|v| (v - centre).abs()).sum::<f64>() / recent.len() as f64;
    if spread <= 0.0 || !spread.is_finite() {
        return None;
    }
    let z: Vec<f64> = y[first - longest..newest].iter().map(|v| (v - centre) / spread).collect();
    let mut normal = Normal { square: [[0.0; MOST]; MOST], cross: [0.0; MOST], count: lags.len() + 1 };
    let mut all = vec![Vec::new(); origins.len()];
    let mut learned = longest;
    for (origin, place) in ascending {
        let end = origin - (first - longest);
        normal.learn(&z, &lags, learned, end);
        learned = end;
        let weights = normal.solve()?;
        all[place] = ahead(&z[..end], &lags, &weights, horizon);
        all[place].iter_mut().for_each(|v| *v = centre + spread * *v);
    }
    Some(all)
}

/// The recursion from the end of `z`, kept near the values that were seen.
fn ahead(z: &[f64], lags: &[usize], weights: &[f64; MOST], horizon: usize) -> Vec<f64> {
    let (low, high) = z.iter().fold((0.0_f64, 0.0_f64), |(l, h), &v| (l.min(v), h.max(v)));
    let margin = 0.5 * (high - low);
    let start = z.len() - lags.iter().copied().max().unwrap_or(0);
    let mut path = z[start..].to_vec();
    for _ in 0..horizon {
        let n = path.len();
        let sum: f64 = lags.iter().zip(weights).map(|(&lag, w)| w * path[n - lag]).sum();
        path.push((sum + weights[lags.len()]).clamp(low - margin, high + margin));
    }
    path.split_off(z.len() - start)
}

impl Normal {
    fn learn(&mut self, z: &[f64], lags: &[usize], from: usize, to: usize) {
        let n = self.count;
        for t in from..to {
            let mut x = [1.0; MOST];
            x.iter_mut().zip(lags).for_each(|(x, &lag)| *x = z[t - lag]);
            for i in 0..n {
                self.cross[i] += x[i] * z[t];
                for j in 0..=i {
                    self.square[i][j] += x[i] * x[j];
                }
            }
        }
    }

    /// Cholesky's decomposition; `None` when the equations are not positive definite.
    fn solve(&self) -> Option<[f64; MOST]> {
        let n = self.count;
        let mut l = self.square;
        for i in 0..n {
            for j in 0..i {
                let dot: f64 = (0..j).map(|k| l[i][k] * l[j][k]).sum();
                l[i][j] = (l[i][j] - dot) / l[j][j];
            }
            let dot: f64 = l[i][..i].iter().map(|v| v * v).sum();
            let rest = l[i][i] * (1.0 + RIDGE) + 1e-9 - dot;
            if rest <= 0.0 || !rest.is_finite() {
                return None;
            }
            l[i][i] = rest.sqrt();
        }
        let mut w = self.cross;
        for i in 0..n {
            let dot: f64 = (0..i).map(|k| l[i][k] * w[k]).sum();
            w[i] = (w[i] - dot) / l[i][i];
        }
        for i in (0..n).rev() {
            let dot: f64 = (i + 1..n).map(|k| l[k][i] * w[k]).sum();
            w[i] = (w[i] - dot) / l[i][i];
        }
        Some(w)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rhythm_and_a_drift_are_continued() {
        let y: Vec<f64> = (0..24 * 30)
            .map(|t| (f64::from(t) / 24.0 * std::f64::consts::TAU).sin() + 0.01 * f64::from(t))
            .collect();
        let (origins, horizon) = ([500, 600], 48);
        let paths = paths(&y, &origins, horizon, &Seasons::of(3600, y.len())).unwrap();
        for (path, origin) in paths.iter().zip(origins) {
            for (i, value) in path.iter().enumerate() {
                assert!((value - y[origin + i]).abs() < 0.05, "{origin} {i}: {value} {}", y[origin + i]);
            }
        }
    }

    #[test]
    fn nothing_is_said_of_short_or_constant_series() {
        let seasons = Seasons::of(3600, 200);
        assert!(paths(&[1.0; 200], &[190], 5, &seasons).is_none());
        assert!(paths(&[1.0, 2.0, 3.0], &[3], 5, &seasons).is_none());
    }
}

//! The simple forecasters that are blended.

/// Season lengths in points; 1 where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seasons {
    pub(super) day: usize,
    week: usize,
    year: usize,
}

impl Seasons {
    /// Seasons that a history of `n` points, `step` seconds apart, has seen often enough.
    pub(super) fn of(step: i64, n: usize) -> Self {
        let length = |seconds: i64, times: usize| {
            let points = (seconds / step.max(1)) as usize;
            if points >= 2 && n >= times * points { points } else { 1 }
        };
        Self {
            day: length(86_400, 3),
            week: length(7 * 86_400, 2),
            year: if step >= 86_400 { length(365 * 86_400, 2) } else { 1 },
        }
    }

    /// Lags of a regression, ascending: the last two points, and the same phase and its neighbours a season ago.
    pub(super) fn lags(&self) -> Vec<usize> {
        let mut lags = vec![1, 2];
        if self.day > 3 {
            lags.extend([self.day - 1, self.day, self.day + 1, 2 * self.day]);
        }
        if self.week > 7 && self.day > 3 {
            lags.extend([self.week - 1, self.week, self.week + 1]);
        }
        if self.year > 3 && self.day <= 3 {
            lags.extend([self.year, self.year + 1]);
        }
        lags
    }

    /// Points that candidates want to see.
    pub(super) fn needed(&self) -> usize {
        if self.week > 1 { self.week + self.day } else { 2 * self.day }
    }
}

/// All candidates' forecasts; the same number of them for the same seasons.
pub(super) fn candidates(y: &[f64], horizon: usize, seasons: &Seasons) -> Vec<Vec<f64>> {
    let mut all = Vec::with_capacity(16);
    if seasons.day > 1 {
        seasonal(y, horizon, seasons, &mut all);
    } else {
        plain(y, horizon, seasons, &mut all);
    }
    all
}

/// Candidates without a season, for coarse or short series.
fn plain(y: &[f64], horizon: usize, seasons: &Seasons, all: &mut Vec<Vec<f64>>) {
    let last = y.last().copied().unwrap_or(0.0);
    all.push(vec![last; horizon]);
    for alpha in [0.1, 0.3, 0.6] {
        all.push(vec![smooth(y, alpha); horizon]);
    }
    for (alpha, beta, damping) in [(0.5, 0.1, 0.9), (0.8, 0.2, 0.9), (0.3, 0.05, 0.97)] {
        all.push(damped(y, alpha, beta, damping, horizon));
    }
    all.push(theta(y, 0.6, horizon));
    all.push(drift(y, 26, horizon));
    if seasons.year > 1 {
        let (level, year) = (smooth(y, 0.5), seasons.year);
        all.push(
            (0..horizon)
                .map(|i| {
                    let then = back(y, year, i);
                    let around = back_mean(y, year, 2);
                    level + (then - around)
                })
                .collect(),
        );
    }
}

fn seasonal(y: &[f64], horizon: usize, seasons: &Seasons, all: &mut Vec<Vec<f64>>) {
    let day = seasons.day;
    let last = y.last().copied().unwrap_or(0.0);
    all.push(vec![last; horizon]);
    all.push(vec![tail_mean(y, day); horizon]);
    all.push((0..horizon).map(|i| back(y, day, i)).collect());
    for (period, decay, cycles) in
        [(day, 0.6, 8), (day, 0.85, 10), (seasons.week, 0.3, 3), (seasons.week, 0.7, 6)]
    {
        if period <= 1 || y.len() < period + 1 {
            continue;
        }
        with_profile(y, horizon, day, &Profile::of(y, period, decay, cycles), all);
    }
    if seasons.week > 1 {
        all.push((0..horizon).map(|i| back(y, seasons.week, i)).collect());
    }
}

/// A profile with levels: a day's mean, an autoregressive return to it, a ratio, a trend over days.
fn with_profile(y: &[f64], horizon: usize, day: usize, profile: &Profile, all: &mut Vec<Vec<f64>>) {
    let n = y.len();
    let span = (2 * day).min(n);
    let mut residuals = profile.path(n - span, span);
    residuals.iter_mut().zip(&y[n - span..]).for_each(|(r, y)| *r = y - *r);
    let recent = tail_mean(&residuals, day);
    let (last, phi) = (smooth(&residuals, 0.4), persistence(&residuals, recent));
    let ahead = profile.path(n, horizon);
    all.push(ahead.iter().map(|base| base + recent).collect());
    let mut fading = last - recent;
    all.push(
        ahead
            .iter()
            .map(|base| {
                fading *= phi;
                base + recent + fading
            })
            .collect(),
    );
    let sum: f64 = y[n - day.min(n)..].iter().sum();
    let expected = sum - residuals[span - day.min(span)..].iter().sum::<f64>();
    let ratio = if expected > 0.0 && sum > 0.0 { (sum / expected).clamp(0.2, 5.0) } else { 1.0 };
    all.push(ahead.iter().map(|base| base * ratio).collect());
    let before = if residuals.len() >= 2 * day { tail_mean(&residuals[..day], day) } else { recent };
    let slope = (recent - before) / day as f64;
    let mut rise = slope * day as f64 / 2.0;
    let keep = 0.5_f64.powf(1.0 / day as f64);
    let mut pace = slope;
    all.push(
        ahead
            .iter()
            .map(|base| {
                pace *= keep;
                rise += pace;
                base + recent + 0.5 * rise
            })
            .collect(),
    );
}

/// Values of one season, exponentially weighted over its cycles, the newest first. Phases are absolute.
struct Profile {
    values: Vec<f64>,
}

impl Profile {
    fn of(y: &[f64], period: usize, decay: f64, cycles: usize) -> Self {
        let n = y.len();
        let mut values = vec![0.0; period];
        let (mut weight, mut total) = (1.0, 0.0);
        let (mut end, mut left) = (n, cycles);
        while left > 0 && end >= period {
            let start = end - period;
            add(&mut values, &y[start..end], start % period, weight);
            total += weight;
            weight *= decay;
            (end, left) = (start, left - 1);
        }
        // The oldest cycle is not whole: it begins at the first phase.
        let part = if left > 0 { end } else { 0 };
        values.iter_mut().zip(&y[..part]).for_each(|(v, y)| *v = (*v + weight * y) / (total + weight));
        values.iter_mut().skip(part).for_each(|v| *v /= total);
        Self { values }
    }

    /// Values of `len` points from `t` on.
    fn path(&self, t: usize, len: usize) -> Vec<f64> {
        let mut path = Vec::with_capacity(len);
        let mut phase = t % self.values.len();
        while path.len() < len {
            let part = &self.values[phase..];
            path.extend_from_slice(&part[..part.len().min(len - path.len())]);
            phase = 0;
        }
        path
    }
}

/// Adds a cycle that begins at phase `phase`.
fn add(values: &mut [f64], cycle: &[f64], phase: usize, weight: f64) {
    let (late, early) = cycle.split_at(values.len() - phase);
    let (head, tail) = values.split_at_mut(phase);
    tail.iter_mut().zip(late).chain(head.iter_mut().zip(early)).for_each(|(v, y)| *v += weight * y);
}

/// The value a whole number of periods before point `i` of the future.
fn back(y: &[f64], period: usize, i: usize) -> f64 {
    let n = y.len();
    if n < period { y.last().copied().unwrap_or(0.0) } else { y[n - period + i % period] }
}

fn back_mean(y: &[f64], period: usize, reach: usize) -> f64 {
    let centre = y.len().saturating_sub(period);
    tail_mean(&y[..(centre + 1).min(y.len())], 2 * reach + 1)
}

fn tail_mean(y: &[f64], count: usize) -> f64 {
    let part = &y[y.len().saturating_sub(count.max(1))..];
    if part.is_empty() { 0.0 } else { part.iter().sum::<f64>() / part.len() as f64 }
}

/// Simple exponential smoothing.
fn smooth(y: &[f64], alpha: f64) -> f64 {
    let start = y.len().saturating_sub((8.0 / alpha) as usize);
    let mut level = y.get(start).copied().unwrap_or(0.0);
    for &value in &y[start.min(y.len())..] {
        level += alpha * (value - level);
    }
    level
}

/// Holt's linear trend with damping (Gardner and McKenzie 1985).
fn damped(y: &[f64], alpha: f64, beta: f64, damping: f64, horizon: usize) -> Vec<f64> {
    let mut level = y.first().copied().unwrap_or(0.0);
    let mut trend = 0.0;
    for &value in y.iter().skip(1) {
        let before = level;
        level += damping * trend;
        level += alpha * (value - level);
        trend = damping * trend + beta * (level - before - damping * trend);
    }
    let (mut pace, mut ahead) = (trend, level);
    (0..horizon)
        .map(|_| {
            pace *= damping;
            ahead += pace;
            ahead
        })
        .collect()
}

/// Theta (Assimakopoulos and Nikolopoulos 2000): smoothing with half of the linear trend.
fn theta(y: &[f64], alpha: f64, horizon: usize) -> Vec<f64> {
    let level = smooth(y, alpha);
    let n = y.len() as f64;
    let middle = (n - 1.0) / 2.0;
    let mean = tail_mean(y, y.len());
    let (mut cross, mut square) = (0.0, 0.0);
    for (t, value) in y.iter().enumerate() {
        let x = t as f64 - middle;
        cross += x * (value - mean);
        square += x * x;
    }
    let slope = if square > 0.0 { cross / square } else { 0.0 };
    (1..=horizon).map(|i| level + 0.5 * slope * i as f64).collect()
}

/// The last value, moving on as it did over the last `span` points.
fn drift(y: &[f64], span: usize, horizon: usize) -> Vec<f64> {
    let last = y.last().copied().unwrap_or(0.0);
    let span = span.min(y.len().saturating_sub(1));
    let slope = if span > 0 { (last - y[y.len() - 1 - span]) / span as f64 } else { 0.0 };
    (1..=horizon).map(|i| last + 0.5 * slope * i as f64).collect()
}

/// First autocorrelation of residuals around `centre`, 0 to 0.999.
fn persistence(residuals: &[f64], centre: f64) -> f64 {
    let (mut cross, mut square) = (0.0, 0.0);
    for pair in residuals.windows(2) {
        cross += (pair[0] - centre) * (pair[1] - centre);
        square += (pair[0] - centre) * (pair[0] - centre);
    }
    if square > 0.0 { (cross / square).clamp(0.0, 0.999) } else { 0.0 }
}

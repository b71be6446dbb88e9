//! One-step predictors that compete.

use serde::{Deserialize, Serialize};

/// Gain of the fast level.
const FAST: f64 = 0.25;

/// `N` bases (a slow mean, profiles), each with two short memories of the residual from it: first-order autoregression,
/// and an exponentially weighted level. Side by side, so that one instruction serves several.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(
    bound = "[f32; N]: Serialize + for<'a> Deserialize<'a>, [f64; N]: Serialize + for<'a> Deserialize<'a>"
)]
pub(super) struct Experts<const N: usize> {
    last: [f32; N],
    fast: [f32; N],
    product: [f64; N],
    square: [f64; N],
    /// Running clipped errors: of autoregression, of the fast level, of the base alone.
    errors: [[f32; N]; 3],
}

impl<const N: usize> Experts<N> {
    pub(super) fn new() -> Self {
        Self { last: [0.0; N], fast: [0.0; N], product: [0.0; N], square: [0.0; N], errors: [[0.0; N]; 3] }
    }

    /// First autocorrelations of the residuals, 0 to 0.99.
    pub(super) fn phis(&self) -> [f64; N] {
        let mut phis = [0.0; N];
        for (i, phi) in phis.iter_mut().enumerate() {
            let ratio = self.product[i] / larger(self.square[i], f64::MIN_POSITIVE);
            *phi = larger(smaller(ratio, 0.99), 0.0);
        }
        phis
    }

    /// Prediction of residual `i` by the better memory, for the present [`Self::phis`].
    pub(super) fn predict(&self, i: usize, phi: f64) -> f64 {
        if self.errors[0][i] <= self.errors[1][i] {
            phi * f64::from(self.last[i])
        } else {
            f64::from(self.fast[i])
        }
    }

    /// Which of `candidates` errs least with its better memory, and which with its base alone.
    pub(super) fn best(&self, candidates: std::ops::Range<usize>) -> (usize, usize) {
        let [memory, level, alone] = &self.errors;
        let (mut best, mut base) = (candidates.start, candidates.start);
        let (mut least, mut least_alone) = (f32::INFINITY, f32::INFINITY);
        for i in 0..N {
            let error = if memory[i] <= level[i] { memory[i] } else { level[i] };
            let admitted = candidates.contains(&i);
            if admitted && error < least {
                (best, least) = (i, error);
            }
            if admitted && alone[i] < least_alone {
                (base, least_alone) = (i, alone[i]);
            }
        }
        (best, base)
    }

    /// Learns residuals, at rate `rate`, for the present [`Self::phis`]; errors count up to `clip`.
    pub(super) fn learn(&mut self, residuals: &[f64; N], phis: &[f64; N], rate: f64, clip: f64) {
        let wide = 3.0 * clip;
        let bounded = |r: f64| larger(smaller(r, wide), -wide);
        for i in 0..N {
            let (residual, last, fast) = (residuals[i], f64::from(self.last[i]), f64::from(self.fast[i]));
            let learn = |running: &mut f32, error: f64| {
                let before = f64::from(*running);
                *running = (before + rate * (smaller(error.abs(), clip) - before)) as f32;
            };
            learn(&mut self.errors[0][i], residual - phis[i] * last);
            learn(&mut self.errors[1][i], residual - fast);
            learn(&mut self.errors[2][i], residual);
            let now = bounded(residual);
            self.product[i] += rate * (now * bounded(last) - self.product[i]);
            self.square[i] += rate * (now * now - self.square[i]);
            self.last[i] = residual as f32;
            self.fast[i] = (fast + FAST * (residual - fast)) as f32;
        }
    }

    /// All bases moved by `by`: residuals move against it.
    pub(super) fn rebase(&mut self, by: f64) {
        self.last.iter_mut().chain(&mut self.fast).for_each(|r| *r -= by as f32);
    }

    /// All bases but the first are others now: short memory starts anew.
    pub(super) fn forget(&mut self) {
        self.last.iter_mut().skip(1).for_each(|r| *r = 0.0);
        self.fast.iter_mut().skip(1).for_each(|r| *r = 0.0);
    }

    /// Time passed without data: short memory fades.
    pub(super) fn fade(&mut self, steps: f64) {
        for (i, phi) in self.phis().into_iter().enumerate() {
            let keep = phi.powf(steps) as f32;
            self.last[i] *= keep;
            self.fast[i] *= keep;
        }
    }
}

/// The smaller of two numbers; one instruction where the standard's also minds NaN.
fn smaller(a: f64, b: f64) -> f64 {
    if a < b { a } else { b }
}

/// The larger of two numbers.
fn larger(a: f64, b: f64) -> f64 {
    if a > b { a } else { b }
}

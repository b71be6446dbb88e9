//! One-step predictors that compete.

use serde::{Deserialize, Serialize};

/// Gain of the fast level.
const FAST: f64 = 0.25;

/// A base (a slow mean, or a profile) with two short memories of the residual from it: first-order autoregression, and
/// an exponentially weighted level.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Expert {
    last: f32,
    fast: f32,
    product: f64,
    square: f64,
    /// Running clipped errors: of autoregression, of the fast level, of the base alone.
    errors: [f32; 3],
}

impl Expert {
    fn phi(&self) -> f64 {
        if self.square > 0.0 { (self.product / self.square).clamp(0.0, 0.99) } else { 0.0 }
    }

    /// The better of the two predictions of the residual, and its running error.
    pub(super) fn predict(&self) -> (f64, f64) {
        if self.errors[0] <= self.errors[1] {
            (self.phi() * f64::from(self.last), f64::from(self.errors[0]))
        } else {
            (f64::from(self.fast), f64::from(self.errors[1]))
        }
    }

    /// Running error of the base alone.
    pub(super) fn base_error(&self) -> f64 {
        f64::from(self.errors[2])
    }

    /// Learns a residual, at rate `rate`; errors count up to `clip`.
    pub(super) fn learn(&mut self, residual: f64, rate: f64, clip: f64) {
        let (last, fast) = (f64::from(self.last), f64::from(self.fast));
        let errors = [residual - self.phi() * last, residual - fast, residual];
        for (running, error) in self.errors.iter_mut().zip(errors) {
            *running += (rate * (error.abs().min(clip) - f64::from(*running))) as f32;
        }
        let bounded = residual.clamp(-3.0 * clip, 3.0 * clip);
        self.product += rate * (bounded * last.clamp(-3.0 * clip, 3.0 * clip) - self.product);
        self.square += rate * (bounded * bounded - self.square);
        self.last = residual as f32;
        self.fast = (fast + FAST * (residual - fast)) as f32;
    }

    /// The base moved by `by`: its residuals move against it.
    pub(super) fn rebase(&mut self, by: f64) {
        self.last -= by as f32;
        self.fast -= by as f32;
    }

    /// The base is another one now: short memory starts anew.
    pub(super) fn forget(&mut self) {
        self.last = 0.0;
        self.fast = 0.0;
    }

    /// Time passed without data: short memory fades.
    pub(super) fn fade(&mut self, steps: f64) {
        let keep = self.phi().powf(steps) as f32;
        self.last *= keep;
        self.fast *= keep;
    }
}

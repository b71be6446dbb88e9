//! One-step predictors that compete.

use serde::{Deserialize, Serialize};

/// Gain of the fast level.
const FAST: f64 = 0.25;

/// A base (a slow mean, or a profile) with two short memories of the residual from it: first-order autoregression, and
/// an exponentially weighted level.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Expert {
    last: f64,
    fast: f64,
    product: f64,
    square: f64,
    /// Running clipped errors: of autoregression, of the fast level, of the base alone.
    errors: [f64; 3],
}

impl Expert {
    fn phi(&self) -> f64 {
        if self.square > 0.0 { (self.product / self.square).clamp(0.0, 0.99) } else { 0.0 }
    }

    /// The better of the two predictions of the residual, and its running error.
    pub(super) fn predict(&self) -> (f64, f64) {
        if self.errors[0] <= self.errors[1] {
            (self.phi() * self.last, self.errors[0])
        } else {
            (self.fast, self.errors[1])
        }
    }

    /// Running error of the base alone.
    pub(super) fn base_error(&self) -> f64 {
        self.errors[2]
    }

    /// Learns a residual, at rate `rate`; errors count up to `clip`.
    pub(super) fn learn(&mut self, residual: f64, rate: f64, clip: f64) {
        let errors = [residual - self.phi() * self.last, residual - self.fast, residual];
        for (running, error) in self.errors.iter_mut().zip(errors) {
            *running += rate * (error.abs().min(clip) - *running);
        }
        let bounded = residual.clamp(-3.0 * clip, 3.0 * clip);
        self.product += rate * (bounded * self.last.clamp(-3.0 * clip, 3.0 * clip) - self.product);
        self.square += rate * (bounded * bounded - self.square);
        self.last = residual;
        let innovation = residual - self.fast;
        self.fast += FAST * innovation;
    }

    /// The base moved by `by`: its residuals move against it.
    pub(super) fn rebase(&mut self, by: f64) {
        self.last -= by;
        self.fast -= by;
    }

    /// The base is another one now: short memory starts anew.
    pub(super) fn forget(&mut self) {
        self.last = 0.0;
        self.fast = 0.0;
    }

    /// Time passed without data: short memory fades.
    pub(super) fn fade(&mut self, steps: f64) {
        let keep = self.phi().powf(steps);
        self.last *= keep;
        self.fast *= keep;
    }
}

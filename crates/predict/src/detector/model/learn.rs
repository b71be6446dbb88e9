//! What a point teaches.

use super::outlook::Outlook;
use super::{CHANNELS, DOUBTED, Model};
use crate::config::Config;
use crate::detector::window::LONG;

impl Model {
    pub(super) fn learn_scatter(
        &mut self,
        o: &Outlook,
        x: f64,
        residual: f64,
        means: [Option<f64>; CHANNELS],
        rate: f64,
    ) {
        let floor = self.floor();
        let error = x - o.expected;
        let per_factor = 1.0 / o.factor;
        let whole = self.scatter[0].get().max(floor);
        if whole > 0.0 {
            let relative = error.abs() / whole;
            self.hours.learn(o.slot.hour, relative, f64::from(self.pace.hour));
        }
        self.residual.learn(residual * per_factor, rate, floor);
        let [first, windows @ ..] = &mut self.scatter;
        first.learn(error * per_factor, rate, floor);
        for (scatter, mean) in windows.iter_mut().zip(&means[1..]) {
            if let Some(mean) = mean {
                scatter.learn(mean * per_factor, rate, floor);
            }
        }
    }

    /// Learns a point; whether a level shift was accepted.
    pub(super) fn learn(&mut self, config: &Config, o: &Outlook, value: f64) -> bool {
        let x = self.transform.forward(value);
        if let Some((event, share)) = o.event {
            if share >= 1.0 && o.ordinary.abs() > 0.0 {
                self.effects.get_or_insert_default().learn(event, value / o.ordinary);
            }
            return false;
        }
        if self.in_event() {
            self.effects.get_or_insert_default().finish();
            self.window.clear();
        }
        self.low = self.low.min(x);
        self.high = self.high.max(x);
        self.seen += 1.0;
        // Who wants to see a fault to its end must not learn it meanwhile.
        let doubt = if self.outside && config.novelty == 0.0 { DOUBTED } else { 1.0 };
        let rate = doubt * (1.0 / self.seen).max(f64::from(self.pace.rate));
        let sigma = self.residual.get().max(self.floor()) * o.factor;
        let visited = self.season.visits(o.slot) > 0;
        if visited != self.on_profile {
            // The bases left the slow mean for the profile, or fell back to it: what they remember is of the other.
            self.on_profile = visited;
            self.experts.forget();
        }
        self.experts.learn(&o.bases.map(|base| x - base), &o.phis, rate, 4.0 * sigma);
        let clip = |r: f64, by: f64| if self.seen < 100.0 { r } else { r.clamp(-by * sigma, by * sigma) };
        let mean_move = rate * clip(x - self.mean, 6.0);
        self.mean += mean_move;
        if visited {
            let off_day = x - o.bases[1];
            self.level += rate * clip(off_day, 4.0);
            self.season.learn(o.slot, clip(off_day, 3.0), clip(x - o.bases[3], 3.0));
        } else {
            self.season.learn(o.slot, x - self.level, 0.0);
        }
        self.shift(config, x - o.bases[o.base], sigma)
    }

    /// A deviation of one sign that lasts is the new level.
    fn shift(&mut self, config: &Config, residual: f64, sigma: f64) -> bool {
        let sign = if residual > sigma {
            1
        } else if residual < -sigma {
            -1
        } else {
            0
        };
        self.run = if sign != 0 && sign == self.run.signum() { self.run + sign } else { sign };
        if self.run.unsigned_abs() < config.shift_points.max(LONG as u32) {
            return false;
        }
        let by = self.window.median();
        self.mean += by;
        if self.on_profile {
            // Else the profile is still being built, and against a slow mean a day's own shape looks like a shift.
            self.level += by;
        }
        self.window.rebase(by);
        self.experts.rebase(by);
        self.run = 0;
        true
    }
}

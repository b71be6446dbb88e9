//! The scale on which deviations of a kind are judged.

use serde::{Deserialize, Serialize};

use crate::config::SignalKind;

/// Durations below this are judged as this; in the unit of the series.
const SHORTEST: f64 = 1e-9;
/// Size of the negative binomial: counts far above it scatter in proportion to themselves.
const SIZE: f64 = 50.0;
/// Its square root.
const ROOT_OF_SIZE: f64 = 7.071_067_811_865_476;

/// A monotone map that makes the scatter of a kind even.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Transform {
    Linear,
    /// Variance-stabilising for counts whose scatter grows from Poisson's to proportional: a root that turns into a
    /// logarithm (Anscombe 1948, negative binomial).
    Root,
    Log,
    /// Arcsine of the root, for shares.
    Arcsine,
}

impl Transform {
    /// The transform of a kind that is not [`SignalKind::Auto`].
    pub(super) fn of(kind: SignalKind) -> Self {
        match kind {
            SignalKind::Count => Self::Root,
            SignalKind::Latency => Self::Log,
            SignalKind::Ratio => Self::Arcsine,
            SignalKind::Auto | SignalKind::Gauge | SignalKind::Counter => Self::Linear,
        }
    }

    pub(super) fn forward(self, y: f64) -> f64 {
        match self {
            Self::Linear => y,
            // `2 asinh(sqrt(v)) = acosh(1 + 2 v)`: one logarithm.
            Self::Root => {
                let cosh = 1.0 + 2.0 * (y.max(0.0) + 0.375) / SIZE;
                ROOT_OF_SIZE * (cosh + (cosh * cosh - 1.0).sqrt()).ln()
            }
            Self::Log => y.max(SHORTEST).ln(),
            Self::Arcsine => y.clamp(0.0, 1.0).sqrt().asin(),
        }
    }

    pub(super) fn inverse(self, x: f64) -> f64 {
        match self {
            Self::Linear => x,
            Self::Root => {
                let e = (x / ROOT_OF_SIZE).clamp(0.0, 600.0).exp();
                (0.5 * SIZE * (0.5 * (e + 1.0 / e) - 1.0) - 0.375).max(0.0)
            }
            Self::Log => x.clamp(-690.0, 690.0).exp(),
            Self::Arcsine => {
                let s = x.clamp(0.0, std::f64::consts::FRAC_PI_2).sin();
                s * s
            }
        }
    }

    /// Scatter at `multiplier` times the value, relative to the scatter at the value, when scatter is proportional
    /// to the value.
    pub(super) fn widening(self, multiplier: f64) -> f64 {
        match self {
            Self::Linear => multiplier.max(1.0),
            Self::Root | Self::Log | Self::Arcsine => 1.0,
        }
    }

    /// Smallest scatter that is believed, on this scale.
    pub(super) fn floor(self) -> f64 {
        match self {
            Self::Linear => 0.0,
            Self::Root => 0.1,
            Self::Log => 0.01,
            Self::Arcsine => 0.002,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverse_undoes_forward() {
        for (transform, y) in [
            (Transform::Linear, -3.5),
            (Transform::Root, 0.0),
            (Transform::Root, 1234.0),
            (Transform::Log, 0.25),
            (Transform::Arcsine, 0.03),
        ] {
            let back = transform.inverse(transform.forward(y));
            assert!((back - y).abs() < 1e-9 * y.abs().max(1.0), "{transform:?} {y} {back}");
        }
    }
}

//! What a detector says about a point.

use serde::{Deserialize, Serialize};

/// Verdict on one point. Numbers are in the unit of the series (per second for a counter), and `None` while the detector
/// learns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// One-step prediction, from the points before.
    pub expected: Option<f64>,
    /// The seasonal part of it alone: what the point would be on an ordinary day. Slow drift shows against it.
    pub ordinary: Option<f64>,
    /// Low end of the 99 % band, from the points before.
    pub lower: Option<f64>,
    /// High end of the 99 % band, from the points before.
    pub upper: Option<f64>,
    /// `-log10` of the probability of a deviation as large, less what the last alert already told; 0 to about 19.
    pub score: f64,
    /// A deviation that the budget of false alarms does not explain.
    pub anomalous: bool,
    /// Still clearly off normal, told already or not: an open finding stays open while this holds.
    pub outside: bool,
    /// The level has just been accepted as the new normal.
    pub shifted: bool,
    /// Whether the warm-up is over.
    pub ready: bool,
}

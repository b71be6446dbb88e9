//! Detectors, forecasts, change points and SLO burn arithmetic.
//!
//! - [`Detector`]: normal without thresholds, one point at a time; [`Alert`] turns verdicts into one open finding, [`Reorder`]
//!   puts late points back into order before.
//! - [`forecast`]: the future of a series with calibrated quantiles; [`time_to_breach`]; a [`Ledger`] of what became of predictions.
//! - [`burn`]: error budgets and burn rates.
//! - [`offline`]: the same on CSV documents.
//! - [`picture`]: a series with its band, for a terminal, as SVG, and as pixels ([`raster`]).
//!
//! Pure: time is an argument. The methods are streaming, O(1) a point and never refitted, which is why they are our own
//! rather than a fitted model's: a million series are judged on one core.

mod alert;
pub mod burn;
mod calendar;
mod config;
mod detector;
mod forecast;
mod glyphs;
mod grade;
pub mod offline;
pub mod picture;
pub mod raster;
mod reorder;

pub use alert::{Alert, AlertState, MissingData, Observation, RuleError, Transition, WindowRule};
pub use calendar::{Offsets, PeakEvent};
pub use config::{Config, Direction, ModelKind, Prior, Sensitivity, SignalKind};
pub use detector::{Detector, State, Verdict};
pub use forecast::{
    Breach, Forecast, ForecastError, ForecastOptions, LEVELS, crossing, forecast, time_to_breach, usual_step,
};
pub use grade::{Grade, Ledger, Prediction, Reliability, Seen};
pub use reorder::Reorder;

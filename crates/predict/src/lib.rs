//! Detectors, forecasts, change points and SLO burn arithmetic.

mod calendar;
mod config;
mod detector;
pub mod offline;

pub use calendar::{Offsets, PeakEvent};
pub use config::{Config, Direction, ModelKind, Prior, Sensitivity, SignalKind};
pub use detector::{Detector, State, Verdict};

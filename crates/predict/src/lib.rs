//! Detectors, forecasts, change points and SLO burn arithmetic.

mod calendar;
mod config;
mod detector;
mod forecast;
pub mod offline;

pub use calendar::{Offsets, PeakEvent};
pub use config::{Config, Direction, ModelKind, Prior, Sensitivity, SignalKind};
pub use detector::{Detector, State, Verdict};
pub use forecast::{Breach, Forecast, ForecastError, ForecastOptions, LEVELS, forecast, time_to_breach};

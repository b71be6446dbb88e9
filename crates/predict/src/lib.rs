//! Detectors, forecasts, change points and SLO burn arithmetic.

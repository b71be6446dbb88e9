//! Scenarios: recordings of real outages, the feeder that plays them as OTLP, the workload simulator, and the demo.
//!
//! The feeder never reads a recording's label; the simulator, a process of its own, is the only reader.

mod api;
pub mod control_plane;
pub mod crash_points;
pub mod demo;
pub mod feeder;
pub mod otlp;
pub mod past;
pub mod process;
pub mod recording;
pub mod scale;
pub mod shop;
pub mod simulator;
mod tls;

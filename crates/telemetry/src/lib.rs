//! Tracing, metric registry, health endpoints and shutdown.
//!
//! Every role of the binary has these four, and nothing in here knows about Kubernetes or telemetry data:
//!
//! ```text
//!   init_tracing ── structured log on standard error
//!   Metrics ─┐
//!   Health ──┴── admin_router ── serve ── /metrics /healthz /readyz
//!   Shutdown ── CancellationToken for everything, a deadline for what it spawned
//! ```

mod build_info;
mod health;
mod metrics;
mod process;
mod server;
mod shutdown;
mod tracing_setup;

pub use build_info::BuildInfo;
pub use health::{CheckState, Health, Readiness, ReadinessCheck};
pub use metrics::{Metrics, MetricsError};
pub use process::{ProcessMemory, process_memory};
pub use server::{ServeError, admin_router, serve};
pub use shutdown::{Overdue, Shutdown, ShutdownError, ShutdownReason};
pub use tracing_setup::{Format, TracingError, init_tracing};

//! The gateway's side of the data path: steps → template ids → [`Sink`](causeway_model::Sink), and from what the
//! sink made durable the partial aggregates and span stubs that the engine learns from.
//!
//! Order matters: masking runs before the sink, so that a secret never reaches a disk; aggregation runs after it,
//! so that a record counts exactly when it is durable, and a sender's retry does not count twice.

mod aggregate;
mod gateway;
mod logs;
mod metrics;
mod points;
mod replay;
mod spans;
mod templates;

pub use aggregate::{Aggregator, AggregatorConfig, AggregatorStats};
pub use gateway::{Gateway, GatewayConfig, PartialSink};
pub use metrics::PipelineMetrics;

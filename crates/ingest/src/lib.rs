//! Transports: sockets, limits, authentication and back-pressure. What the [`causeway_model::Sink`] accepted is
//! acknowledged, nothing else.
//!
//! ```text
//!   gRPC 4317 ─┐                                            ┌► rate limit ► Sink::accept ► answer
//!   HTTP 4318 ─┼─► connection limit ► credential ► decode ──┤
//!   TCP 24224 ─┘      (serve)        (credentials)  (wire)  └► metrics by protocol, outcome and source
//! ```

mod bucket;
mod credentials;
mod decompress;
mod error;
mod forward;
mod gate;
mod grpc;
mod http_routes;
mod limits;
mod metrics;
mod serve;
mod server;
mod trouble;

pub use credentials::{Conflict, Credentials, Secret, SourceCredential, SourceLimits};
pub use error::IngestError;
pub use ipnet::IpNet;
pub use limits::IngestLimits;
pub use metrics::IngestMetrics;
pub use server::{IngestConfig, IngestHandles, IngestServer};
pub use trouble::Refusals;

//! The transports over real sockets, with a sink that fails on demand.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod fake;
mod forward;
mod grpc;
mod http;
mod shutdown;

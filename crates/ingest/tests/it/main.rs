//! The transports over real sockets, with a sink that fails on demand.

mod fake;
mod forward;
mod grpc;
mod http;
mod shutdown;

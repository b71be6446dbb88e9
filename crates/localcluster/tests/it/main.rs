//! The server from the outside: behaviours of the Kubernetes API, durability, HTTP, and the real `kubectl`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod clock;
mod conformance;
mod durability;
mod fixture;
mod kubectl;
mod transport;

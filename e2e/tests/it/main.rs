//! Scenarios with the built binary and real clients. They need the binary: `cargo build --workspace` makes it, and
//! `cargo xtask test` sets what else they need.

#![allow(clippy::unwrap_used, clippy::unwrap_in_result, clippy::expect_used, clippy::panic)]

mod bad_input;
mod browser;
mod clients;
mod console;
mod control_plane;
mod kinds;
mod kubectl;
mod object_store;
mod roles;
mod series;
mod support;

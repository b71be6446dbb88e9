//! The controllers against the Kubernetes API in process, with a stepped clock and ports that the test holds.

#![allow(clippy::unwrap_used, clippy::unwrap_in_result, clippy::expect_used, clippy::panic)]

mod baseline;
mod cluster;
mod configuration;
mod flag;
mod flag_server;
mod flux;
mod freeze;
#[allow(dead_code, reason = "what only the tests of the crate gitops ask for")]
#[path = "../../../gitops/tests/it/server.rs"]
mod git_server;
mod gitops;
mod lifecycle;
mod notification;
mod peak_event;
mod real;
mod repair;
mod slo;
mod steps;
mod suspend;
mod tax_rate;
mod what_if;
mod world;

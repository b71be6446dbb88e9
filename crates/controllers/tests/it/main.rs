//! The controllers against the Kubernetes API in process, with a stepped clock and ports that the test holds.

#![allow(clippy::unwrap_used, clippy::unwrap_in_result, clippy::expect_used, clippy::panic)]

mod accounts;
mod audit_log;
mod baseline;
mod cluster;
mod configuration;
#[allow(dead_code, unreachable_pub, reason = "it is public where the scenarios use it")]
#[path = "../../../../e2e/src/crash_points.rs"]
mod crash_points;
mod deeds;
mod every_action;
mod executor;
mod flag;
mod flag_server;
mod flux;
mod freeze;
#[allow(dead_code, reason = "what only the tests of the crate gitops ask for")]
#[path = "../../../gitops/tests/it/server.rs"]
mod git_server;
mod gitops;
mod hook;
mod lifecycle;
mod notification;
mod operator;
mod peak_event;
mod proof;
mod real;
mod real_actions;
mod repair;
mod slo;
mod steps;
mod suspend;
mod tax_rate;
mod what_if;
mod world;

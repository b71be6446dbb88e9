//! A shop in a closed loop: a fluid model that reads its Deployments, autoscalers and ConfigMaps from Kubernetes and speaks
//! OTLP, so that a right repair helps and a wrong one hurts. The model itself knows neither clock nor API.
//!
//! - `topology`, `cause`: data: what the shop is made of, and what goes wrong.
//! - `station`, `flow`, `autoscaler`, `cluster`, `tick`, `world`: the model.
//! - `traces`, `telemetry`: what it says of itself.
//! - `kubernetes`, `manifests`: how it meets the API; `metrics`: what autoscalers of a real cluster see of it.
//!
//! `demo --shop` plays a scenario against a running Causeway.

pub mod autoscaler;
pub mod cause;
pub mod cluster;
pub mod flow;
pub(crate) mod kubernetes;
pub mod manifests;
pub(crate) mod metrics;
pub mod rng;
pub mod station;
pub mod telemetry;
mod tick;
pub mod topology;
pub mod traces;
pub mod world;

/// Namespace of the shop.
pub const NAMESPACE: &str = "shop";

//! The console: an HTTP API and the web UI on it, for people and programs that have a token of the cluster.
//!
//! It has no rights of its own. Every object is read and written with the caller's token, so that RBAC and the admission
//! rules of the API server decide; telemetry is read through [`Insight`](causeway_model::Insight) as far as the caller may
//! list Incidents. Nothing is fetched from elsewhere: pages, style, script and pictures are in the binary, and all text
//! that comes from outside is shown inert.
//!
//! ```text
//! browser ─ cookie ─┐                            ┌─ Kubernetes API, with the caller's token
//!                   ├─ protect ─ session ─ page ─┤
//! program ─ bearer ─┘                    └─ api ─┴─ Insight: lake and engine, here or at another process
//! ```

mod access;
mod api;
mod approve;
mod console;
pub mod draw;
mod failure;
mod gate;
mod inert;
mod objects;
mod pages;
mod protect;
mod remote;
mod render;
mod session;
pub mod story;
mod telemetry;

pub use console::{Console, ConsoleConfig};
pub use gate::Gate;
pub use inert::{inert, inert_value};
pub use remote::Remote;
pub use telemetry::Telemetry;

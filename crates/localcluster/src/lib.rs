//! The Kubernetes API in process, generic over the custom resources it is given.
//!
//! A [`LocalCluster`] serves the kinds of its definitions and fourteen built-in kinds with the semantics that
//! controllers and `kubectl` rely on: optimistic concurrency, watches that resume, patches of all four kinds,
//! field ownership, status and scale subresources, finalizers, owner garbage collection, structural schemas with
//! defaults, pruning and CEL rules, tables and discovery. It runs no controllers besides garbage collection and the
//! end of namespaces; what Kubernetes has and this server leaves out is answered with 501 and a text that says so.
//!
//! ```text
//!   kube::Client ──┐                     ┌─ schema: prune, default, validate, CEL
//!                  ├─ service ─ core ────┼─ patch, apply, managed fields
//!   HTTP loopback ─┘                     ├─ gc
//!                                        └─ store: memory + history ── sqlite (synced before the answer)
//! ```

mod admission;
mod apply;
mod builtin;
mod call;
mod cluster;
mod core;
mod crd;
mod discovery;
mod event;
mod fields;
mod form;
mod gc;
mod jsonpath;
mod kind;
mod managed;
mod names;
mod openapi;
mod patch;
mod prepare;
mod protobuf;
mod read;
mod review;
mod scale;
mod schema;
mod selector;
mod service;
mod sqlite;
mod status;
mod store;
mod strategic;
mod strategy;
mod table;
mod tokens;
mod watch;
mod write;

pub use admission::{Admission, Denied, Identity, Review, User, Verb};
pub use call::DryRun;
pub use cluster::{Error, LocalCluster, Options, Storage};
pub use core::Clock;
pub use sqlite::FileError;
pub use tokens::TokenError;

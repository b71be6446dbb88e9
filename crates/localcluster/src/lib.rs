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
//!
//! A write holds the one writer lock from reading the old object to the commit. The commit goes to the state file
//! first, then to memory, then to the watches; so nobody sees what a crash could take back.
//!
//! ```no_run
//! # async fn run(crds: Vec<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition>)
//! # -> Result<(), causeway_localcluster::Error> {
//! use causeway_localcluster::{LocalCluster, Options, Storage};
//!
//! let storage = Storage::Folder("data".into());
//! let cluster = LocalCluster::open(Options { storage, crds, ..Options::default() })?;
//! let client = cluster.client("system:serviceaccount:causeway:operator");
//! # drop(client); Ok(()) }
//! ```
//!
//! # Differences to a real API server
//!
//! Answers are compared to those of a real API server, field by field; the README lists where they differ on purpose.
//! Besides:
//!
//! - Consequences of a deletion (dependents, a namespace's content, a definition's objects) happen inside the write
//!   that caused them; a pod is removed at once, without a grace period.
//! - Rights are all or nothing: a token's user may do everything that the [`Admission`] rules allow.
//! - Built-in kinds are validated by their schema and the rules between fields that matter here (selectors,
//!   immutable fields, bounds), not by all of Kubernetes' validation. Services get no cluster IP, namespaces no
//!   default ServiceAccount. Pods get what the default admission plugins add, without a token volume.
//! - All versions of a custom resource have one content (conversion strategy `None`). CEL rules have no cost limit.
//!   An invalid field that a write leaves unchanged is refused too (no ratcheting).
//! - A list that continues shows the current state behind the continue token, not that of the first page.
//!   `resourceVersionMatch=Exact` knows the current version only. The history of watches (1024 changes a kind) does
//!   not outlive the process: older versions get 410.
//! - Server-side apply tracks fields and conflicts, but `metadata.managedFields` cannot be edited, and `scale` cannot
//!   be applied to.
//! - Bodies are JSON or YAML; of protobuf only what `kubectl create namespace|configmap|secret|serviceaccount` sends.
//! - Without TLS Go clients do not send tokens; the kubeconfig's address therefore carries the token as a path
//!   (`/token/TOKEN`), which `kubectl get --raw` ignores.

mod admission;
mod apply;
mod builtin;
mod call;
mod cluster;
mod core;
mod crd;
mod delete_options;
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
mod typed;
mod watch;
mod write;

pub use admission::{Admission, Denied, Identity, Review, User, Verb};
pub use call::DryRun;
pub use cluster::{Error, LocalCluster, Options, Storage};
pub use core::Clock;
pub use sqlite::FileError;
pub use tokens::TokenError;

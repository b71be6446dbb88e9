//! Topology, ranking of causes, grouping windows, impact and money.
//!
//! Everything here is a function of its arguments: no clock, no files, no randomness, so that the same input gives the same bytes.

// Nodes are numbers that index several lists side by side.
#![allow(clippy::needless_range_loop)]

mod account;
mod anomalous;
pub mod case;
mod class;
mod csv;
pub mod draft;
mod entity;
mod events;
mod evidence;
mod facts;
mod features;
pub mod fingerprint;
mod frame;
mod fuse;
mod graph;
pub mod group;
pub mod grouper;
mod history;
pub mod impact;
mod link;
pub mod load;
mod missing;
pub mod offline;
pub mod rank;
pub mod ranking;
pub mod signal;
mod spans;
pub mod state;
mod stats;
mod template;
pub mod text;
pub mod topology;
mod window;
pub mod wording;

//! Topology, ranking of causes, grouping windows, impact and money.
//!
//! Everything here is a function of its arguments: no clock, no files, no randomness, so that the same input gives the same bytes.

mod account;
pub mod case;
mod csv;
pub mod draft;
mod events;
mod evidence;
mod facts;
mod features;
mod fuse;
mod graph;
pub mod group;
mod history;
pub mod impact;
pub mod load;
pub mod offline;
pub mod rank;
pub mod ranking;
pub mod recur;
pub mod signal;
mod spans;
mod stats;
mod template;
mod text;
pub mod topology;
mod window;

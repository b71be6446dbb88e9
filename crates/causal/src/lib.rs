//! Topology, ranking of causes, grouping windows, impact and money.
//!
//! Everything here is a function of its arguments: no clock, no files, no randomness, so that the same input gives the same bytes.

mod account;
pub mod case;
mod csv;
mod events;
mod facts;
mod features;
mod fuse;
mod graph;
pub mod load;
pub mod rank;
pub mod ranking;
pub mod signal;
mod spans;
mod stats;
mod template;
mod window;

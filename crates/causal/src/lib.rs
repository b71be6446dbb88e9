//! Topology, ranking of causes, grouping windows, impact and money.
//!
//! Everything here is a function of its arguments: no clock, no files, no randomness, so that the same input gives the same bytes.

pub mod case;

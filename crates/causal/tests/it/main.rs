//! Ranking, grouping, topology and drafts on small generated systems, and on recorded outages where they are at hand.
#![allow(missing_docs, unreachable_pub)]

mod grouping;
mod incident;
mod made;
mod properties;
mod ranking;
mod recorded;
mod topology;

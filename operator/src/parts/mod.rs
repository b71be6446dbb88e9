//! What roles are composed of. `standalone` has all of it, the others what they need.

mod ask;
pub(crate) mod brain;
pub(crate) mod candidate;
pub(crate) mod changes;
pub(crate) mod clock;
pub(crate) mod cluster;
pub(crate) mod declared_api;
pub(crate) mod engine_host;
mod engine_metrics;
pub(crate) mod engine_state;
mod forecast_function;
pub(crate) mod git;
pub(crate) mod lake;
pub(crate) mod listen;
pub(crate) mod maintain;
pub(crate) mod past;
pub(crate) mod persist;
pub(crate) mod receiving;
pub(crate) mod recover;
pub(crate) mod runtime;
pub(crate) mod shared_folder;
pub(crate) mod step_api;
pub(crate) mod store;
pub(crate) mod token;

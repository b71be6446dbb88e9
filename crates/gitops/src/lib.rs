//! Commits and pull requests to a Git repository, each made once.
//!
//! The program `git` does the transport; nothing is checked out, and no hook, filter or configuration of the machine or of
//! the repository runs. A step is known by the trailer of its commit, so that a retry after a crash finds it.

pub mod credentials;
pub mod error;
mod failure;
pub mod forge;
pub mod git;
pub mod step;

mod repository;
mod work;

pub use credentials::Credentials;
pub use error::GitError;
pub use forge::Provider;
pub use git::Git;
pub use step::{Made, Mode, Step, Target};

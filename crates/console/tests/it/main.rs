//! The console in front of the Kubernetes API in process, asked over HTTP as a browser and as a program.

#![allow(clippy::unwrap_used, clippy::unwrap_in_result, clippy::expect_used, clippy::panic)]

mod decisions;
mod forgery;
mod hostile;
mod live;
mod rights;
mod world;

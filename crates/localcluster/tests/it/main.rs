//! The server from the outside: behaviours of the Kubernetes API, durability, HTTP, and the real `kubectl`.

mod conformance;
mod durability;
mod fixture;
mod kubectl;
mod transport;

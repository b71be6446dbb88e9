//! From gateways to the operator, and acknowledgements back.
//!
//! ```text
//!   gateway                                           operator (the leader)
//!   closed window ─► journal (a frame of the WAL)
//!   sealed file   ─► announced by the lake      ─┐
//!   what sources did                            ─┤ one exchange after the other, on one connection
//!                                                └► commit, where the table stands behind it ─► Delta
//!   cursor, committed sequences ◄───────────────── engine, where its cursor stands behind it
//! ```
//!
//! A gateway speaks and the operator answers: an exchange carries what follows the cursor that was answered last, so that
//! there is nothing to agree on after an interruption. All that is in an exchange may come twice, late, or at two leaders
//! at once: tables and engine compare sequences. A gateway keeps its frames for [`KEEP_US`]; a new leader answers with the
//! cursor of the snapshot that it began with, and gets everything behind it again.

mod error;
mod hub;
mod journal;
mod link;
mod message;
mod sender;

pub use error::RelayError;
pub use hub::{Hub, Intake};
pub use journal::{Journal, KEEP_US, Outbox, rebuild};
pub use link::Link;
pub use message::{Answer, Exchange, Frame, Observation};
pub use sender::{Delivery, Observe, Sender};

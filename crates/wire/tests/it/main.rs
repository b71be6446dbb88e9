//! Decoders from outside: what real senders send, and what nobody should send.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod forward;
mod otlp;

use causeway_model::SourceRef;
use causeway_wire::DecodeContext;

/// 2026-11-22T00:00:00Z.
pub(crate) const NOW_US: i64 = 1_795_305_600_000_000;

pub(crate) fn context() -> DecodeContext {
    DecodeContext::new(SourceRef { namespace: "shop".to_owned(), name: "otel".to_owned() }, NOW_US)
}

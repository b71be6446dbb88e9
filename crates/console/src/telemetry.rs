//! Where telemetry is read: in this process, or at the one that has it.

use std::sync::Arc;

use causeway_model::Insight;

use crate::remote::Remote;
use crate::session::Token;

/// Where telemetry is read.
pub enum Telemetry {
    /// In this process.
    Here(Arc<dyn Insight>),
    /// At another process, which decides by the caller's token anew what may be seen.
    At(Remote),
}

impl Telemetry {
    /// The port for a caller.
    pub(crate) fn open(&self, token: &Token) -> Arc<dyn Insight> {
        match self {
            Self::Here(insight) => Arc::clone(insight),
            Self::At(remote) => Arc::new(remote.with(token.clone())),
        }
    }
}

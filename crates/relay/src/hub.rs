//! The operator's side: takes what gateways hand over, while it leads.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use causeway_lake::{Lake, LakeError};
use causeway_model::{Clock, Micros, Partial, SourceRef};
use parking_lot::Mutex;

use crate::journal::decode;
use crate::message::{MAX_BYTES, PATH};
use crate::{Answer, Exchange, Frame, Observation};

/// A gateway that has said nothing for so long has no say in how sources stand.
const FORGET_US: i64 = 10 * 60 * 1_000_000;

/// The engine, as far as gateways feed it.
pub trait Intake: Send + Sync {
    /// Sequence of the newest window of a gateway that it has; 0 before the first.
    fn cursor(&self, gateway: &str) -> u64;
    /// Takes a closed window, unless its sequence is not newer than the cursor.
    fn observe(&self, gateway: &str, sequence: u64, partial: Partial);
}

/// What a gateway told last.
struct Told {
    at_us: Micros,
    sources: Vec<(SourceRef, Observation)>,
}

/// Where all gateways end.
pub struct Hub {
    lake: Lake,
    intake: Arc<dyn Intake>,
    clock: Arc<dyn Clock>,
    told: Mutex<BTreeMap<String, Told>>,
}

impl Hub {
    /// A hub that commits with `lake` and feeds `intake`.
    #[must_use]
    pub fn new(lake: Lake, intake: Arc<dyn Intake>, clock: Arc<dyn Clock>) -> Self {
        Self { lake, intake, clock, told: Mutex::default() }
    }

    /// What all gateways together saw of a source lately.
    #[must_use]
    pub fn observed(&self, source: &SourceRef) -> Observation {
        let mut all = Observation::default();
        let told = self.told.lock();
        for (_, seen) in told.values().flat_map(|told| &told.sources).filter(|(s, _)| s == source) {
            all.merge(seen);
        }
        all
    }

    /// Takes one exchange. Rows first: what the engine finds can be looked at then.
    ///
    /// # Errors
    /// [`LakeError::Announced`] for files that can't be right. Another failure of a commit is logged, and shows in the
    /// answer by what is missing.
    pub async fn take(&self, exchange: Exchange) -> Result<Answer, LakeError> {
        let Exchange { gateway, after, frames, announcements, observations } = exchange;
        let mut committed = BTreeMap::new();
        for announced in &announcements {
            if announced.wal != gateway {
                return Err(LakeError::Announced(format!("{gateway} announces files of {}", announced.wal)));
            }
            match self.lake.commit_announced(announced).await {
                Ok(sequence) => {
                    committed.insert(announced.table, sequence);
                }
                Err(error @ LakeError::Announced(_)) => return Err(error),
                Err(error) => {
                    tracing::error!(%error, gateway, "sealed files are not committed yet");
                    break;
                }
            }
        }
        self.feed(&gateway, after, frames);
        let now_us = self.clock.now_us();
        let mut told = self.told.lock();
        told.retain(|_, told| now_us - told.at_us < FORGET_US);
        told.insert(gateway.clone(), Told { at_us: now_us, sources: observations });
        drop(told);
        let cursor = self.intake.cursor(&gateway);
        Ok(Answer { cursor, committed: committed.into_iter().collect() })
    }

    /// Frames that begin behind the cursor leave a gap: the answer says from where on they are wanted.
    fn feed(&self, gateway: &str, after: Option<u64>, frames: Vec<Frame>) {
        if after.is_none_or(|after| after > self.intake.cursor(gateway)) {
            return;
        }
        for Frame { sequence, bytes } in frames {
            match decode(&bytes) {
                Ok(partial) => self.intake.observe(gateway, sequence, partial),
                Err(error) => {
                    // Taken by nobody, so that the gateway does not get past it unseen.
                    tracing::error!(%error, gateway, sequence, "a window of a gateway can't be read");
                    return;
                }
            }
        }
    }

    /// The route for gateways that have the token.
    pub fn router(self: &Arc<Self>, token: impl Into<String>) -> Router {
        let state = Arc::new(Door { hub: Arc::clone(self), token: token.into() });
        Router::new().route(PATH, post(exchange)).layer(DefaultBodyLimit::max(MAX_BYTES)).with_state(state)
    }
}

struct Door {
    hub: Arc<Hub>,
    token: String,
}

async fn exchange(State(door): State<Arc<Door>>, headers: HeaderMap, body: Bytes) -> Response {
    let token = headers.get("authorization").and_then(|value| value.to_str().ok());
    let token = token.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    if door.token.is_empty() || !same(token.as_bytes(), door.token.as_bytes()) {
        return (StatusCode::UNAUTHORIZED, "a gateway's token is needed").into_response();
    }
    let exchange = match rmp_serde::from_slice(&body) {
        Ok(exchange) => exchange,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("no exchange: {error}")).into_response(),
    };
    let answer = match door.hub.take(exchange).await {
        Ok(answer) => answer,
        Err(error) => return (StatusCode::UNPROCESSABLE_ENTITY, error.to_string()).into_response(),
    };
    match rmp_serde::to_vec(&answer) {
        Ok(bytes) => bytes.into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Compares in a time that tells nothing about where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

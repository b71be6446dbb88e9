//! The gateway's side: exchanges, one after the other.

use std::sync::Arc;
use std::time::Duration;

use causeway_lake::Lake;
use causeway_model::SourceRef;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::journal::{Journal, Keeper};
use crate::{Exchange, Frame, Link, Observation, RelayError};

/// Longest time between two exchanges: observations are told then.
const EVERY: Duration = Duration::from_secs(5);
/// Rest after an exchange, so that windows of several sources go together.
const REST: Duration = Duration::from_millis(250);
/// Rest after a failure.
const RETRY: Duration = Duration::from_secs(1);
/// Frames of one exchange, bytes.
const FRAMES: usize = 4 << 20;
/// Announcements of one exchange.
const ANNOUNCEMENTS: usize = 16;

/// What the gateway sees of its sources.
pub type Observe = Arc<dyn Fn() -> Vec<(SourceRef, Observation)> + Send + Sync>;

/// Hands everything over that the journal and the lake have.
pub struct Sender {
    link: Link,
    lake: Lake,
    keeper: Keeper,
    fresh: Arc<Notify>,
    observe: Observe,
    /// What the leader answered last; `None` before the first answer of one.
    cursor: Option<u64>,
    /// The same, after each turn.
    told: watch::Sender<Option<u64>>,
}

/// Tells when an operator has what was closed.
pub struct Delivery {
    keeper: Keeper,
    cursor: watch::Receiver<Option<u64>>,
}

impl Delivery {
    /// Resolves when the operator that leads has every window that is on disk at the call, or the sender is gone.
    pub async fn settled(&self) {
        let Some(newest) = self.keeper.newest() else { return };
        let mut cursor = self.cursor.clone();
        // An error means that the sender has ended.
        drop(cursor.wait_for(|cursor| cursor.is_some_and(|cursor| cursor >= newest)).await);
    }
}

impl Sender {
    /// A sender of what `journal` and `lake` have.
    #[must_use]
    pub fn new(link: Link, lake: Lake, journal: &Journal, observe: Observe) -> Self {
        let (keeper, fresh, told) = (journal.keeper(), journal.fresh(), watch::Sender::new(None));
        Self { link, lake, keeper, fresh, observe, cursor: None, told }
    }

    /// Tells when everything has been handed over.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        Delivery { keeper: self.keeper.clone(), cursor: self.told.subscribe() }
    }

    /// Hands over until `stop`.
    ///
    /// # Errors
    /// Only what a new start of the process heals: see [`RelayError::needs_restart`].
    pub async fn run(&mut self, stop: CancellationToken) -> Result<(), RelayError> {
        let mut failing = false;
        loop {
            let rest = match self.turn().await {
                Ok(()) => {
                    if failing {
                        tracing::info!(leader = ?self.link.leader(), "the operator answers again");
                    }
                    failing = false;
                    REST
                }
                Err(error) if error.needs_restart() => return Err(error),
                Err(error) => {
                    if !failing {
                        tracing::warn!(%error, "nothing can be handed over; it is kept and sent later");
                    }
                    failing = true;
                    RETRY
                }
            };
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(rest) => {}
            }
            if failing {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = self.fresh.notified() => {}
                () = self.lake.announced() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    /// Exchanges until everything is handed over that was there at the call.
    ///
    /// # Errors
    /// See [`RelayError`]; what was not acknowledged is sent again at the next call.
    pub async fn turn(&mut self) -> Result<(), RelayError> {
        let result = self.hand_over().await;
        if result.is_err() {
            // The next answer may be another leader's.
            self.cursor = None;
        }
        self.keeper.release();
        self.told.send_replace(self.cursor);
        result
    }

    async fn hand_over(&mut self) -> Result<(), RelayError> {
        loop {
            let frames = match self.cursor {
                Some(cursor) => self.lake.opaque_since(cursor, FRAMES).await?,
                None => Vec::new(),
            };
            let mut announcements = self.lake.announcements();
            announcements.truncate(ANNOUNCEMENTS);
            let (asked, sent) = (self.cursor.is_none(), frames.len());
            let waiting = announcements.len();
            let exchange = Exchange {
                gateway: self.lake.wal_id(),
                after: self.cursor,
                frames: frames.into_iter().map(|f| Frame { sequence: f.sequence, bytes: f.bytes }).collect(),
                announcements,
                observations: (self.observe)(),
            };
            let answer = self.link.exchange(&exchange).await?;
            let moved = self.cursor != Some(answer.cursor);
            self.cursor = Some(answer.cursor);
            self.lake.committed(&answer.committed).await?;
            let left = self.lake.announcements().len();
            // As long as it gets on: a leader that takes nothing is asked again later.
            if !(asked || sent > 0 && moved || waiting > 0 && left > 0 && left < waiting) {
                return Ok(());
            }
        }
    }
}

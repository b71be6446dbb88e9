//! Files that one process seals and another one commits.
//!
//! A gateway puts Parquet files into the store and announces them; the committer adds them to the table with the sequence
//! of the gateway's log as Delta transaction. An announcement says behind which sequence its rows begin, and is
//! committed only where the table stands there: so it may come twice, late, or through two committers at once.

use std::collections::VecDeque;
use std::sync::Arc;

use causeway_model::Table;
use object_store::ObjectStoreExt as _;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::LakeError;
use crate::delta::{Change, DataFile, Reason, app_id};
use crate::lake::{Inner, Lake};
use crate::store::file_path;
use crate::wal::Close;

/// Sealed files of one table, to be committed together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// Id of the write-ahead log that the rows come from.
    pub wal: String,
    /// Table.
    pub table: Table,
    /// Sequence up to which the log's rows were sealed before.
    pub after: u64,
    /// Sequence of the newest frame in the files.
    pub upto: u64,
    files: Vec<DataFile>,
}

impl Announcement {
    /// Rows in the files.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }

    /// Names of files come from outside: they must be ones that a seal gives.
    fn check(&self) -> Result<(), LakeError> {
        let known = |path: &str| {
            let mut parts = path.split('/');
            matches!((parts.next(), parts.next(), parts.next()), (Some(day), Some(file), None)
                if day.starts_with("date=") && file.starts_with("part-") && file.ends_with(".parquet"))
        };
        match self.files.iter().find(|file| !known(&file.path)) {
            Some(file) => Err(LakeError::Announced(format!("{} is no sealed file", file.path))),
            None if uuid::Uuid::try_parse(&self.wal).is_err() => {
                Err(LakeError::Announced(format!("{} is no id of a write-ahead log", self.wal)))
            }
            None if self.after >= self.upto => {
                Err(LakeError::Announced(format!("it begins behind its end, {}", self.upto)))
            }
            None => Ok(()),
        }
    }
}

/// What a lake that does not commit has sealed.
#[derive(Debug, Default)]
pub(crate) struct Handover {
    pending: Mutex<VecDeque<Announcement>>,
    fresh: Arc<Notify>,
}

impl Handover {
    pub(crate) fn push(&self, announcement: Announcement) {
        self.pending.lock().push_back(announcement);
        self.fresh.notify_one();
    }
}

impl Lake {
    /// Id of the write-ahead log; a gateway is known by it.
    #[must_use]
    pub fn wal_id(&self) -> String {
        self.inner.wal_id.to_string()
    }

    /// Sealed files that wait for a committer, oldest first. Only with [`crate::LakeOptions::hand_over`].
    #[must_use]
    pub fn announcements(&self) -> Vec<Announcement> {
        self.inner.handover.pending.lock().iter().cloned().collect()
    }

    /// Resolves when something was sealed since the last call.
    pub async fn announced(&self) {
        let fresh = Arc::clone(&self.inner.handover.fresh);
        fresh.notified().await;
    }

    /// Takes in up to which sequence a committer has committed each table, and trims the write-ahead log.
    ///
    /// # Errors
    /// [`LakeError::Announced`] when a table stands elsewhere than any announcement of this process: a process before
    /// this one had announced other files. The log knows better after it is opened again. Otherwise what the log says.
    pub async fn committed(&self, tables: &[(Table, u64)]) -> Result<(), LakeError> {
        let inner = &self.inner;
        for (table, sequence) in tables {
            inner.state(*table).acknowledge(*sequence);
            let mut pending = inner.handover.pending.lock();
            pending.retain(|announced| announced.table != *table || announced.upto > *sequence);
            let first = pending.iter().find(|announced| announced.table == *table);
            if let Some(announced) = first.filter(|announced| announced.after < *sequence) {
                return Err(LakeError::Announced(format!(
                    "table {} stands at {sequence}, in the middle of sealed files of {} to {}: start again",
                    table.name(),
                    announced.after,
                    announced.upto
                )));
            }
        }
        inner.trim(Close::Large).await
    }

    /// Commits announced files, unless they are in the table, and gives the sequence up to which the table then has the
    /// rows of that log. It is less than [`Announcement::upto`] when the table stands elsewhere than the announcement
    /// begins; nothing was changed then.
    ///
    /// # Errors
    /// [`LakeError::Announced`] when it can't be right; otherwise what the store or the table says. The commit may have
    /// happened all the same: the same announcement again tells.
    pub async fn commit_announced(&self, announced: &Announcement) -> Result<u64, LakeError> {
        announced.check()?;
        let inner = &self.inner;
        let state = inner.state(announced.table);
        let app_id = app_id(&announced.wal, announced.table);
        let mut log = state.log.lock().await;
        if log.is_unsure() {
            log.refresh().await?;
            state.publish(&log, inner.options.clock.now_us());
        }
        let mut committed = log.committed_of(&app_id).await?;
        if committed != announced.after {
            // Another committer may have been there.
            log.refresh().await?;
            state.publish(&log, inner.options.clock.now_us());
            committed = log.committed_of(&app_id).await?;
        }
        if committed != announced.after {
            return Ok(committed);
        }
        for file in &announced.files {
            inner.store.tables.head(&file_path(announced.table, &file.path)).await?;
        }
        let change = Change { add: announced.files.clone(), remove: Vec::new() };
        let reason = Reason::Announced { app_id: &app_id, sequence: announced.upto };
        let result = inner.commit(announced.table, &mut log, &change, reason).await;
        let outcome = match result {
            Ok(()) => Ok(announced.upto),
            Err(error) => {
                // The answer may have been lost, or another committer was quicker: the table itself knows.
                log.refresh().await?;
                let committed = log.committed_of(&app_id).await?;
                if committed < announced.upto { Err(error) } else { Ok(committed) }
            }
        };
        state.publish(&log, inner.options.clock.now_us());
        inner.options.metrics.committed_rows.inc_by(announced.rows());
        outcome
    }
}

impl Inner {
    /// Announces the rows of a chunk in place of committing them: they are hot no longer, and stay in the write-ahead log.
    pub(crate) fn announce(&self, table: Table, upto: u64, files: Vec<DataFile>) {
        let state = self.state(table);
        let after = state.sealed();
        state.hand_over(upto);
        self.handover.push(Announcement { wal: self.wal_id.to_string(), table, after, upto, files });
    }
}

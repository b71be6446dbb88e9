//! Hot rows to committed files.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use causeway_model::Table;
use object_store::ObjectStoreExt;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::LakeError;
use crate::delta::{Change, DataFile, DeltaLog, Reason};
use crate::hot::Hot;
use crate::lake::Inner;
use crate::parquet_file::{EncodedFile, day_text, encode};
use crate::store::file_path;
use crate::table_state::TableState;
use crate::wal::Close;

/// How often ages are looked at.
const TICK: Duration = Duration::from_secs(1);
/// Rest after a failed attempt.
const REST: Duration = Duration::from_secs(5);

/// Seals in the background until the lake is closed or gone. Between two looks it does not keep the lake alive.
pub(crate) fn spawn(inner: &Arc<Inner>) {
    tokio::spawn(run(Arc::downgrade(inner), inner.wake.clone()));
}

async fn run(weak: Weak<Inner>, wake: Arc<Notify>) {
    loop {
        let Some(inner) = weak.upgrade() else { return };
        if inner.is_closed() {
            return;
        }
        let result = inner.seal_due().await;
        if let Err(error) = &result {
            inner.options.metrics.seal_errors.inc();
            tracing::error!(%error, "hot rows could not be committed; they stay durable in the write-ahead log");
        }
        drop(inner);
        if result.is_err() {
            tokio::time::sleep(REST).await;
        }
        // Woken or not, the next look decides what is due.
        tokio::time::timeout(TICK, wake.notified()).await.unwrap_or_default();
    }
}

impl Inner {
    /// Seals what is large or old enough, largest first.
    async fn seal_due(&self) -> Result<(), LakeError> {
        let limits = &self.options.limits;
        let crowded = self.hot_bytes() >= limits.hot_seal_bytes;
        let now = Instant::now();
        let mut due: Vec<(usize, &TableState)> = self
            .tables
            .iter()
            .filter_map(|table| {
                let (bytes, oldest) = table.with_hot(|hot| (hot.bytes(), hot.oldest()));
                let old = oldest.is_some_and(|since| now.duration_since(since) >= limits.seal_age);
                (bytes > 0 && (crowded || old || bytes >= limits.seal_bytes)).then_some((bytes, table))
            })
            .collect();
        if due.is_empty() {
            return Ok(());
        }
        due.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        for (_, table) in due {
            self.seal(table).await?;
        }
        self.trim(Close::Large).await
    }

    /// Seals everything that was hot at the call.
    pub(crate) async fn seal_all(&self) -> Result<(), LakeError> {
        for table in self.tables.iter() {
            self.seal(table).await?;
        }
        self.trim(Close::Any).await
    }

    async fn seal(&self, table: &TableState) -> Result<(), LakeError> {
        let upto = table.with_hot(Hot::last);
        if upto == 0 {
            return Ok(());
        }
        let mut log = table.log.lock().await;
        if log.is_unsure() {
            log.refresh().await?;
            table.publish(&log, self.options.clock.now_us());
        }
        while table.with_hot(|hot| hot.rows() > 0) && table.sealed() < upto {
            self.seal_chunk(table, &mut log).await?;
        }
        Ok(())
    }

    /// One commit: files first, then the log entry with this log's sequence, then the switch from hot to file.
    async fn seal_chunk(&self, table: &TableState, log: &mut DeltaLog) -> Result<(), LakeError> {
        let Some(chunk) = table.chunk(self.options.limits.seal_bytes) else { return Ok(()) };
        let name = table.table;
        let batches = chunk.batches;
        let rows: u64 = batches.iter().map(|b| b.num_rows() as u64).sum();
        let encoded = tokio::task::spawn_blocking(move || encode(name, &batches))
            .await
            .map_err(|e| LakeError::Thread(e.to_string()))??;
        let files = self.put(name, encoded).await?;
        if self.options.hand_over {
            self.announce(name, chunk.last, files);
            return Ok(());
        }
        let change = Change { add: files, remove: Vec::new() };
        let result = self.commit(name, log, &change, Reason::Append(chunk.last)).await;
        if let Err(error) = result {
            // The answer may have been lost on its way: the table itself knows.
            log.refresh().await?;
            if log.committed() < chunk.last {
                table.publish(log, self.options.clock.now_us());
                return Err(error);
            }
        }
        self.reach()?;
        table.publish(log, self.options.clock.now_us());
        self.options.metrics.committed_rows.inc_by(rows);
        self.options.metrics.hot_bytes.set(self.hot_bytes() as i64);
        Ok(())
    }

    /// Puts files under new names and makes them durable.
    pub(crate) async fn put(
        &self,
        table: Table,
        files: Vec<EncodedFile>,
    ) -> Result<Vec<DataFile>, LakeError> {
        let mut put = Vec::with_capacity(files.len());
        for file in files {
            let path = format!("date={}/part-{}.parquet", day_text(file.day), Uuid::new_v4());
            self.store.tables.put(&file_path(table, &path), file.bytes.clone().into()).await?;
            self.reach()?;
            put.push(DataFile::new(path, &file));
        }
        self.store.sync(put.iter().map(|f| format!("{}/{}", table.name(), f.path)).collect()).await?;
        Ok(put)
    }

    /// Commits, and makes the commit durable.
    pub(crate) async fn commit(
        &self,
        table: Table,
        log: &mut DeltaLog,
        change: &Change,
        reason: Reason<'_>,
    ) -> Result<(), LakeError> {
        log.commit(change, reason).await?;
        self.store.sync(vec![format!("{}/{}", table.name(), log.commit_path())]).await?;
        self.options.metrics.commits.inc();
        Ok(())
    }
}

//! What others keep in the write-ahead log, and read of it.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use arrow_array::RecordBatch;
use bytes::Bytes;
use causeway_model::{SinkError, Table};

use crate::LakeError;
use crate::lake::Lake;
use crate::wal::{Appended, Draft, Kind, OpaqueFrame, Wal, WalError};

impl Lake {
    /// Makes bytes durable that the lake does not look into, and returns their sequence. They stay until
    /// [`Lake::release_opaque`].
    ///
    /// # Errors
    /// See [`SinkError`].
    pub async fn append_opaque(&self, bytes: Bytes) -> Result<u64, SinkError> {
        self.inner.check_open()?;
        let draft = Draft::opaque(bytes).map_err(|e| SinkError::Invalid(e.to_string()))?;
        match self.inner.wal.append(draft, None).await? {
            Appended::Durable(sequence) => Ok(sequence),
            Appended::Duplicate => Err(SinkError::Invalid("an opaque frame has no hash".to_owned())),
        }
    }

    /// Opaque frames behind the given sequence, oldest first, 0 for the oldest that is there: the first one, and more as
    /// long as they have `max_bytes` together.
    ///
    /// # Errors
    /// [`LakeError::Wal`] when a segment can't be read.
    pub async fn opaque_since(&self, after: u64, max_bytes: usize) -> Result<Vec<OpaqueFrame>, LakeError> {
        let folder = self.inner.wal.folder().to_owned();
        let durable = self.inner.wal.gauges.durable.load(Ordering::SeqCst);
        let read = tokio::task::spawn_blocking(move || Wal::opaque_since(&folder, after, durable, max_bytes));
        Ok(read.await.map_err(|e| LakeError::Thread(e.to_string()))??)
    }

    /// Hands all rows that are in the write-ahead log, committed or not, to `visit`, oldest first, on a thread of its own.
    ///
    /// # Errors
    /// [`LakeError::Wal`] when a segment can't be read, or rows do not fit their table.
    pub async fn logged_rows(
        &self,
        mut visit: impl FnMut(Table, RecordBatch) + Send + 'static,
    ) -> Result<(), LakeError> {
        let folder = self.inner.wal.folder().to_owned();
        let durable = self.inner.wal.gauges.durable.load(Ordering::SeqCst);
        let read = tokio::task::spawn_blocking(move || {
            Wal::read_since(&folder, 0, durable, &mut |frame| {
                let Kind::Rows(table) = frame.kind else { return Ok(ControlFlow::Continue(())) };
                let sequence = frame.sequence;
                let rows = frame.decode();
                let rows = rows.map_err(|e| WalError::Rows { sequence, table, detail: e.to_string() })?;
                visit(table, rows);
                Ok(ControlFlow::Continue(()))
            })
        });
        Ok(read.await.map_err(|e| LakeError::Thread(e.to_string()))??)
    }

    /// Lets opaque frames up to `sequence` be trimmed with the next commit.
    pub fn release_opaque(&self, sequence: u64) {
        self.inner.released.fetch_max(sequence, Ordering::SeqCst);
    }
}

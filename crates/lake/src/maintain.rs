//! Retention, compaction, and removal of files that nothing refers to.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use causeway_model::{Micros, Table};
use datafusion::dataframe::DataFrame;
use datafusion::prelude::{SessionContext, col};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::LakeError;
use crate::delta::{Change, DataFile, DeltaLog, Reason};
use crate::lake::{Inner, Lake};
use crate::parquet_file::{FileWriter, day_of, sort_column, times};
use crate::provider::{Budget, LakeTable};
use crate::store::file_path;
use crate::table_state::Snapshot;

/// What [`Lake::retain`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionReport {
    /// Files taken out of the table; readers with an older version still find them.
    pub files: u64,
    /// Rows in them.
    pub rows: u64,
    /// Unreferenced files removed from the store.
    pub vacuumed: u64,
}

/// What [`Lake::compact`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactionReport {
    /// Small files replaced.
    pub before: u64,
    /// Files in their place.
    pub after: u64,
    /// Rows in them.
    pub rows: u64,
}

impl Lake {
    /// Takes in what other processes have committed.
    ///
    /// # Errors
    /// What the store or a table says.
    pub async fn refresh(&self) -> Result<(), LakeError> {
        for state in self.inner.tables.iter() {
            let mut log = state.log.lock().await;
            log.refresh().await?;
            state.publish(&log, self.inner.options.clock.now_us());
        }
        Ok(())
    }

    /// Takes files out of the table whose rows are all older than `oldest_us`, then removes files from the store
    /// that no version needs any more and that are older than [`crate::Limits::vacuum_age`].
    ///
    /// # Errors
    /// What the store or the table says.
    pub async fn retain(&self, table: Table, oldest_us: Micros) -> Result<RetentionReport, LakeError> {
        let inner = &self.inner;
        let state = inner.state(table);
        let mut log = state.log.lock().await;
        log.refresh().await?;
        let remove: Vec<DataFile> = log.files().iter().filter(|f| f.max_us < oldest_us).cloned().collect();
        let mut report = RetentionReport {
            files: remove.len() as u64,
            rows: remove.iter().map(|f| f.rows).sum(),
            vacuumed: 0,
        };
        if !remove.is_empty() {
            let change = Change { add: Vec::new(), remove };
            inner.commit(table, &mut log, &change, Reason::Retention).await?;
        }
        state.publish(&log, inner.options.clock.now_us());
        report.vacuumed = inner.vacuum(table, &log).await?;
        Ok(report)
    }

    /// Joins the small files of each day into larger ones with the same rows. One commit a day.
    ///
    /// # Errors
    /// What the store, the table or the query engine says; a day is either replaced as a whole or untouched.
    pub async fn compact(&self, table: Table) -> Result<CompactionReport, LakeError> {
        let inner = &self.inner;
        let state = inner.state(table);
        let mut log = state.log.lock().await;
        log.refresh().await?;
        let mut days: BTreeMap<String, Vec<DataFile>> = BTreeMap::new();
        for file in log.files().iter().filter(|f| f.bytes < inner.options.limits.small_file_bytes) {
            days.entry(file.date.clone()).or_default().push(file.clone());
        }
        let mut report = CompactionReport::default();
        for files in days.into_values().filter(|files| files.len() > 1) {
            let add = inner.rewrite(table, &files).await?;
            let rows = |files: &[DataFile]| files.iter().map(|f| f.rows).sum::<u64>();
            let (before, after) = (rows(&files), rows(&add));
            if before != after {
                return Err(LakeError::RowCount { table, before, after });
            }
            report.before += files.len() as u64;
            report.after += add.len() as u64;
            report.rows += after;
            let change = Change { add, remove: files };
            inner.commit(table, &mut log, &change, Reason::Compaction).await?;
            inner.reach()?;
            state.publish(&log, inner.options.clock.now_us());
        }
        Ok(report)
    }
}

impl Inner {
    /// Sorts the rows of files into new ones; sorting spills to disk when it is large.
    async fn rewrite(&self, table: Table, files: &[DataFile]) -> Result<Vec<DataFile>, LakeError> {
        let snapshot = Snapshot { hot: Vec::new(), hot_bytes: 0, files: Arc::new(files.to_vec()) };
        let source = LakeTable { table, snapshot, namespaces: None, budget: Arc::new(Budget::new(u64::MAX)) };
        let session = self.engine.session(Vec::new(), self.options.clock.now_us())?;
        let context = SessionContext::new_with_state(session);
        let frame: DataFrame = context.read_table(Arc::new(source))?;
        let order = sort_column(table).into_iter().chain(["time"]).map(|name| col(name).sort(true, false));
        let mut stream = frame.sort(order.collect())?.execute_stream().await?;
        let (mut put, mut writer) = (Vec::new(), None::<FileWriter>);
        while let Some(batch) = stream.try_next().await? {
            if batch.num_rows() == 0 {
                continue;
            }
            let mut open = match writer.take() {
                Some(open) => open,
                None => FileWriter::new(table, day_of(times(&batch)?.value(0)))?,
            };
            open.write(&batch)?;
            if open.size() as u64 >= self.options.limits.target_file_bytes {
                put.extend(self.put(table, open.finish()?.into_iter().collect()).await?);
            } else {
                writer = Some(open);
            }
        }
        if let Some(open) = writer {
            put.extend(self.put(table, open.finish()?.into_iter().collect()).await?);
        }
        Ok(put)
    }

    /// Removes data files that the table does not refer to and that are old enough for no reader to want them.
    /// Folders whose name begins with `_` are not ours to clean.
    async fn vacuum(&self, table: Table, log: &DeltaLog) -> Result<u64, LakeError> {
        let wanted: HashSet<Path> = log.files().iter().map(|f| file_path(table, &f.path)).collect();
        let root = Path::from(table.name());
        let now = SystemTime::now();
        let age = self.options.limits.vacuum_age;
        let mut old = Vec::new();
        let mut entries = self.store.tables.list(Some(&root));
        while let Some(entry) = entries.next().await {
            let entry = entry?;
            let inside = entry.location.as_ref().strip_prefix(table.name()).unwrap_or_default();
            let hidden = inside.split('/').any(|part| part.starts_with('_'));
            let modified = SystemTime::from(entry.last_modified);
            let aged = now.duration_since(modified).is_ok_and(|since| since >= age);
            if !hidden && aged && inside.ends_with(".parquet") && !wanted.contains(&entry.location) {
                old.push(entry.location);
            }
        }
        for path in &old {
            match self.store.tables.delete(path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(old.len() as u64)
    }
}

//! One Delta table: its files, its commits, and how far this log was committed.

use std::collections::HashMap;

use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use arrow_schema::{DataType, Field, Schema};
use causeway_model::{Micros, Table, rfc3339};
use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake_core::kernel::{Action, Add, LogicalFileView, Remove, StructType, Transaction};
use deltalake_core::logstore::LogStoreRef;
use deltalake_core::operations::create::CreateBuilder;
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::table::state::DeltaTableState;
use deltalake_core::{DeltaTableError, TableProperty};

use serde::{Deserialize, Serialize};

use crate::LakeError;
use crate::parquet_file::{EncodedFile, day_text};
use crate::store::Store;

/// Commits between two checkpoints.
const CHECKPOINT_INTERVAL: u64 = 20;

/// A data file of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DataFile {
    /// Relative to the table's folder.
    pub(crate) path: String,
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
    /// Oldest time; [`Micros::MIN`] when unknown.
    pub(crate) min_us: Micros,
    /// Newest time; [`Micros::MAX`] when unknown.
    pub(crate) max_us: Micros,
    /// Value of the partition.
    pub(crate) date: String,
}

impl DataFile {
    /// What will be known of an encoded file once it is put under `path`.
    pub(crate) fn new(path: String, file: &EncodedFile) -> Self {
        Self {
            path,
            bytes: file.bytes.len() as u64,
            rows: file.rows,
            min_us: file.min_us,
            max_us: file.max_us,
            date: day_text(file.day),
        }
    }

    fn from_view(view: &LogicalFileView) -> Self {
        let stats: serde_json::Value =
            view.stats().and_then(|s| serde_json::from_str(&s).ok()).unwrap_or_default();
        let time = |side: &str| stats[side]["time"].as_str().and_then(|t| string_to_timestamp_nanos(t).ok());
        Self {
            path: view.path().into_owned(),
            bytes: u64::try_from(view.size()).unwrap_or(0),
            rows: stats["numRecords"].as_u64().unwrap_or(0),
            min_us: time("minValues").map_or(Micros::MIN, |ns| ns.div_euclid(1000)),
            // Checkpoints may cut times to milliseconds.
            max_us: time("maxValues").map_or(Micros::MAX, |ns| ns.div_euclid(1000) + 999),
            date: view.partition_values_map().remove("date").flatten().unwrap_or_default(),
        }
    }

    fn add(&self, data_change: bool) -> Action {
        let stats = serde_json::json!({
            "numRecords": self.rows,
            "minValues": { "time": rfc3339(self.min_us) },
            "maxValues": { "time": rfc3339(self.max_us) },
            "nullCount": { "time": 0 },
        });
        Action::Add(Add {
            path: self.path.clone(),
            partition_values: self.partition(),
            size: i64::try_from(self.bytes).unwrap_or(i64::MAX),
            modification_time: machine_millis(),
            data_change,
            stats: Some(stats.to_string()),
            ..Add::default()
        })
    }

    fn remove(&self, data_change: bool) -> Action {
        Action::Remove(Remove {
            path: self.path.clone(),
            data_change,
            deletion_timestamp: Some(machine_millis()),
            extended_file_metadata: Some(true),
            partition_values: Some(self.partition()),
            size: i64::try_from(self.bytes).ok(),
            ..Remove::default()
        })
    }

    fn partition(&self) -> HashMap<String, Option<String>> {
        HashMap::from([("date".to_owned(), Some(self.date.clone()))])
    }
}

/// Milliseconds of the machine's clock, which Delta's own bookkeeping uses.
fn machine_millis() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

/// What a commit changes.
#[derive(Debug, Default)]
pub(crate) struct Change {
    pub(crate) add: Vec<DataFile>,
    pub(crate) remove: Vec<DataFile>,
}

/// Why a commit is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason<'a> {
    /// Rows of this process's write-ahead log up to this sequence.
    Append(u64),
    /// Rows of another one, up to this sequence.
    Announced {
        /// See [`app_id`].
        app_id: &'a str,
        sequence: u64,
    },
    /// Old files are dropped.
    Retention,
    /// The same rows in fewer files.
    Compaction,
}

/// Under which name a table notes how far it has the rows of a write-ahead log.
pub(crate) fn app_id(wal: &str, table: Table) -> String {
    format!("{wal}/{}", table.name())
}

/// The log of one table.
pub(crate) struct DeltaLog {
    table: Table,
    log_store: LogStoreRef,
    state: DeltaTableState,
    /// Of this process's write-ahead log.
    app_id: String,
    /// Sequences of other logs at this version, as far as they were asked for.
    others: HashMap<String, u64>,
    /// Last sequence of this write-ahead log in the table.
    committed: u64,
    files: Vec<DataFile>,
    /// A commit was begun and its outcome is not known.
    unsure: bool,
}

impl DeltaLog {
    /// Opens the table, or makes it.
    pub(crate) async fn open(store: &Store, table: Table, wal: uuid::Uuid) -> Result<Self, LakeError> {
        let log_store = store.log_store(table)?;
        let state = open_state(table, &log_store).await.map_err(|e| LakeError::delta(table, e))?;
        let mut log = Self {
            table,
            log_store,
            state,
            app_id: app_id(&wal.to_string(), table),
            others: HashMap::new(),
            committed: 0,
            files: Vec::new(),
            unsure: false,
        };
        log.read_state().await?;
        Ok(log)
    }

    /// Whether [`DeltaLog::refresh`] must come before the next commit.
    pub(crate) fn is_unsure(&self) -> bool {
        self.unsure
    }

    pub(crate) fn committed(&self) -> u64 {
        self.committed
    }

    pub(crate) fn files(&self) -> &[DataFile] {
        &self.files
    }

    pub(crate) fn version(&self) -> u64 {
        self.state.version()
    }

    /// Path of the newest commit, relative to the table's folder.
    pub(crate) fn commit_path(&self) -> String {
        format!("_delta_log/{:020}.json", self.version())
    }

    /// Takes in what others committed, and what an unanswered commit of ours did.
    pub(crate) async fn refresh(&mut self) -> Result<(), LakeError> {
        let before = self.state.version();
        self.state
            .update(self.log_store.as_ref(), None)
            .await
            .map_err(|e| LakeError::delta(self.table, e))?;
        if self.state.version() != before {
            self.read_state().await?;
        }
        self.unsure = false;
        Ok(())
    }

    async fn read_state(&mut self) -> Result<(), LakeError> {
        self.committed = self.read_sequence(&self.app_id).await?;
        self.others.clear();
        self.files = self.state.log_data().iter().map(|view| DataFile::from_view(&view)).collect();
        Ok(())
    }

    async fn read_sequence(&self, app_id: &str) -> Result<u64, LakeError> {
        let version = self.state.transaction_version(self.log_store.as_ref(), app_id).await;
        let version = version.map_err(|e| LakeError::delta(self.table, e))?;
        Ok(version.and_then(|v| u64::try_from(v).ok()).unwrap_or(0))
    }

    /// Last sequence of another write-ahead log at the version that is known here.
    pub(crate) async fn committed_of(&mut self, app_id: &str) -> Result<u64, LakeError> {
        if let Some(known) = self.others.get(app_id) {
            return Ok(*known);
        }
        let sequence = self.read_sequence(app_id).await?;
        self.others.insert(app_id.to_owned(), sequence);
        Ok(sequence)
    }

    /// Commits the change. After an error the commit may have happened all the same: [`DeltaLog::refresh`] tells.
    pub(crate) async fn commit(&mut self, change: &Change, reason: Reason<'_>) -> Result<(), LakeError> {
        let data_change = reason != Reason::Compaction;
        let adds = change.add.iter().map(|f| f.add(data_change));
        let removes = change.remove.iter().map(|f| f.remove(data_change));
        let actions: Vec<Action> = adds.chain(removes).collect();
        let operation = match reason {
            Reason::Append(_) | Reason::Announced { .. } => DeltaOperation::Write {
                mode: SaveMode::Append,
                partition_by: Some(vec!["date".to_owned()]),
                predicate: None,
            },
            Reason::Retention => DeltaOperation::Delete { predicate: None },
            Reason::Compaction => DeltaOperation::Optimize { predicate: None, target_size: 0 },
        };
        let before = self.state.version();
        let checkpoint = (before + 2).is_multiple_of(CHECKPOINT_INTERVAL);
        let mut properties = CommitProperties::default()
            .with_create_checkpoint(true)
            .with_cleanup_expired_logs(Some(checkpoint));
        let rows_of = match reason {
            Reason::Append(sequence) => Some((self.app_id.as_str(), sequence)),
            Reason::Announced { app_id, sequence } => Some((app_id, sequence)),
            Reason::Retention | Reason::Compaction => None,
        };
        if let Some((app_id, sequence)) = rows_of {
            let version = i64::try_from(sequence).unwrap_or(i64::MAX);
            let txn = Transaction::new_with_last_update(app_id, version, Some(machine_millis()));
            properties = properties.with_application_transaction(txn);
        }
        let commit = CommitBuilder::from(properties).with_actions(actions).build(
            Some(&self.state),
            self.log_store.clone(),
            operation,
        );
        self.unsure = true;
        let done = commit.await.map_err(|e| LakeError::delta(self.table, e))?;
        self.state = done.snapshot();
        self.unsure = false;
        if done.version() != before + 1 {
            return self.read_state().await;
        }
        self.files.retain(|file| !change.remove.iter().any(|removed| removed.path == file.path));
        self.files.extend(change.add.iter().cloned());
        match reason {
            Reason::Append(sequence) => self.committed = sequence,
            Reason::Announced { app_id, sequence } => {
                self.others.insert(app_id.to_owned(), sequence);
            }
            Reason::Retention | Reason::Compaction => {}
        }
        Ok(())
    }
}

async fn open_state(table: Table, log_store: &LogStoreRef) -> Result<DeltaTableState, DeltaTableError> {
    if !log_store.is_delta_table_location().await? {
        let created = create(table, log_store).await;
        // Another gateway may have been quicker.
        if let Err(error) = created
            && !log_store.is_delta_table_location().await?
        {
            return Err(error);
        }
    }
    DeltaTableState::try_new(log_store.as_ref(), None).await
}

async fn create(table: Table, log_store: &LogStoreRef) -> Result<(), DeltaTableError> {
    let mut fields: Vec<Field> = table.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    fields.push(Field::new("date", DataType::Date32, true));
    let schema: StructType = (&Schema::new(fields)).try_into_kernel()?;
    let property = |p: TableProperty| p.as_ref().to_owned();
    CreateBuilder::new()
        .with_log_store(log_store.clone())
        .with_table_name(table.name())
        .with_columns(schema.fields().cloned())
        .with_partition_columns(["date"])
        .with_configuration([
            (property(TableProperty::CheckpointInterval), Some(CHECKPOINT_INTERVAL.to_string())),
            (property(TableProperty::DataSkippingStatsColumns), Some("time".to_owned())),
            (property(TableProperty::LogRetentionDuration), Some("interval 7 days".to_owned())),
        ])
        .await
        .map(|_| ())
}

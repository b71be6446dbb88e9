//! SQL over the tables.

use std::sync::Arc;
use std::time::Duration;

use arrow::temporal_conversions::timestamp_us_to_datetime;
use arrow_array::RecordBatch;
use causeway_model::{BoxFuture, Caller, Micros, Query, QueryError, QueryResult, Table};
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList,
    MemorySchemaProvider, SchemaProvider,
};
use datafusion::dataframe::DataFrame;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::context::SQLOptions;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionConfig;
use futures::StreamExt;

use crate::LakeError;
use crate::lake::{Inner, Lake};
use crate::options::LakeOptions;
use crate::provider::{Budget, LakeTable, OverBudget, STORE_URL};
use crate::series_function::Registered;
use crate::store::Store;

const CATALOG: &str = "causeway";
const SCHEMA: &str = "lake";
/// More threads for one query would only starve ingest.
const MAX_PARTITIONS: usize = 4;
/// Rows of a batch inside of the engine.
const BATCH_ROWS: usize = 4096;

/// What all queries share: functions, memory, spill space, the store.
pub(crate) struct Engine {
    state: SessionState,
    timeout: Duration,
    result_max_bytes: usize,
    memory_bytes: usize,
}

impl Engine {
    pub(crate) fn new(options: &LakeOptions, store: &Store) -> Result<Self, LakeError> {
        let limits = &options.limits;
        let scratch = Inner::scratch(options);
        std::fs::create_dir_all(&scratch).map_err(|source| LakeError::Io {
            doing: "create",
            path: scratch.clone(),
            source,
        })?;
        let disk = DiskManagerBuilder::default()
            .with_mode(DiskManagerMode::Directories(vec![scratch]))
            .with_max_temp_directory_size(limits.query_spill_bytes);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(limits.query_memory_bytes)))
            .with_disk_manager_builder(disk)
            .build_arc()?;
        runtime.register_object_store(ObjectStoreUrl::parse(STORE_URL)?.as_ref(), store.tables.clone());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut config = SessionConfig::new()
            .with_target_partitions(cores.min(MAX_PARTITIONS))
            .with_batch_size(BATCH_ROWS)
            .with_information_schema(true)
            .with_default_catalog_and_schema(CATALOG, SCHEMA)
            .with_create_default_catalog_and_schema(false);
        let parquet = &mut config.options_mut().execution.parquet;
        parquet.pushdown_filters = true;
        parquet.reorder_filters = true;
        let mut state = SessionStateBuilder::new()
            .with_default_features()
            .with_config(config)
            .with_runtime_env(runtime)
            .build();
        for function in &options.series_functions {
            state.register_udtf(function.name(), Arc::new(Registered(Arc::clone(function))));
        }
        Ok(Self {
            state,
            timeout: limits.query_timeout,
            result_max_bytes: limits.result_max_bytes,
            memory_bytes: limits.query_memory_bytes,
        })
    }

    /// A session of one query: its own tables and its own `now()`.
    pub(crate) fn session(&self, tables: Vec<LakeTable>, now_us: Micros) -> Result<SessionState> {
        let schema = MemorySchemaProvider::new();
        for table in tables {
            schema.register_table(table.table.name().to_owned(), Arc::new(table))?;
        }
        let catalog = MemoryCatalogProvider::new();
        catalog.register_schema(SCHEMA, Arc::new(schema))?;
        let catalogs = MemoryCatalogProviderList::new();
        catalogs.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
        let mut state = self.state.clone();
        state.register_catalog_list(Arc::new(catalogs));
        state.mark_start_execution();
        state.execution_props_mut().query_execution_start_time =
            timestamp_us_to_datetime(now_us).map(|time| time.and_utc());
        Ok(state)
    }

    async fn run(&self, session: SessionState, sql: &str) -> Result<Vec<RecordBatch>, QueryError> {
        let plan = session.create_logical_plan(sql).await.map_err(|e| self.explain(&e))?;
        read_only(&plan).map_err(|e| self.explain(&e))?;
        let frame = DataFrame::new(session, plan);
        let empty = RecordBatch::new_empty(Arc::new(frame.schema().as_arrow().clone()));
        let mut stream = frame.execute_stream().await.map_err(|e| self.explain(&e))?;
        let (mut batches, mut bytes) = (Vec::new(), 0);
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(|e| self.explain(&e))?;
            bytes += batch.get_array_memory_size();
            if bytes > self.result_max_bytes {
                return Err(QueryError::Invalid(format!(
                    "the answer is larger than {} bytes: add LIMIT, name fewer columns or aggregate",
                    self.result_max_bytes
                )));
            }
            batches.push(batch);
        }
        if batches.is_empty() {
            batches.push(empty);
        }
        Ok(batches)
    }

    /// The engine's error in the port's terms.
    fn explain(&self, error: &DataFusionError) -> QueryError {
        if let Some(over) = over_budget(error) {
            return QueryError::Budget { needed: over.needed, budget: over.budget };
        }
        let text = error.strip_backtrace();
        match error.find_root() {
            DataFusionError::ObjectStore(_)
            | DataFusionError::IoError(_)
            | DataFusionError::ParquetError(_) => QueryError::Storage(text),
            DataFusionError::ResourcesExhausted(_) => QueryError::Invalid(format!(
                "the query needs more than the {} bytes of memory of all queries: narrow it ({text})",
                self.memory_bytes
            )),
            DataFusionError::Plan(reason) if reason.starts_with("only reading") => {
                QueryError::Invalid(reason.clone())
            }
            _ if text.contains("not found") && text.contains("table '") => {
                let names = Table::ALL.map(Table::name).join(", ");
                QueryError::Invalid(format!("{text}; the tables are {names}"))
            }
            _ => QueryError::Invalid(text),
        }
    }
}

/// Nothing may be written by a query.
pub(crate) fn read_only(plan: &LogicalPlan) -> Result<()> {
    let allowed = SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(plan);
    allowed.map_err(|e| DataFusionError::Plan(format!("only reading is allowed: {}", e.strip_backtrace())))
}

fn over_budget(error: &DataFusionError) -> Option<&OverBudget> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<OverBudget>() {
            return Some(found);
        }
        if let Some(DataFusionError::External(inner)) = error.downcast_ref::<DataFusionError>() {
            next = Some(inner.as_ref());
        } else {
            next = error.source();
        }
    }
    None
}

impl Query for Lake {
    /// Runs one read-only statement over one moment of all tables.
    ///
    /// `now()` is the lake's clock. Rows of other namespaces do not exist for the caller. The byte budget counts
    /// whole files that may hold matching rows by their times, and all hot rows of the tables named.
    fn sql<'a>(&'a self, caller: &'a Caller, sql: &'a str) -> BoxFuture<'a, Result<QueryResult, QueryError>> {
        Box::pin(async move {
            let inner = &self.inner;
            inner.options.metrics.queries.inc();
            let result = inner.query(caller, sql).await;
            match &result {
                Ok(answer) => inner.options.metrics.scanned_bytes.inc_by(answer.scanned_bytes),
                Err(_) => inner.options.metrics.query_errors.inc(),
            };
            result
        })
    }
}

impl Inner {
    async fn query(&self, caller: &Caller, sql: &str) -> Result<QueryResult, QueryError> {
        let budget = Arc::new(Budget::new(caller.byte_budget));
        let tables = self.tables.iter().map(|state| LakeTable {
            table: state.table,
            snapshot: state.snapshot(),
            namespaces: caller.namespaces.clone(),
            budget: budget.clone(),
        });
        let now = self.options.clock.now_us();
        let session = self
            .engine
            .session(tables.collect(), now)
            .map_err(|e| QueryError::Storage(e.strip_backtrace()))?;
        let run = tokio::time::timeout(self.engine.timeout, self.engine.run(session, sql));
        let batches = run.await.map_err(|_| {
            let seconds = self.engine.timeout.as_secs_f64();
            QueryError::Invalid(format!("the query ran longer than {seconds} s: narrow the time range"))
        })??;
        Ok(QueryResult { batches, scanned_bytes: budget.used() })
    }
}

//! A table as the query engine sees it: hot rows and files of one moment, cut to what the caller may see.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_schema::{Schema, SchemaRef};
use async_trait::async_trait;
use causeway_model::Table;
use datafusion::catalog::memory::{DataSourceExec, MemorySourceConfig};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DFSchema;
use datafusion::config::TableParquetOptions;
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExecBuilder;
use datafusion::physical_plan::union::UnionExec;
use datafusion::prelude::{col, lit};

use crate::barrier::Barrier;
use crate::delta::DataFile;
use crate::prune::{TimeBounds, cannot_fail};
use crate::store::file_path;
use crate::table_state::Snapshot;

/// Scheme under which the engine knows the store.
pub(crate) const STORE_URL: &str = "causeway://lake";

/// Bytes that all scans of one query may look at.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    used: AtomicU64,
}

impl Budget {
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, used: AtomicU64::new(0) }
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::SeqCst)
    }

    fn charge(&self, bytes: u64) -> Result<()> {
        let needed = self.used.fetch_add(bytes, Ordering::SeqCst) + bytes;
        if needed <= self.limit {
            return Ok(());
        }
        Err(DataFusionError::External(Box::new(OverBudget { needed, budget: self.limit })))
    }
}

/// The query would look at more bytes than allowed.
#[derive(Debug, thiserror::Error)]
#[error("{needed} bytes needed, {budget} allowed")]
pub(crate) struct OverBudget {
    pub(crate) needed: u64,
    pub(crate) budget: u64,
}

/// One table for one query.
#[derive(Debug)]
pub(crate) struct LakeTable {
    pub(crate) table: Table,
    pub(crate) snapshot: Snapshot,
    /// Namespaces whose rows exist for the caller; `None`: all.
    pub(crate) namespaces: Option<Vec<String>>,
    pub(crate) budget: Arc<Budget>,
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let bounds = TimeBounds::of(filters);
        let files =
            self.snapshot.files.iter().filter(|f| bounds.touch(f.min_us, f.max_us)).collect::<Vec<_>>();
        self.budget.charge(files.iter().map(|f| f.bytes).sum::<u64>() + self.snapshot.hot_bytes)?;
        match &self.namespaces {
            None => {
                let limit = limit.filter(|_| filters.is_empty());
                self.union(state, projection, conjunction(filters.iter().cloned()), &files, limit)
            }
            Some(namespaces) => self.restricted(state, projection, filters, &files, namespaces),
        }
    }
}

impl LakeTable {
    /// Only the given namespaces' rows leave this plan, and nothing of the caller's runs on others.
    fn restricted(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        files: &[&DataFile],
        namespaces: &[String],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = self.table.schema();
        let namespace = schema.index_of("namespace")?;
        let wanted: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..schema.fields().len()).collect());
        if namespaces.is_empty() {
            return Ok(Arc::new(EmptyExec::new(Arc::new(schema.project(&wanted)?))));
        }
        let mut scanned = wanted.clone();
        if !scanned.contains(&namespace) {
            scanned.push(namespace);
        }
        let allowed = col("namespace").in_list(namespaces.iter().map(|n| lit(n.as_str())).collect(), false);
        let harmless = filters.iter().filter(|f| cannot_fail(f)).cloned();
        let pushed = conjunction(std::iter::once(allowed.clone()).chain(harmless));
        let input = self.union(state, Some(&scanned), pushed, files, None)?;
        let check = state.create_physical_expr(allowed, &DFSchema::try_from(input.schema())?)?;
        let back = (0..wanted.len()).collect();
        let filter = FilterExecBuilder::new(check, input).apply_projection(Some(back))?.build()?;
        Ok(Arc::new(Barrier::new(Arc::new(filter))))
    }

    /// Hot rows and files; `predicate` only helps the files to skip, it is checked again above.
    fn union(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        predicate: Option<Expr>,
        files: &[&DataFile],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = self.table.schema();
        let mut plans: Vec<Arc<dyn ExecutionPlan>> = Vec::with_capacity(2);
        if !self.snapshot.hot.is_empty() {
            let hot = std::slice::from_ref(&self.snapshot.hot);
            plans.push(MemorySourceConfig::try_new_exec(hot, schema.clone(), projection.cloned())?);
        }
        if !files.is_empty() {
            plans.push(self.files(state, projection, predicate, files, limit)?);
        }
        match plans.len() {
            0 => {
                let schema: Schema = match projection {
                    Some(columns) => schema.project(columns)?,
                    None => schema.as_ref().clone(),
                };
                Ok(Arc::new(EmptyExec::new(Arc::new(schema))))
            }
            1 => Ok(plans.remove(0)),
            _ => UnionExec::try_new(plans),
        }
    }

    fn files(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        predicate: Option<Expr>,
        files: &[&DataFile],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = self.table.schema();
        let options = TableParquetOptions {
            global: state.config_options().execution.parquet.clone(),
            ..TableParquetOptions::default()
        };
        let mut source = ParquetSource::new(schema.clone()).with_table_parquet_options(options);
        if let Some(predicate) = predicate {
            let predicate = state.create_physical_expr(predicate, &DFSchema::try_from(schema)?)?;
            source = source.with_predicate(predicate);
        }
        let partitions = state.config().target_partitions().clamp(1, files.len().max(1));
        let mut groups = vec![Vec::new(); partitions];
        for (i, file) in files.iter().enumerate() {
            let path = file_path(self.table, &file.path);
            groups[i % partitions].push(PartitionedFile::new(path.to_string(), file.bytes));
        }
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::parse(STORE_URL)?, Arc::new(source))
            .with_file_groups(groups.into_iter().map(FileGroup::new).collect())
            .with_limit(limit)
            .with_projection_indices(projection.cloned())?
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

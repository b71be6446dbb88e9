//! Table functions over a series: `name('SELECT time, value …', 'argument', …)`.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use arrow_schema::{DataType, SchemaRef, TimeUnit};
use async_trait::async_trait;
use causeway_model::Micros;
use datafusion::arrow::compute::cast;
use datafusion::catalog::memory::MemorySourceConfig;
use datafusion::catalog::{Session, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::TableType;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use futures::StreamExt as _;

use crate::query::read_only;

/// Points of the longest series.
const MOST: usize = 500_000;

/// What a table function over a series computes.
pub trait SeriesFunction: Send + Sync {
    /// Name in SQL.
    fn name(&self) -> &'static str;
    /// Columns of the answer.
    fn schema(&self) -> SchemaRef;
    /// The answer for points in order of time, without those that have no value, and the texts that followed the
    /// statement.
    ///
    /// # Errors
    /// What is wrong and what to do, for people.
    fn call(&self, series: &[(Micros, f64)], arguments: &[String]) -> Result<RecordBatch, String>;
}

/// A [`SeriesFunction`] for the query engine.
pub(crate) struct Registered(pub(crate) Arc<dyn SeriesFunction>);

impl std::fmt::Debug for Registered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Registered").field(&self.0.name()).finish()
    }
}

impl TableFunctionImpl for Registered {
    fn call_with_args(&self, arguments: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let texts = arguments.exprs().iter().map(text).collect::<Option<Vec<String>>>();
        let mut texts = texts.unwrap_or_default().into_iter();
        let Some(sql) = texts.next() else {
            let name = self.0.name();
            return Err(DataFusionError::Plan(format!(
                "{name} takes texts: {name}('SELECT time, value FROM …', …), with quotes inside doubled"
            )));
        };
        Ok(Arc::new(Called { function: Arc::clone(&self.0), sql, arguments: texts.collect() }))
    }
}

fn text(argument: &Expr) -> Option<String> {
    match argument {
        Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _) => {
            Some(text.clone())
        }
        _ => None,
    }
}

/// One call in a statement.
struct Called {
    function: Arc<dyn SeriesFunction>,
    sql: String,
    arguments: Vec<String>,
}

impl std::fmt::Debug for Called {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Called").field("function", &self.function.name()).field("sql", &self.sql).finish()
    }
}

#[async_trait]
impl TableProvider for Called {
    fn schema(&self) -> SchemaRef {
        self.function.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let session = state
            .as_any()
            .downcast_ref::<SessionState>()
            .ok_or_else(|| DataFusionError::Internal("the session of a query has another type".to_owned()))?;
        // The same tables as around it: the caller's namespaces and byte budget hold here too.
        let series = series(session, &self.sql).await?;
        let rows = self.function.call(&series, &self.arguments);
        let rows =
            rows.map_err(|error| DataFusionError::Plan(format!("{}: {error}", self.function.name())))?;
        let plan = MemorySourceConfig::try_new_exec(&[vec![rows]], self.schema(), projection.cloned())?;
        Ok(plan)
    }
}

async fn series(session: &SessionState, sql: &str) -> Result<Vec<(Micros, f64)>> {
    let plan = session.create_logical_plan(sql).await?;
    read_only(&plan)?;
    let frame = DataFrame::new(session.clone(), plan);
    let columns: Vec<DataType> =
        frame.schema().fields().iter().map(|field| field.data_type().clone()).collect();
    let is_series = matches!(
        columns.as_slice(),
        [DataType::Timestamp(..) | DataType::Date32 | DataType::Date64, value] if value.is_numeric()
    );
    if !is_series {
        return Err(DataFusionError::Plan(format!(
            "a series has two columns, a time and a number, but this has {columns:?}: {sql}"
        )));
    }
    let mut stream = frame.execute_stream().await?;
    let mut points = Vec::new();
    while let Some(batch) = stream.next().await {
        take(&batch?, &mut points)?;
        if points.len() > MOST {
            return Err(DataFusionError::Plan(format!(
                "the series has more than {MOST} points: GROUP BY date_bin(INTERVAL '1 minute', time)"
            )));
        }
    }
    points.sort_by_key(|&(time, _)| time);
    Ok(points)
}

fn take(batch: &RecordBatch, points: &mut Vec<(Micros, f64)>) -> Result<()> {
    let times = cast(batch.column(0), &DataType::Timestamp(TimeUnit::Microsecond, None))?;
    let values = cast(batch.column(1), &DataType::Float64)?;
    let pairs = times.as_primitive::<TimestampMicrosecondType>().iter();
    for (time, value) in pairs.zip(values.as_primitive::<Float64Type>().iter()) {
        if let (Some(time), Some(value)) = (time, value)
            && value.is_finite()
        {
            points.push((time, value));
        }
    }
    Ok(())
}

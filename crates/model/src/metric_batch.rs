//! Metric points.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::builder::{
    BooleanBuilder, Float64Builder, Int64Builder, ListBuilder, StringBuilder, TimestampMicrosecondBuilder,
};
use serde::{Deserialize, Serialize};

use crate::batch::{TextMap, append_map, text_map, time_builder};
use crate::{Attributes, BatchError, Micros, Table};

crate::batch::typed_batch!(
    /// Metric points with the schema of [`Table::Metrics`].
    MetricBatch,
    Table::Metrics
);

/// Kind of a metric point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MetricKind {
    /// A value that goes up and down.
    #[default]
    Gauge,
    /// A sum, see `delta` and `monotonic`.
    Sum,
    /// A histogram with explicit or exponential buckets (exponential ones are stored as explicit bounds).
    Histogram,
    /// A summary with quantiles as attributes.
    Summary,
}

impl MetricKind {
    /// The value of the `kind` column.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Sum => "sum",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
        }
    }
}

/// One metric point to append.
#[derive(Clone, Copy, Debug, Default)]
pub struct MetricRow<'a> {
    /// Event time.
    pub time_us: Micros,
    /// Tenant.
    pub namespace: &'a str,
    /// Name of the LogSource.
    pub source: &'a str,
    /// Service.
    pub service: &'a str,
    /// Metric name.
    pub name: &'a str,
    /// UCUM unit.
    pub unit: &'a str,
    /// Kind.
    pub kind: MetricKind,
    /// Delta temporality; otherwise cumulative (or not applicable).
    pub delta: bool,
    /// Sums that only grow.
    pub monotonic: bool,
    /// Value of gauges and sums; of a histogram the mean.
    pub value: Option<f64>,
    /// Count of a histogram or summary.
    pub count: Option<i64>,
    /// Sum of a histogram or summary.
    pub sum: Option<f64>,
    /// Upper bounds of the buckets, one fewer than counts.
    pub bounds: &'a [f64],
    /// Counts of the buckets.
    pub bucket_counts: &'a [i64],
    /// Resource attributes.
    pub resource: Attributes<'a>,
    /// Point attributes.
    pub attributes: Attributes<'a>,
}

/// Builds a [`MetricBatch`].
#[derive(Debug)]
pub struct MetricBuilder {
    time: TimestampMicrosecondBuilder,
    text: [StringBuilder; 6],
    delta: BooleanBuilder,
    monotonic: BooleanBuilder,
    value: Float64Builder,
    count: Int64Builder,
    sum: Float64Builder,
    bounds: ListBuilder<Float64Builder>,
    bucket_counts: ListBuilder<Int64Builder>,
    resource: TextMap,
    attributes: TextMap,
}

impl Default for MetricBuilder {
    fn default() -> Self {
        Self {
            time: time_builder(),
            text: Default::default(),
            delta: BooleanBuilder::new(),
            monotonic: BooleanBuilder::new(),
            value: Float64Builder::new(),
            count: Int64Builder::new(),
            sum: Float64Builder::new(),
            bounds: ListBuilder::new(Float64Builder::new()),
            bucket_counts: ListBuilder::new(Int64Builder::new()),
            resource: text_map(),
            attributes: text_map(),
        }
    }
}

impl MetricBuilder {
    /// Appends a point.
    ///
    /// # Errors
    /// When Arrow refuses the attributes.
    pub fn append(&mut self, row: &MetricRow<'_>) -> Result<(), BatchError> {
        append_map(&mut self.resource, row.resource)?;
        append_map(&mut self.attributes, row.attributes)?;
        self.time.append_value(row.time_us);
        let texts = [row.namespace, row.source, row.service, row.name, row.unit, row.kind.as_str()];
        for (builder, value) in self.text.iter_mut().zip(texts) {
            builder.append_value(value);
        }
        self.delta.append_value(row.delta);
        self.monotonic.append_value(row.monotonic);
        self.value.append_option(row.value);
        self.count.append_option(row.count);
        self.sum.append_option(row.sum);
        self.bounds.values().append_slice(row.bounds);
        self.bounds.append(!row.bucket_counts.is_empty());
        self.bucket_counts.values().append_slice(row.bucket_counts);
        self.bucket_counts.append(!row.bucket_counts.is_empty());
        Ok(())
    }

    /// Ends the batch.
    ///
    /// # Errors
    /// When Arrow refuses the columns.
    pub fn finish(mut self) -> Result<MetricBatch, BatchError> {
        let [mut namespace, mut source, mut service, mut name, mut unit, mut kind] = self.text;
        let rows = RecordBatch::try_new(
            Table::Metrics.schema(),
            vec![
                Arc::new(self.time.finish()),
                Arc::new(namespace.finish()),
                Arc::new(source.finish()),
                Arc::new(service.finish()),
                Arc::new(name.finish()),
                Arc::new(unit.finish()),
                Arc::new(kind.finish()),
                Arc::new(self.delta.finish()),
                Arc::new(self.monotonic.finish()),
                Arc::new(self.value.finish()),
                Arc::new(self.count.finish()),
                Arc::new(self.sum.finish()),
                Arc::new(self.bounds.finish()),
                Arc::new(self.bucket_counts.finish()),
                Arc::new(self.resource.finish()),
                Arc::new(self.attributes.finish()),
            ],
        )?;
        Ok(MetricBatch(rows))
    }
}

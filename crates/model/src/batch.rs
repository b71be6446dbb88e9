//! Batches of telemetry: typed builders over the schemas of [`Table`].

use arrow_array::RecordBatch;
use arrow_array::builder::{MapBuilder, StringBuilder, TimestampMicrosecondBuilder};
use arrow_schema::ArrowError;

use crate::{LogBatch, MetricBatch, SpanBatch, Table};

/// Attributes of a record or resource, in arrival order.
pub type Attributes<'a> = &'a [(&'a str, &'a str)];

/// A batch could not be built or has the wrong schema.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// Arrow refused the columns.
    #[error("columns do not form a batch: {0}")]
    Arrow(#[from] ArrowError),
    /// The schema is not the table's.
    #[error("batch does not have the schema of table {table}")]
    Schema {
        /// The expected table.
        table: &'static str,
    },
}

/// One batch of one table.
#[derive(Clone, Debug)]
pub enum Batch {
    /// Log records.
    Logs(LogBatch),
    /// Metric points.
    Metrics(MetricBatch),
    /// Spans.
    Spans(SpanBatch),
}

impl Batch {
    /// The table it belongs to.
    #[must_use]
    pub fn table(&self) -> Table {
        match self {
            Self::Logs(_) => Table::Logs,
            Self::Metrics(_) => Table::Metrics,
            Self::Spans(_) => Table::Spans,
        }
    }

    /// The rows.
    #[must_use]
    pub fn record_batch(&self) -> &RecordBatch {
        match self {
            Self::Logs(b) => &b.0,
            Self::Metrics(b) => &b.0,
            Self::Spans(b) => &b.0,
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.record_batch().num_rows()
    }

    /// Whether it has no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

macro_rules! typed_batch {
    ($(#[$doc:meta])* $name:ident, $table:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name(pub(crate) arrow_array::RecordBatch);

        impl $name {
            /// Wraps rows that already have the table's schema.
            ///
            /// # Errors
            /// [`crate::BatchError::Schema`] when the schema differs.
            pub fn try_new(rows: arrow_array::RecordBatch) -> Result<Self, $crate::BatchError> {
                if rows.schema().fields() == $table.schema().fields() {
                    Ok(Self(rows))
                } else {
                    Err($crate::BatchError::Schema { table: $table.name() })
                }
            }

            /// The rows.
            #[must_use]
            pub fn record_batch(&self) -> &arrow_array::RecordBatch {
                &self.0
            }

            /// Number of rows.
            #[must_use]
            pub fn len(&self) -> usize {
                self.0.num_rows()
            }

            /// Whether it has no rows.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }
        }
    };
}

pub(crate) use typed_batch;

pub(crate) fn time_builder() -> TimestampMicrosecondBuilder {
    TimestampMicrosecondBuilder::new().with_timezone("UTC")
}

pub(crate) type TextMap = MapBuilder<StringBuilder, StringBuilder>;

pub(crate) fn text_map() -> TextMap {
    MapBuilder::new(None, StringBuilder::new(), StringBuilder::new())
}

pub(crate) fn append_map(builder: &mut TextMap, attributes: Attributes<'_>) -> Result<(), ArrowError> {
    for (key, value) in attributes {
        builder.keys().append_value(key);
        builder.values().append_value(value);
    }
    builder.append(true)
}

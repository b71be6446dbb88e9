//! Step `Drop`: removes the rows that its condition selects.

use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use causeway_model::{Batch, LogBatch, MetricBatch, SpanBatch};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::registry::{Applied, Step};
use crate::{StepError, StepSpec};

/// Parameters of a Drop step: none, its `match` says which records go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DropSpec {}

/// The compiled step.
#[derive(Debug)]
struct DropStep;

/// Compiles the step.
///
/// # Errors
/// [`StepError::Member`] when the member is not the one that the type names, [`StepError::EmptyMatch`] without `match`.
pub(crate) fn compile(spec: &StepSpec) -> Result<Box<dyn Step>, StepError> {
    if spec.drop.is_none() || spec.mask.is_some() {
        return Err(StepError::Member { step: spec.name.clone(), member: "drop" });
    }
    if spec.matches.is_none() {
        return Err(StepError::EmptyMatch { step: spec.name.clone() });
    }
    Ok(Box::new(DropStep))
}

impl Step for DropStep {
    fn apply(&self, batch: Batch, selected: Option<&BooleanArray>) -> Result<Applied, StepError> {
        let Some(selected) = selected else { return Ok(Applied { batch, changed: 0 }) };
        if selected.true_count() == 0 {
            return Ok(Applied { batch, changed: 0 });
        }
        let keep: BooleanArray = selected.iter().map(|s| Some(s != Some(true))).collect();
        let rows = filter_record_batch(batch.record_batch(), &keep)?;
        Ok(Applied { batch: with_rows(&batch, rows)?, changed: 0 })
    }
}

/// A batch of the same table with other rows.
pub(crate) fn with_rows(batch: &Batch, rows: RecordBatch) -> Result<Batch, StepError> {
    Ok(match batch {
        Batch::Logs(_) => Batch::Logs(LogBatch::try_new(rows)?),
        Batch::Metrics(_) => Batch::Metrics(MetricBatch::try_new(rows)?),
        Batch::Spans(_) => Batch::Spans(SpanBatch::try_new(rows)?),
    })
}

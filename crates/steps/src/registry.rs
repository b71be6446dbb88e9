//! The known steps: a new one is its file and one line here.

use arrow_array::BooleanArray;
use causeway_model::Batch;

use crate::{StepError, StepSpec, StepType, drop, mask};

/// What a step made of a batch.
pub(crate) struct Applied {
    /// The rows that go on.
    pub(crate) batch: Batch,
    /// Rows of it that were altered.
    pub(crate) changed: usize,
}

/// A compiled step.
pub(crate) trait Step: Send + Sync + std::fmt::Debug {
    /// Processes a batch; `selected` has one value a row, `None` selects every row.
    ///
    /// # Errors
    /// When Arrow refuses the new columns; the batch must then not go on.
    fn apply(&self, batch: Batch, selected: Option<&BooleanArray>) -> Result<Applied, StepError>;
}

type Compile = fn(&StepSpec) -> Result<Box<dyn Step>, StepError>;

const STEPS: [(StepType, Compile); 2] = [(StepType::Mask, mask::compile), (StepType::Drop, drop::compile)];

/// Compiles a step by its type.
///
/// # Errors
/// See the step's own `compile`.
pub(crate) fn compile(spec: &StepSpec) -> Result<Box<dyn Step>, StepError> {
    let Some((_, compile)) = STEPS.iter().find(|(step_type, _)| *step_type == spec.step_type) else {
        return Err(StepError::UnknownType { step: spec.name.clone(), step_type: spec.step_type.as_str() });
    };
    compile(spec)
}

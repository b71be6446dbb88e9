//! Declared steps, compiled once and run over every batch.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_schema::ArrowError;
use causeway_model::{Batch, BatchError};

use crate::condition::Condition;
use crate::registry::{self, Step};
use crate::{MaskSpec, StepSpec, StepType};

/// Why steps do not compile, or why a batch could not be processed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// A name is empty or used twice.
    #[error("step name '{0}' is empty or used twice")]
    Name(String),
    /// The member is missing, or belongs to another type.
    #[error("step '{step}': set the member '{member}' and no other")]
    Member {
        /// Step.
        step: String,
        /// The member that its type names.
        member: &'static str,
    },
    /// No condition is given where one is needed.
    #[error("step '{step}': match is missing or has no condition")]
    EmptyMatch {
        /// Step.
        step: String,
    },
    /// A regular expression does not compile or is too large.
    #[error("step '{step}': regular expression: {reason}")]
    Regex {
        /// Step.
        step: String,
        /// Reason, with the position.
        reason: String,
    },
    /// A pattern matches the empty text, so that it would be found between all characters.
    #[error("step '{step}': pattern '{pattern}' matches the empty text")]
    MatchesEmpty {
        /// Step.
        step: String,
        /// Name of the pattern.
        pattern: String,
    },
    /// The type has no implementation.
    #[error("step '{step}': type {step_type} is not known")]
    UnknownType {
        /// Step.
        step: String,
        /// Its type.
        step_type: &'static str,
    },
    /// Arrow refused the columns; the batch must not go on.
    #[error("columns: {0}")]
    Arrow(#[from] ArrowError),
    /// The columns are not those of the table; the batch must not go on.
    #[error(transparent)]
    Batch(#[from] BatchError),
}

/// Rows of one batch at one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepCounts {
    /// Name of the step.
    pub step: Arc<str>,
    /// Rows that came in.
    pub rows_in: usize,
    /// Rows that went on; `rows_in` = `rows_out` + `dropped`.
    pub rows_out: usize,
    /// Rows removed.
    pub dropped: usize,
    /// Rows of `rows_out` that were altered.
    pub changed: usize,
}

#[derive(Debug)]
struct Compiled {
    name: Arc<str>,
    condition: Option<Condition>,
    step: Box<dyn Step>,
}

/// Compiled steps in their order. Shared by reference between threads; it holds no state of a batch.
#[derive(Debug, Default)]
pub struct Pipeline {
    steps: Vec<Compiled>,
}

impl Pipeline {
    /// Compiles declared steps; none give a pipeline that changes nothing.
    ///
    /// # Errors
    /// The first step that does not compile.
    pub fn compile(specs: &[StepSpec]) -> Result<Self, StepError> {
        let mut names = BTreeSet::new();
        let mut steps = Vec::with_capacity(specs.len());
        for spec in specs {
            if spec.name.is_empty() || !names.insert(spec.name.as_str()) {
                return Err(StepError::Name(spec.name.clone()));
            }
            let condition = spec.matches.as_ref().map(|m| Condition::compile(&spec.name, m)).transpose()?;
            steps.push(Compiled {
                name: spec.name.as_str().into(),
                condition,
                step: registry::compile(spec)?,
            });
        }
        Ok(Self { steps })
    }

    /// One step that masks everything that the built-in detectors find.
    ///
    /// # Errors
    /// None that a caller can cause; the built-in detectors compile.
    pub fn default_mask() -> Result<Self, StepError> {
        Self::compile(&[Self::default_mask_spec()])
    }

    /// The declaration behind [`Pipeline::default_mask`].
    #[must_use]
    pub fn default_mask_spec() -> StepSpec {
        StepSpec {
            name: "default-mask".to_owned(),
            step_type: StepType::Mask,
            matches: None,
            mask: Some(MaskSpec::default()),
            drop: None,
        }
    }

    /// Whether there are no steps.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Runs all steps over a batch; the counts have one entry a step, in order.
    ///
    /// # Errors
    /// When Arrow refuses columns. The batch is gone then, on purpose: what could not be masked must not be stored.
    pub fn run(&self, mut batch: Batch) -> Result<(Batch, Vec<StepCounts>), StepError> {
        let mut counts = Vec::with_capacity(self.steps.len());
        for compiled in &self.steps {
            let rows_in = batch.len();
            let selected = compiled.condition.as_ref().map(|c| c.select(&batch));
            let applied = compiled.step.apply(batch, selected.as_ref())?;
            let rows_out = applied.batch.len();
            counts.push(StepCounts {
                step: Arc::clone(&compiled.name),
                rows_in,
                rows_out,
                dropped: rows_in - rows_out,
                changed: applied.changed,
            });
            batch = applied.batch;
        }
        Ok((batch, counts))
    }
}

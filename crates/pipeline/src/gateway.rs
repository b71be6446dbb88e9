//! The gateway: a [`Sink`] in front of the lake.

use std::collections::BTreeMap;
use std::sync::Arc;

use ahash::AHashMap;
use causeway_model::{
    Accepted, Batch, BatchError, BoxFuture, Clock, Delivery, Micros, Partial, Sink, SinkError, SourceRef,
};
use causeway_patterns::Miner;
use causeway_steps::{Pipeline, StepError};
use parking_lot::Mutex;

use crate::templates::{Interner, Mined, mine};
use crate::{Aggregator, AggregatorConfig, PipelineMetrics, logs, points, spans};

/// Receives every closed window; a plain function call in one process, a stream between processes.
pub type PartialSink = Arc<dyn Fn(Partial) + Send + Sync>;

/// Settings of a [`Gateway`].
#[derive(Clone, Copy, Debug, Default)]
pub struct GatewayConfig {
    /// Windows and lateness.
    pub aggregator: AggregatorConfig,
}

/// Why a batch could not be prepared.
#[derive(Debug, thiserror::Error)]
enum PrepareError {
    #[error(transparent)]
    Step(#[from] StepError),
    #[error(transparent)]
    Batch(#[from] BatchError),
}

/// How long a service counts as one of a source.
const SERVICE_MEMORY_US: i64 = 3_600_000_000;

struct SourceState {
    steps: Arc<Pipeline>,
    miner: Miner,
    aggregator: Aggregator,
    names: Interner,
    /// End of the newest window in which a service was seen.
    services: AHashMap<Arc<str>, Micros>,
}

/// Runs steps and mines templates before the sink, and aggregates what the sink made durable.
pub struct Gateway {
    sink: Arc<dyn Sink>,
    partials: PartialSink,
    clock: Arc<dyn Clock>,
    config: GatewayConfig,
    metrics: PipelineMetrics,
    sources: Mutex<BTreeMap<SourceRef, Arc<Mutex<SourceState>>>>,
}

impl SourceState {
    fn see(&mut self, partial: &Partial) {
        let until_us = partial.window.end_us;
        let of_series = partial.series.iter().map(|(id, _)| &id.entity);
        for service in of_series.chain(partial.templates.iter().map(|t| &t.service)) {
            match self.services.get_mut(service) {
                Some(seen) => *seen = until_us,
                None => {
                    self.services.insert(Arc::clone(service), until_us);
                }
            }
        }
        self.services.retain(|_, seen| until_us - *seen < SERVICE_MEMORY_US);
    }
}

impl Gateway {
    /// A gateway without sources; a source appears with its first delivery or its steps.
    #[must_use]
    pub fn new(
        sink: Arc<dyn Sink>,
        partials: PartialSink,
        clock: Arc<dyn Clock>,
        config: GatewayConfig,
        metrics: PipelineMetrics,
    ) -> Self {
        Self { sink, partials, clock, config, metrics, sources: Mutex::default() }
    }

    /// Sets the steps of a source; they hold from the next delivery on.
    pub fn set_steps(&self, source: &SourceRef, steps: Pipeline) {
        self.source(source).lock().steps = Arc::new(steps);
    }

    /// Closes due windows of every source and hands them on. Called with every delivery, and now and then by a timer.
    pub fn tick(&self) {
        let now_us = self.clock.now_us();
        let sources: Vec<_> = self.sources.lock().values().cloned().collect();
        for source in sources {
            self.emit(&source, now_us);
        }
    }

    /// Newest event time minus the allowed lateness, over all sources that have sent; `None` before the first record.
    #[must_use]
    pub fn watermark_us(&self) -> Option<Micros> {
        self.sources.lock().values().filter_map(|s| s.lock().aggregator.watermark_us()).min()
    }

    /// `now` when the last record of a source came; `None` before the first.
    #[must_use]
    pub fn last_arrival_us(&self, source: &SourceRef) -> Option<Micros> {
        let state = self.sources.lock().get(source).cloned()?;
        let state = state.lock();
        state.aggregator.last_arrival_us()
    }

    /// Services seen in the records of a source, in the last hour of its data time.
    #[must_use]
    pub fn services(&self, source: &SourceRef) -> u32 {
        let state = self.sources.lock().get(source).cloned();
        state.map_or(0, |state| u32::try_from(state.lock().services.len()).unwrap_or(u32::MAX))
    }

    /// After a restart: windows that end at or before this time have reached the engine and are not built again.
    pub fn resume_after(&self, source: &SourceRef, until_us: Micros) {
        self.source(source).lock().aggregator.resume_after(until_us);
    }

    /// Aggregates a batch that is durable already: rebuilds windows from the lake after a restart.
    ///
    /// # Errors
    /// When the batch does not have its table's schema.
    pub fn replay(&self, source: &SourceRef, batch: &Batch) -> Result<(), BatchError> {
        let state = self.source(source);
        let mined = match batch {
            Batch::Logs(rows) => Some(mine(rows, &mut state.lock().miner)?.1),
            _ => None,
        };
        self.aggregate(&state, batch, mined)
    }

    fn source(&self, source: &SourceRef) -> Arc<Mutex<SourceState>> {
        let mut sources = self.sources.lock();
        if let Some(known) = sources.get(source) {
            return Arc::clone(known);
        }
        let state = Arc::new(Mutex::new(SourceState {
            steps: Arc::new(Pipeline::default()),
            miner: Miner::default(),
            aggregator: Aggregator::new(source.clone(), self.config.aggregator),
            names: Interner::default(),
            services: AHashMap::default(),
        }));
        sources.insert(source.clone(), Arc::clone(&state));
        state
    }

    fn prepare(
        &self,
        state: &Mutex<SourceState>,
        batch: Batch,
    ) -> Result<(Batch, Option<Mined>), PrepareError> {
        let steps = Arc::clone(&state.lock().steps);
        let (batch, counts) = steps.run(batch)?;
        for step in counts {
            self.metrics.dropped.inc_by(step.dropped as u64);
            self.metrics.changed.inc_by(step.changed as u64);
        }
        match batch {
            Batch::Logs(rows) => {
                let (rows, mined) = mine(&rows, &mut state.lock().miner)?;
                Ok((Batch::Logs(rows), Some(mined)))
            }
            other => Ok((other, None)),
        }
    }

    fn aggregate(
        &self,
        state: &Mutex<SourceState>,
        batch: &Batch,
        mined: Option<Mined>,
    ) -> Result<(), BatchError> {
        let now_us = self.clock.now_us();
        let mut guard = state.lock();
        let SourceState { aggregator, names, .. } = &mut *guard;
        let late = aggregator.stats().late;
        match batch {
            Batch::Logs(rows) => {
                let templates = mined.map(|m| m.announce(aggregator)).unwrap_or_default();
                logs::aggregate(rows, &templates, aggregator, names, now_us)?;
            }
            Batch::Metrics(rows) => points::aggregate(rows, aggregator, names, now_us)?,
            Batch::Spans(rows) => spans::aggregate(rows, aggregator, names, now_us)?,
        }
        self.metrics.late.inc_by(aggregator.stats().late - late);
        Ok(())
    }

    /// Closing and handing on happen under the source's lock, so that the engine sees windows in order.
    fn emit(&self, state: &Mutex<SourceState>, now_us: Micros) {
        let mut guard = state.lock();
        for partial in guard.aggregator.close(now_us) {
            self.metrics.partials.inc();
            guard.see(&partial);
            (self.partials)(partial);
        }
    }
}

impl Sink for Gateway {
    fn accept(&self, delivery: Delivery) -> BoxFuture<'_, Result<Accepted, SinkError>> {
        Box::pin(async move {
            let state = self.source(&delivery.source);
            let (batch, mined) =
                self.prepare(&state, delivery.batch).map_err(|e| SinkError::Invalid(e.to_string()))?;
            if batch.is_empty() {
                return Ok(Accepted { rows: 0, duplicate: false });
            }
            let durable = Delivery { batch: batch.clone(), ..delivery };
            let accepted = self.sink.accept(durable).await?;
            if !accepted.duplicate {
                self.aggregate(&state, &batch, mined).map_err(|e| SinkError::Invalid(e.to_string()))?;
                self.emit(&state, self.clock.now_us());
            }
            Ok(accepted)
        })
    }
}

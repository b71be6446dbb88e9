//! Template ids of log messages, and interned names.

use std::sync::Arc;

use ahash::AHashSet;
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use causeway_model::{BatchError, LogBatch, LogRows};
use causeway_patterns::Miner;

use crate::aggregate::Aggregator;

/// Names kept before the set is emptied: a guard against unbounded senders, not a cache policy.
const MAX_NAMES: usize = 200_000;

/// Shares equal names.
#[derive(Default)]
pub(crate) struct Interner {
    names: AHashSet<Arc<str>>,
}

impl Interner {
    pub(crate) fn get(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return Arc::clone(known);
        }
        if self.names.len() >= MAX_NAMES {
            self.names.clear();
        }
        let name: Arc<str> = name.into();
        self.names.insert(Arc::clone(&name));
        name
    }
}

/// Templates of one batch.
pub(crate) struct Mined {
    /// Template id of every row.
    pub(crate) templates: Vec<u64>,
    aliases: Vec<(u64, u64)>,
    texts: Vec<(u64, Arc<str>)>,
}

impl Mined {
    /// Hands the news about templates to the next partial.
    pub(crate) fn announce(self, aggregator: &mut Aggregator) -> Vec<u64> {
        aggregator.aliases.extend(self.aliases);
        aggregator.texts.extend(self.texts);
        self.templates
    }
}

/// Finds the template of every message, and fills the batch's `template_id` column.
pub(crate) fn mine(batch: &LogBatch, miner: &mut Miner) -> Result<(LogBatch, Mined), BatchError> {
    let rows = LogRows::new(batch)?;
    let mut mined =
        Mined { templates: Vec::with_capacity(batch.len()), aliases: Vec::new(), texts: Vec::new() };
    for i in 0..batch.len() {
        let seen = miner.observe(rows.service.value(i), rows.body.value(i));
        let id = seen.template.0;
        if seen.is_new {
            mined.texts.push((id, miner.template(seen.template).unwrap_or_default().into()));
        }
        if seen.generalised {
            mined.aliases.extend(miner.take_aliases().into_iter().map(|(old, new)| (old.0, new.0)));
        }
        mined.templates.push(id);
    }
    let column: ArrayRef =
        Arc::new(StringArray::from_iter_values(mined.templates.iter().map(|id| format!("{id:016x}"))));
    let schema = batch.record_batch().schema();
    let columns = schema
        .fields()
        .iter()
        .zip(batch.record_batch().columns())
        .map(|(field, old)| if field.name() == "template_id" { Arc::clone(&column) } else { Arc::clone(old) })
        .collect();
    Ok((LogBatch::try_new(RecordBatch::try_new(schema, columns)?)?, mined))
}

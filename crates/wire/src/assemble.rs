//! What assembling rows has in common for all protocols: bounds, times, counts, and the resource at hand.

use causeway_model::{Batch, Micros};

use crate::service::service_of;
use crate::{DecodeContext, DecodeStats, Decoded};

/// Reasons that are kept.
const KEPT_REASONS: usize = 5;
/// Bytes that a row costs besides its texts.
const ROW_BYTES: usize = 64;

/// Attributes as text.
pub(crate) type Pairs = Vec<(String, String)>;

/// Borrows attributes as the builders of the model take them.
pub(crate) fn borrow(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
    pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect()
}

fn bytes_of(pairs: &[(String, String)]) -> usize {
    pairs.iter().map(|(k, v)| k.len() + v.len() + 8).sum()
}

/// State of assembling one batch.
#[derive(Debug)]
pub(crate) struct Assembly<'a> {
    pub(crate) context: &'a DecodeContext,
    pub(crate) resource: Pairs,
    pub(crate) service: String,
    /// Name of the instrumentation scope, empty when there is none.
    pub(crate) scope: String,
    resource_bytes: usize,
    bytes_left: usize,
    cut: bool,
    stats: DecodeStats,
    errors: Vec<String>,
}

impl<'a> Assembly<'a> {
    pub(crate) fn new(context: &'a DecodeContext) -> Self {
        Self {
            context,
            resource: Vec::new(),
            service: service_of(&[]),
            scope: String::new(),
            resource_bytes: 0,
            bytes_left: context.limits.max_batch_bytes,
            cut: false,
            stats: DecodeStats::default(),
            errors: Vec::new(),
        }
    }

    /// Sets the resource of the records that follow.
    pub(crate) fn set_resource(&mut self, resource: Pairs) {
        self.service = self.cut_value(service_of(&resource));
        self.resource_bytes = bytes_of(&resource) + self.service.len();
        self.resource = resource;
        self.cut = false;
    }

    /// Leaves a record out.
    pub(crate) fn reject(&mut self, reason: impl Into<String>) {
        self.stats.rejected += 1;
        self.cut = false;
        let reason = reason.into();
        if self.errors.len() < KEPT_REASONS && !self.errors.contains(&reason) {
            self.errors.push(reason);
        }
    }

    /// Whether a record fits into the batch; one that does not is rejected. Ends the record's account of cut texts.
    pub(crate) fn admit(&mut self, attributes: &[(String, String)], other_bytes: usize) -> bool {
        let limits = &self.context.limits;
        if self.stats.records >= limits.max_records {
            self.reject(format!("more than {} records in a request: split it", limits.max_records));
            return false;
        }
        let bytes = bytes_of(attributes) + self.resource_bytes + other_bytes + ROW_BYTES;
        let Some(left) = self.bytes_left.checked_sub(bytes) else {
            self.reject(format!("texts of a request exceed {} bytes: split it", limits.max_batch_bytes));
            return false;
        };
        self.bytes_left = left;
        self.stats.records += 1;
        self.stats.truncated += usize::from(std::mem::take(&mut self.cut));
        true
    }

    /// The time to store: the event's when it is believed, the time of observation otherwise (counted) or when there
    /// is none. Call it for admitted records only.
    pub(crate) fn event_time(&mut self, nanos: &[u64]) -> Micros {
        let Some(nanos) = nanos.iter().find(|n| **n != 0) else { return self.context.observed_us };
        self.believed((nanos / 1_000) as i64)
    }

    /// As [`Assembly::event_time`], for a time in microseconds.
    pub(crate) fn believed(&mut self, time_us: Micros) -> Micros {
        if self.context.accepted.contains(time_us) {
            return time_us;
        }
        self.stats.time_adjusted += 1;
        self.context.observed_us
    }

    /// Notes that something of the record at hand was left out.
    pub(crate) fn mark_cut(&mut self) {
        self.cut = true;
    }

    /// Cuts a text at a character boundary.
    pub(crate) fn cut_to(&mut self, mut text: String, limit: usize) -> String {
        if text.len() > limit {
            text.truncate(text.floor_char_boundary(limit));
            self.cut = true;
        }
        text
    }

    /// Cuts a text to the bound of attribute values.
    pub(crate) fn cut_value(&mut self, text: String) -> String {
        self.cut_to(text, self.context.limits.max_value_bytes)
    }

    /// Adds an attribute within the bounds.
    pub(crate) fn push(&mut self, pairs: &mut Pairs, key: String, value: String) {
        if pairs.len() >= self.context.limits.max_attributes {
            self.cut = true;
            return;
        }
        let key = self.cut_to(key, self.context.limits.max_key_bytes);
        let value = self.cut_value(value);
        pairs.push((key, value));
    }

    /// Ends the batch.
    pub(crate) fn finish(self, batch: Batch) -> Decoded {
        Decoded { batch, stats: self.stats, errors: self.errors }
    }
}

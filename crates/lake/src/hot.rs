//! Rows of one table that are durable and not committed yet.

use std::time::Instant;

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;

/// Batches that are joined at once when so many of one size class stand at the end.
const JOIN: usize = 16;

#[derive(Debug)]
struct Item {
    /// Sequence of its newest frame.
    last: u64,
    rows: RecordBatch,
    bytes: usize,
    since: Instant,
}

/// Hot rows in sequence. Small batches are joined, since a builder's buffers are far larger than a few rows.
#[derive(Debug, Default)]
pub(crate) struct Hot {
    items: Vec<Item>,
    /// The first so many items are being sealed and keep their bounds.
    frozen: usize,
    bytes: usize,
    rows: usize,
}

/// Rows taken for a seal.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) batches: Vec<RecordBatch>,
    /// Sequence of the newest frame in it.
    pub(crate) last: u64,
}

impl Hot {
    /// Adds a frame's rows; sequences must rise.
    pub(crate) fn push(&mut self, sequence: u64, rows: RecordBatch) {
        self.rows += rows.num_rows();
        self.add(Item { last: sequence, bytes: rows.get_array_memory_size(), rows, since: Instant::now() });
        while self.join() {}
    }

    fn add(&mut self, item: Item) {
        self.bytes += item.bytes;
        self.items.push(item);
    }

    /// Joins the last items when enough of one size class stand there; each row is copied a few times at most.
    fn join(&mut self) -> bool {
        let Some(start) = self.items.len().checked_sub(JOIN).filter(|start| *start >= self.frozen) else {
            return false;
        };
        let tail = &self.items[start..];
        let class = size_class(&tail[0]);
        if class == LARGE || tail.iter().any(|item| size_class(item) != class) {
            return false;
        }
        let schema = tail[0].rows.schema();
        // Batches of one table always join; if Arrow should refuse, they stay apart.
        let Ok(rows) = concat_batches(&schema, tail.iter().map(|item| &item.rows)) else { return false };
        let (last, since) = (tail[JOIN - 1].last, tail[0].since);
        self.bytes -= tail.iter().map(|item| item.bytes).sum::<usize>();
        self.items.truncate(start);
        self.add(Item { last, bytes: rows.get_array_memory_size(), rows, since });
        true
    }

    /// The oldest rows, about `max_bytes` of them, to be sealed.
    pub(crate) fn chunk(&mut self, max_bytes: usize) -> Option<Chunk> {
        let mut bytes = 0;
        let count = self.items.iter().take_while(|item| {
            let fits = bytes < max_bytes;
            bytes += item.bytes;
            fits
        });
        let count = count.count();
        self.frozen = count;
        let last = self.items.get(count.checked_sub(1)?)?.last;
        Some(Chunk { batches: self.items[..count].iter().map(|item| item.rows.clone()).collect(), last })
    }

    /// Forgets what is committed.
    pub(crate) fn remove_through(&mut self, sequence: u64) {
        let count = self.items.partition_point(|item| item.last <= sequence);
        for item in self.items.drain(..count) {
            self.bytes -= item.bytes;
            self.rows -= item.rows.num_rows();
        }
        self.frozen = 0;
    }

    /// All rows.
    pub(crate) fn batches(&self) -> Vec<RecordBatch> {
        self.items.iter().map(|item| item.rows.clone()).collect()
    }

    /// Memory of the rows.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// When the oldest rows came.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.items.first().map(|item| item.since)
    }

    /// Newest sequence, or 0.
    pub(crate) fn last(&self) -> u64 {
        self.items.last().map_or(0, |item| item.last)
    }
}

const LARGE: u8 = 2;

fn size_class(item: &Item) -> u8 {
    match item.rows.num_rows() {
        0..64 => 0,
        64..4096 => 1,
        _ => LARGE,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int64Array, cast::AsArray, types::Int64Type};
    use arrow_schema::{DataType, Field, Schema};
    use proptest::prelude::*;

    use super::*;

    fn batch(values: Vec<i64>) -> RecordBatch {
        let schema = Arc::new(Schema::new(vec![Field::new("v", DataType::Int64, false)]));
        RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(values))]).unwrap()
    }

    fn values(batches: &[RecordBatch]) -> Vec<i64> {
        batches.iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
    }

    #[test]
    fn single_rows_are_joined() {
        let mut hot = Hot::default();
        (1..=1000).for_each(|s| hot.push(s, batch(vec![s as i64])));
        assert!(hot.items.len() < 48, "{} items", hot.items.len());
        assert_eq!(values(&hot.batches()), (1..=1000).collect::<Vec<_>>());
    }

    proptest! {
        /// Whatever is pushed while chunks are sealed: each value is sealed once, in order.
        #[test]
        fn chunks_and_the_rest_make_the_whole(steps in prop::collection::vec((0usize..100, any::<bool>()), 1..300)) {
            let (mut hot, mut sealed, mut next) = (Hot::default(), Vec::new(), 0i64);
            for (sequence, (rows, seal)) in (1..).zip(steps) {
                let pending = if seal { hot.chunk(500) } else { None };
                let end = next + rows as i64;
                hot.push(sequence, batch((next..end).collect()));
                next = end;
                if let Some(chunk) = pending {
                    sealed.extend(values(&chunk.batches));
                    hot.remove_through(chunk.last);
                }
                prop_assert_eq!(hot.rows(), values(&hot.batches()).len());
                prop_assert_eq!(hot.bytes, hot.items.iter().map(|i| i.bytes).sum::<usize>());
            }
            sealed.extend(values(&hot.batches()));
            prop_assert_eq!(sealed, (0..next).collect::<Vec<_>>());
        }
    }
}

//! The history of series that is kept in memory: of metrics, and of the golden signals that spans give.

use causeway_model::{SeriesId, SeriesPartial, Window};

use crate::engine::Engine;
use crate::history::History;
use crate::objective::is_own_signal;

impl Engine {
    /// Adds what a window says of each series, and drops what is too old. Metrics beyond the most that are kept are counted;
    /// golden signals are as many as there are services. O(series).
    pub(crate) fn keep(&mut self, window: Window, series: &[(SeriesId, SeriesPartial)]) {
        let keep_us = self.config.history_us;
        for (id, values) in series {
            let of_spans = is_own_signal(id);
            let full = self.metrics.len() >= self.config.max_series;
            if !of_spans && full && !self.metrics.contains_key(id) {
                self.counts.series_refused += 1;
                continue;
            }
            let histories = if of_spans { &mut self.served } else { &mut self.metrics };
            let history = histories.entry(id.clone()).or_insert_with(|| History::new(values.kind));
            history.push(window, values, keep_us);
        }
        for histories in [&mut self.metrics, &mut self.served] {
            histories.retain(|_, h| h.newest_us().is_some_and(|at| at >= window.end_us - keep_us));
        }
    }
}

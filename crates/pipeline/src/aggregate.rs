//! Windows of data time of one source: filled by records, closed by the watermark.

use std::collections::BTreeMap;
use std::sync::Arc;

use ahash::AHashMap;
use causeway_model::{Micros, Partial, SeriesId, SeriesPartial, SourceRef, SpanStub, TemplateCount, Window};

/// Settings of an [`Aggregator`].
#[derive(Clone, Copy, Debug)]
pub struct AggregatorConfig {
    /// Length of a window; 10 s by default.
    pub window_us: i64,
    /// How long after its end a window still takes records; 10 s by default, so that spans, which arrive when they
    /// end, find the window in which they began.
    pub lateness_us: i64,
    /// A source from which nothing arrived for this long of `now` has its windows closed without a watermark.
    pub idle_us: i64,
}

impl Default for AggregatorConfig {
    fn default() -> Self {
        Self { window_us: 10_000_000, lateness_us: 10_000_000, idle_us: 30_000_000 }
    }
}

/// What an aggregator counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AggregatorStats {
    /// Records in windows.
    pub records: u64,
    /// Records that came after their window had closed: stored, but not in any aggregate.
    pub late: u64,
}

#[derive(Default)]
pub(crate) struct OpenWindow {
    pub(crate) series: AHashMap<SeriesId, SeriesPartial>,
    pub(crate) spans: Vec<SpanStub>,
    pub(crate) templates: AHashMap<(Arc<str>, u64), TemplateCount>,
    pub(crate) records: u64,
}

/// Aggregates one source.
pub struct Aggregator {
    source: SourceRef,
    config: AggregatorConfig,
    open: BTreeMap<Micros, OpenWindow>,
    closed_until_us: Micros,
    newest_us: Micros,
    last_arrival_us: Micros,
    stats: AggregatorStats,
    pub(crate) aliases: Vec<(u64, u64)>,
    pub(crate) texts: Vec<(u64, Arc<str>)>,
    pub(crate) totals: AHashMap<SeriesId, (f64, f64)>,
}

impl Aggregator {
    /// An aggregator without windows.
    #[must_use]
    pub fn new(source: SourceRef, config: AggregatorConfig) -> Self {
        Self {
            source,
            config,
            open: BTreeMap::new(),
            closed_until_us: Micros::MIN,
            newest_us: Micros::MIN,
            last_arrival_us: Micros::MIN,
            stats: AggregatorStats::default(),
            aliases: Vec::new(),
            texts: Vec::new(),
            totals: AHashMap::new(),
        }
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> AggregatorStats {
        self.stats
    }

    /// `now` when the last record came; `None` before the first.
    #[must_use]
    pub fn last_arrival_us(&self) -> Option<Micros> {
        (self.last_arrival_us > Micros::MIN).then_some(self.last_arrival_us)
    }

    /// Newest event time minus the allowed lateness; `None` before the first record.
    #[must_use]
    pub fn watermark_us(&self) -> Option<Micros> {
        (self.newest_us > Micros::MIN).then(|| self.newest_us - self.config.lateness_us)
    }

    /// The window that takes a record of this time, or `None` when that window has closed.
    ///
    /// Times ahead of `now_us` do not move the watermark further than `now_us`: one sender with a fast clock must
    /// not make everybody else late.
    pub(crate) fn window(&mut self, time_us: Micros, now_us: Micros) -> Option<&mut OpenWindow> {
        let start = Window::containing(time_us, self.config.window_us).start_us;
        self.newest_us = self.newest_us.max(time_us.min(now_us));
        self.last_arrival_us = self.last_arrival_us.max(now_us);
        if start < self.closed_until_us {
            self.stats.late += 1;
            return None;
        }
        self.stats.records += 1;
        let window = self.open.entry(start).or_default();
        window.records += 1;
        Some(window)
    }

    /// Closes the windows that the watermark has passed, and those of a source that fell silent, oldest first.
    pub fn close(&mut self, now_us: Micros) -> Vec<Partial> {
        let idle = self.last_arrival_us > Micros::MIN && now_us - self.last_arrival_us >= self.config.idle_us;
        let mut limit = self.watermark_us().unwrap_or(Micros::MIN);
        if idle {
            limit = limit.max(now_us - self.config.idle_us);
        }
        let mut partials = Vec::new();
        while let Some(entry) = self.open.first_entry() {
            let end_us = *entry.key() + self.config.window_us;
            if end_us > limit {
                break;
            }
            let (start_us, window) = entry.remove_entry();
            self.closed_until_us = self.closed_until_us.max(end_us);
            partials.push(self.partial(Window { start_us, end_us }, window));
        }
        partials
    }

    /// Starts after a restart: windows that end at or before this time have been handed on already.
    pub fn resume_after(&mut self, until_us: Micros) {
        self.closed_until_us = self.closed_until_us.max(until_us);
    }

    fn partial(&mut self, window: Window, content: OpenWindow) -> Partial {
        let mut series: Vec<_> = content.series.into_iter().collect();
        series.sort_by(|a, b| a.0.cmp(&b.0));
        let mut templates: Vec<_> = content.templates.into_values().collect();
        templates.sort_by(|a, b| (&a.service, a.template).cmp(&(&b.service, b.template)));
        let mut spans = content.spans;
        spans.sort_by_key(|s| (s.start_us, s.trace, s.span));
        Partial {
            source: self.source.clone(),
            window,
            series,
            spans,
            templates,
            aliases: std::mem::take(&mut self.aliases),
            template_texts: std::mem::take(&mut self.texts),
            records: content.records,
            newest_us: self.newest_us,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aggregator() -> Aggregator {
        Aggregator::new(
            SourceRef { namespace: "n".into(), name: "s".into() },
            AggregatorConfig { window_us: 10, lateness_us: 10, idle_us: 100 },
        )
    }

    #[test]
    fn a_window_closes_when_the_watermark_passes_and_then_takes_no_more() {
        let mut a = aggregator();
        assert!(a.window(5, 5).is_some());
        assert!(a.window(15, 15).is_some());
        assert!(a.close(15).is_empty(), "the watermark is at 5");
        assert!(a.window(20, 20).is_some());
        let closed = a.close(20);
        assert_eq!(closed.len(), 1);
        assert_eq!((closed[0].window, closed[0].records), (Window { start_us: 0, end_us: 10 }, 1));
        assert!(a.window(9, 20).is_none());
        assert_eq!(a.stats(), AggregatorStats { records: 3, late: 1 });
    }

    #[test]
    fn a_fast_clock_does_not_make_others_late() {
        let mut a = aggregator();
        assert!(a.window(500, 5).is_some());
        assert!(a.close(5).is_empty());
        assert!(a.window(6, 6).is_some());
    }

    #[test]
    fn silence_closes_windows() {
        let mut a = aggregator();
        a.window(5, 5);
        assert!(a.close(50).is_empty());
        assert_eq!(a.close(110).len(), 1);
    }
}

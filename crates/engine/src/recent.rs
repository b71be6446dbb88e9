//! Spans and log templates of the last minutes: what a ranking looks at.

use std::collections::VecDeque;
use std::sync::Arc;

use causeway_model::{SpanStub, TemplateCount, Window};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// One window of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RecentWindow {
    pub(crate) window: Window,
    pub(crate) spans: Vec<SpanStub>,
    pub(crate) templates: Vec<TemplateCount>,
    /// One trace of `2^halvings` is kept, whole.
    #[serde(default)]
    pub(crate) halvings: u32,
}

impl RecentWindow {
    pub(crate) fn new(window: Window, spans: Vec<SpanStub>, templates: Vec<TemplateCount>) -> Self {
        Self { window, spans, templates, halvings: 0 }
    }

    /// For how many spans each of them stands.
    pub(crate) fn weight(&self) -> u64 {
        1 << self.halvings
    }

    fn thin(&mut self, halvings: u32) {
        if halvings > self.halvings {
            self.spans.retain(|span| is_kept(span.trace, halvings));
            self.halvings = halvings;
        }
    }
}

/// Whether a trace is one of those that are kept. Which ones is the same at all times, and the fewer are among the more.
pub(crate) fn is_kept(trace: u64, halvings: u32) -> bool {
    xxh3_64(&trace.to_le_bytes()).trailing_zeros() >= halvings
}

/// A bounded queue of windows, oldest first. Where there are more spans than may be kept, fewer traces are, so that the
/// time they cover stays the same: a ranking compares now with before.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Recent {
    windows: VecDeque<Arc<RecentWindow>>,
    spans: usize,
    #[serde(default)]
    halvings: u32,
}

impl Recent {
    pub(crate) fn push(&mut self, mut window: RecentWindow, keep_us: i64, max_spans: usize) {
        let oldest = window.window.end_us - keep_us;
        window.thin(self.halvings);
        self.spans += window.spans.len();
        self.windows.push_back(Arc::new(window));
        while self.windows.len() > 1 && self.windows.front().is_some_and(|w| w.window.end_us <= oldest) {
            if let Some(gone) = self.windows.pop_front() {
                self.spans -= gone.spans.len();
            }
        }
        while self.spans > max_spans && self.halvings < 63 {
            self.halvings += 1;
            for window in &mut self.windows {
                Arc::make_mut(window).thin(self.halvings);
            }
            self.count();
        }
        // Twice as many would still be few.
        if self.halvings > 0 && self.spans < max_spans / 8 {
            self.halvings -= 1;
        }
    }

    fn count(&mut self) {
        self.spans = self.windows.iter().map(|w| w.spans.len()).sum();
    }

    /// The fewest traces that any window keeps, as in [`RecentWindow::halvings`]: what compares windows takes no more of
    /// each.
    pub(crate) fn halvings(&self) -> u32 {
        self.windows.iter().map(|w| w.halvings).max().unwrap_or_default()
    }

    /// Windows that end in `from_us..=to_us`, oldest first.
    pub(crate) fn between(&self, from_us: i64, to_us: i64) -> impl Iterator<Item = &RecentWindow> {
        self.windows
            .iter()
            .map(Arc::as_ref)
            .filter(move |w| w.window.end_us > from_us && w.window.end_us <= to_us)
    }
}

#[cfg(test)]
mod tests {
    use causeway_model::SpanKind;

    use super::*;

    const SECOND: i64 = 1_000_000;

    /// A window with `traces` traces of two spans.
    fn window(index: i64, traces: u64) -> RecentWindow {
        let (start_us, end_us) = (index * 10 * SECOND, (index + 1) * 10 * SECOND);
        let span = |trace: u64, span: u64| SpanStub {
            trace,
            span,
            parent: span - 1,
            service: "a".into(),
            operation: "op".into(),
            kind: SpanKind::Server,
            start_us,
            duration_us: 10,
            error: false,
            peer: None,
        };
        let spans = (0..traces).flat_map(|t| {
            let trace = (index as u64) << 32 | t;
            [span(trace, 1), span(trace, 2)]
        });
        RecentWindow::new(Window { start_us, end_us }, spans.collect(), Vec::new())
    }

    #[test]
    fn much_traffic_keeps_fewer_traces_and_not_less_time() {
        let mut recent = Recent::default();
        for index in 0..120 {
            recent.push(window(index, 1_000), 1_200 * SECOND, 20_000);
        }
        assert!(recent.spans <= 20_000, "{}", recent.spans);
        assert_eq!(recent.halvings(), 4);
        let windows: Vec<&RecentWindow> = recent.between(0, i64::MAX).collect();
        assert_eq!(windows.len(), 120);
        for window in &windows {
            assert!(window.spans.chunks(2).all(|pair| pair[0].trace == pair[1].trace), "traces are whole");
        }
        // What is left stands for all: within the error of chance.
        let estimate: u64 = windows.iter().map(|w| w.spans.len() as u64 * w.weight()).sum();
        assert!((216_000..264_000).contains(&estimate), "{estimate}");
    }

    #[test]
    fn little_traffic_keeps_all_again() {
        let mut recent = Recent::default();
        for index in 0..120 {
            recent.push(window(index, 1_000), 1_200 * SECOND, 20_000);
        }
        for index in 120..400 {
            recent.push(window(index, 5), 1_200 * SECOND, 20_000);
        }
        assert_eq!(recent.halvings(), 0);
        assert_eq!(recent.spans, 120 * 10);
    }
}

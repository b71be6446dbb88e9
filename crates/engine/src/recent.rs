//! Spans and log templates of the last minutes: what a ranking looks at.

use std::collections::VecDeque;
use std::sync::Arc;

use causeway_model::{SpanStub, TemplateCount, Window};
use serde::{Deserialize, Serialize};

/// One window of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RecentWindow {
    pub(crate) window: Window,
    pub(crate) spans: Vec<SpanStub>,
    pub(crate) templates: Vec<TemplateCount>,
}

/// A bounded queue of windows, oldest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Recent {
    windows: VecDeque<Arc<RecentWindow>>,
    spans: usize,
}

impl Recent {
    pub(crate) fn push(&mut self, window: RecentWindow, keep_us: i64, max_spans: usize) {
        let oldest = window.window.end_us - keep_us;
        self.spans += window.spans.len();
        self.windows.push_back(Arc::new(window));
        while self.windows.len() > 1
            && (self.spans > max_spans || self.windows.front().is_some_and(|w| w.window.end_us <= oldest))
        {
            if let Some(gone) = self.windows.pop_front() {
                self.spans -= gone.spans.len();
            }
        }
    }

    /// Windows that end in `from_us..=to_us`, oldest first.
    pub(crate) fn between(&self, from_us: i64, to_us: i64) -> impl Iterator<Item = &RecentWindow> {
        self.windows
            .iter()
            .map(Arc::as_ref)
            .filter(move |w| w.window.end_us > from_us && w.window.end_us <= to_us)
    }
}

//! Windows of several sources, put together once every source that still sends has passed them.

use std::collections::BTreeMap;
use std::sync::Arc;

use ahash::AHashMap;
use causeway_model::{Micros, Partial, SeriesId, SeriesPartial, SourceRef, SpanStub, TemplateCount, Window};
use serde::{Deserialize, Serialize};

/// Everything known about one window.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Assembled {
    pub(crate) window_end_us: Micros,
    pub(crate) series: Vec<(SeriesId, SeriesPartial)>,
    pub(crate) spans: Vec<SpanStub>,
    pub(crate) templates: Vec<TemplateCount>,
    pub(crate) records: u64,
    /// Namespaces of the LogSources that contributed, by entity.
    pub(crate) tenants: Vec<(Arc<str>, String)>,
}

/// Progress of one source.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// End of the newest window handed on.
    pub(crate) until_us: Micros,
    /// `now` at that time.
    pub(crate) heard_us: Micros,
    /// Records in the last windows, smoothed, per window.
    pub(crate) usual_records: f64,
}

/// Holds windows back until they are complete.
#[derive(Clone, Debug, Default)]
pub(crate) struct Assembler {
    pending: BTreeMap<Micros, PendingWindow>,
    pub(crate) sources: BTreeMap<SourceRef, Progress>,
    released_until_us: Micros,
}

#[derive(Clone, Debug, Default)]
struct PendingWindow {
    window: Option<Window>,
    series: AHashMap<SeriesId, SeriesPartial>,
    spans: Vec<SpanStub>,
    templates: BTreeMap<(Arc<str>, u64), TemplateCount>,
    records: u64,
    tenants: AHashMap<Arc<str>, String>,
}

impl Assembler {
    /// Continues behind a snapshot.
    pub(crate) fn resume(sources: BTreeMap<SourceRef, Progress>, released_until_us: Micros) -> Self {
        Self { pending: BTreeMap::new(), sources, released_until_us }
    }

    pub(crate) fn released_until_us(&self) -> Micros {
        self.released_until_us
    }

    /// Adds a partial. `false`: its window was released already, so that it comes too late.
    pub(crate) fn add(&mut self, partial: Partial, now_us: Micros) -> bool {
        let progress = self.sources.entry(partial.source.clone()).or_default();
        progress.until_us = progress.until_us.max(partial.window.end_us);
        progress.heard_us = now_us;
        let records = partial.records as f64;
        progress.usual_records = if progress.usual_records == 0.0 {
            records
        } else {
            0.9 * progress.usual_records + 0.1 * records
        };
        if partial.window.end_us <= self.released_until_us {
            return false;
        }
        let pending = self.pending.entry(partial.window.start_us).or_default();
        pending.window = Some(partial.window);
        pending.records += partial.records;
        for (id, values) in partial.series {
            pending.tenants.entry(Arc::clone(&id.entity)).or_insert_with(|| partial.source.namespace.clone());
            match pending.series.get_mut(&id) {
                Some(known) => known.merge(&values),
                None => {
                    pending.series.insert(id, values);
                }
            }
        }
        pending.spans.extend(partial.spans);
        for template in partial.templates {
            let key = (Arc::clone(&template.service), template.template);
            match pending.templates.get_mut(&key) {
                Some(known) => {
                    known.count += template.count;
                    known.severity = known.severity.max(template.severity);
                }
                None => {
                    pending.templates.insert(key, template);
                }
            }
        }
        true
    }

    /// Windows that every source has passed, oldest first. A source not heard of for `idle_us` of `now` is not waited for.
    pub(crate) fn release(&mut self, now_us: Micros, idle_us: i64) -> Vec<(Window, Assembled)> {
        let passed = self
            .sources
            .values()
            .map(|p| if now_us - p.heard_us >= idle_us { Micros::MAX } else { p.until_us })
            .min()
            .unwrap_or(Micros::MIN);
        let mut ready = Vec::new();
        while let Some(entry) = self.pending.first_entry() {
            let Some(window) = entry.get().window else {
                entry.remove();
                continue;
            };
            if window.end_us > passed {
                break;
            }
            let pending = entry.remove();
            self.released_until_us = self.released_until_us.max(window.end_us);
            let mut series: Vec<_> = pending.series.into_iter().collect();
            series.sort_by(|a, b| a.0.cmp(&b.0));
            let mut tenants: Vec<_> = pending.tenants.into_iter().collect();
            tenants.sort();
            let mut spans = pending.spans;
            spans.sort_by_key(|s| (s.start_us, s.trace, s.span));
            ready.push((
                window,
                Assembled {
                    window_end_us: window.end_us,
                    series,
                    spans,
                    templates: pending.templates.into_values().collect(),
                    records: pending.records,
                    tenants,
                },
            ));
        }
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partial(source: &str, start: i64) -> Partial {
        Partial {
            source: SourceRef { namespace: "n".into(), name: source.into() },
            window: Window { start_us: start, end_us: start + 10 },
            series: Vec::new(),
            spans: Vec::new(),
            templates: Vec::new(),
            aliases: Vec::new(),
            template_texts: Vec::new(),
            records: 1,
            newest_us: start,
        }
    }

    #[test]
    fn a_window_waits_for_every_source_that_still_sends() {
        let mut a = Assembler::default();
        a.add(partial("x", 0), 10);
        a.add(partial("y", 0), 10);
        a.add(partial("x", 10), 20);
        assert_eq!(a.release(20, 100).len(), 1, "y has only passed the first");
        assert_eq!(a.release(115, 100).len(), 1, "y fell silent");
        assert!(!a.add(partial("y", 10), 116), "too late");
    }
}

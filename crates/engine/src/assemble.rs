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

/// One gateway's part of a source; without a name, the gateway of this process. Two gateways that receive the same source
/// pass a window at different times, so that each is waited for.
pub(crate) type Origin = (Arc<str>, SourceRef);

/// Progress of one source at one gateway.
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
    pub(crate) sources: BTreeMap<Origin, Progress>,
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
    /// Of each gateway the lowest sequence of a partial in here.
    first: BTreeMap<Arc<str>, u64>,
}

impl Assembler {
    /// Continues behind a snapshot.
    pub(crate) fn resume(sources: BTreeMap<Origin, Progress>, released_until_us: Micros) -> Self {
        Self { pending: BTreeMap::new(), sources, released_until_us }
    }

    pub(crate) fn released_until_us(&self) -> Micros {
        self.released_until_us
    }

    /// Adds a partial of a gateway. `false`: its window was released already, so that it comes too late.
    pub(crate) fn add(
        &mut self,
        gateway: &Arc<str>,
        sequence: u64,
        partial: Partial,
        now_us: Micros,
    ) -> bool {
        let origin = (Arc::clone(gateway), partial.source.clone());
        let progress = self.sources.entry(origin).or_default();
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
        pending.first.entry(Arc::clone(gateway)).or_insert(sequence);
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

    /// Up to which sequence the partials of a gateway are in released windows, if it has given partials up to `newest`.
    pub(crate) fn released_sequence(&self, gateway: &str, newest: u64) -> u64 {
        let held = self.pending.values().filter_map(|window| window.first.get(gateway));
        held.map(|first| first.saturating_sub(1)).chain([newest]).min().unwrap_or(newest)
    }

    /// Waits for every known source anew, as if all had been heard of at `now_us`: after a time without an owner, gateways
    /// resend what they kept, one after the other.
    pub(crate) fn await_all(&mut self, now_us: Micros) {
        for progress in self.sources.values_mut() {
            progress.heard_us = now_us;
        }
    }

    /// Sources of which no gateway has told anything for `silence_us` of `now`. A gateway that fell silent while another
    /// one receives the same source is forgotten: it was taken away, or gets no share any more.
    pub(crate) fn quiet(&mut self, now_us: Micros, silence_us: i64) -> Vec<SourceRef> {
        let mut heard: BTreeMap<SourceRef, Micros> = BTreeMap::new();
        for ((_, source), progress) in &self.sources {
            let newest = heard.entry(source.clone()).or_insert(Micros::MIN);
            *newest = (*newest).max(progress.heard_us);
        }
        let is_quiet = |heard_us: Micros| now_us - heard_us >= silence_us;
        self.sources.retain(|(_, source), progress| {
            !is_quiet(progress.heard_us) || heard.get(source).is_none_or(|newest| is_quiet(*newest))
        });
        heard.into_iter().filter(|(_, newest)| is_quiet(*newest)).map(|(source, _)| source).collect()
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
        let (mut a, here) = (Assembler::default(), Arc::from(""));
        a.add(&here, 1, partial("x", 0), 10);
        a.add(&here, 1, partial("y", 0), 10);
        a.add(&here, 1, partial("x", 10), 20);
        assert_eq!(a.release(20, 100).len(), 1, "y has only passed the first");
        assert_eq!(a.release(115, 100).len(), 1, "y fell silent");
        assert!(!a.add(&here, 1, partial("y", 10), 116), "too late");
    }

    #[test]
    fn a_window_has_what_all_gateways_received_of_a_source() {
        let (mut a, one, two) = (Assembler::default(), Arc::from("one"), Arc::from("two"));
        a.add(&one, 1, partial("x", 0), 10);
        a.add(&two, 1, partial("x", 0), 11);
        a.add(&one, 1, partial("x", 10), 20);
        assert_eq!(a.release(20, 100).len(), 1);
        assert!(a.release(21, 100).is_empty(), "the other gateway's part is to come");
        assert_eq!(a.released_sequence("one", 7), 0, "its partial of the second window is not evaluated yet");
        assert_eq!(a.released_sequence("two", 7), 7);
        a.add(&two, 1, partial("x", 10), 22);
        let window = a.release(22, 100).remove(0).1;
        assert_eq!(window.records, 2);

        a.add(&one, 1, partial("x", 20), 200);
        assert!(a.quiet(210, 100).is_empty(), "one receives the source");
        assert_eq!(a.sources.len(), 1, "the other is forgotten");
        assert_eq!(a.quiet(300, 100), [partial("x", 0).source], "nobody receives it");
        a.await_all(300);
        assert!(a.quiet(310, 100).is_empty());
    }
}

//! How often a request leads to another, as recent traces show it.

use std::collections::BTreeMap;
use std::sync::Arc;

use ahash::AHashMap;
use causeway_model::{SpanKind, SpanStub};

use crate::recent::RecentWindow;

/// Calls from one service to another.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Calls {
    pub(super) count: f64,
    /// Those that went through a queue.
    pub(super) queued: f64,
    /// Those that failed, and those of them with which the caller's request failed.
    pub(super) failed: f64,
    pub(super) passed: f64,
    /// Those whose answer came when the caller had given up, and the seconds that it had waited.
    pub(super) late: f64,
    pub(super) waited_s: f64,
}

/// Counts of the requests and calls in some windows.
#[derive(Clone, Debug, Default)]
pub(super) struct Traffic {
    /// Requests by service.
    pub(super) served: BTreeMap<Arc<str>, f64>,
    /// Calls by caller and callee.
    pub(super) calls: BTreeMap<(Arc<str>, Arc<str>), Calls>,
    /// Calls to stores by caller and store: how many, and their seconds.
    pub(super) stores: BTreeMap<(Arc<str>, Arc<str>), (f64, f64)>,
}

/// Counts. O(spans).
pub(super) fn count<'w>(windows: impl Iterator<Item = &'w RecentWindow>) -> Traffic {
    let spans: Vec<(&SpanStub, f64)> =
        windows.flat_map(|w| w.spans.iter().map(move |span| (span, w.weight() as f64))).collect();
    let by_id: AHashMap<(u64, u64), usize> =
        spans.iter().enumerate().map(|(at, (span, _))| ((span.trace, span.span), at)).collect();
    let parent = |span: &SpanStub| {
        (span.parent != 0)
            .then(|| by_id.get(&(span.trace, span.parent)).and_then(|at| spans.get(*at)))
            .flatten()
    };
    let mut traffic = Traffic::default();
    for (span, weight) in &spans {
        let serves = matches!(span.kind, SpanKind::Server | SpanKind::Consumer) || span.parent == 0;
        if serves {
            *traffic.served.entry(Arc::clone(&span.service)).or_default() += weight;
        }
        if let Some((caller, _)) = parent(span).filter(|(caller, _)| caller.service != span.service) {
            let key = (Arc::clone(&caller.service), Arc::clone(&span.service));
            let calls = traffic.calls.entry(key).or_default();
            calls.count += weight;
            if span.kind == SpanKind::Consumer {
                calls.queued += weight;
            }
            // The caller's side knows whether the answer came in time.
            if caller.error && matches!(caller.kind, SpanKind::Client) {
                calls.failed += weight;
                calls.passed +=
                    if parent(caller).is_some_and(|(request, _)| request.error) { *weight } else { 0.0 };
                if span.duration_us > caller.duration_us {
                    calls.late += weight;
                    calls.waited_s += weight * caller.duration_us as f64 / 1e6;
                }
            }
        }
        if let Some(store) = span.peer.as_ref().filter(|peer| peer.starts_with("Database/")) {
            let call = traffic.stores.entry((Arc::clone(&span.service), Arc::clone(store))).or_default();
            *call = (call.0 + weight, call.1 + weight * span.duration_us as f64 / 1e6);
        }
    }
    traffic
}

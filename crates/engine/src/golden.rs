//! Golden signals of every discovered service: which value a window gives, and which of them are symptoms.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use causeway_model::{SeriesId, SeriesPartial};
use causeway_predict::SignalKind;

/// Windows over which a golden signal is taken: at 10 s, the last half minute. A single window of a quiet service
/// holds a handful of requests, and its mean says little.
const SPAN: usize = 3;
/// Requests in those windows below which latency and errors are not judged.
const MIN_REQUESTS: f64 = 5.0;

/// The signals judged for a service.
pub(crate) const SIGNALS: [(&str, SignalKind); 2] =
    [("latency", SignalKind::Latency), ("error_ratio", SignalKind::Ratio)];

/// Whether a series is a golden signal of a service: one of these, or its traffic.
pub(crate) fn is_golden(series: &SeriesId) -> bool {
    series.group.is_empty() && matches!(series.signal.as_ref(), "latency" | "error_ratio" | "traffic")
}

/// A golden signal in one window.
#[derive(Clone, Debug)]
pub(crate) struct Signal {
    pub(crate) id: SeriesId,
    pub(crate) kind: SignalKind,
    /// `None` where there were too few requests to say.
    pub(crate) value: Option<f64>,
    /// Requests that it rests on.
    pub(crate) requests: f64,
}

/// Sums of one window.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    requests: f64,
    errors: f64,
    seconds: f64,
}

/// Sums of the last windows by service.
#[derive(Clone, Debug, Default)]
pub(crate) struct Golden {
    services: BTreeMap<Arc<str>, VecDeque<Sums>>,
}

impl Golden {
    /// Takes the series of a window and gives, for every service known so far, its signals and their values;
    /// `None` where there were too few requests to say.
    pub(crate) fn window(&mut self, series: &[(SeriesId, SeriesPartial)]) -> Vec<Signal> {
        for sums in self.services.values_mut() {
            sums.push_back(Sums::default());
            while sums.len() > SPAN {
                sums.pop_front();
            }
        }
        for (id, values) in series {
            if !id.group.is_empty() || !matches!(id.signal.as_ref(), "requests" | "errors" | "latency") {
                continue;
            }
            let windows = self
                .services
                .entry(Arc::clone(&id.entity))
                .or_insert_with(|| VecDeque::from([Sums::default()]));
            let Some(sums) = windows.back_mut() else { continue };
            match id.signal.as_ref() {
                "requests" => sums.requests += values.sum,
                "errors" => sums.errors += values.sum,
                _ => sums.seconds += values.sum,
            }
        }
        let mut out = Vec::with_capacity(self.services.len() * SIGNALS.len());
        for (service, windows) in &self.services {
            let total = windows.iter().fold(Sums::default(), |a, s| Sums {
                requests: a.requests + s.requests,
                errors: a.errors + s.errors,
                seconds: a.seconds + s.seconds,
            });
            for (signal, kind) in SIGNALS {
                let value = (total.requests >= MIN_REQUESTS).then(|| match kind {
                    SignalKind::Ratio => total.errors / total.requests,
                    _ => total.seconds / total.requests,
                });
                let id = SeriesId { entity: Arc::clone(service), signal: signal.into(), group: "".into() };
                out.push(Signal { id, kind, value, requests: total.requests });
            }
        }
        out
    }
}

//! What an objective counts, and which burn of its budget matters.

use causeway_model::{SeriesId, SeriesKind, SeriesPartial};
use causeway_predict::burn::{BurnRule, Events, LowTraffic, Objective as Target, Severity};
use serde::{Deserialize, Serialize};

use super::is_own_signal;
use super::labels::Labels;
use crate::asked::Question;

const MINUTE_US: i64 = 60_000_000;
/// Length of a window, of which a timeslice is a multiple.
const WINDOW_US: i64 = 10_000_000;

/// An SLO as the engine follows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObjectiveConfig {
    /// Namespace of the SLO.
    pub namespace: String,
    /// Name of the SLO.
    pub name: String,
    /// Entities in telemetry whose events count, such as `web` and `shop/web`; the first one names the service before
    /// any was seen.
    pub entities: Vec<String>,
    /// What is counted.
    pub indicator: Indicator,
    /// Percent and window.
    pub target: Target,
    /// Stretches of time instead of events, if any.
    pub timeslices: Option<Timeslices>,
    /// Burn rates that count.
    pub rules: Vec<BurnRule>,
    /// Fewest bad events (or stretches) in a long window that count.
    pub minimum_bad: f64,
    /// Events are counted, but nothing is concluded.
    pub suspended: bool,
}

/// How stretches of time are judged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timeslices {
    /// Length of a stretch in microseconds, a multiple of the length of a window.
    pub size_us: i64,
    /// Percent of good events that make a stretch good, above 0 to 100.
    pub target: f64,
}

/// What is counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Indicator {
    /// Bad events in all events.
    BadRatio {
        /// Bad events.
        bad: EventSource,
        /// All events.
        total: EventSource,
    },
    /// Good events in all events.
    GoodRatio {
        /// Good events.
        good: EventSource,
        /// All events.
        total: EventSource,
    },
    /// Requests that take longer than this are bad. Exact to the 9.1 % around the limit; see
    /// [`causeway_model::LogHistogram::count_above`].
    SlowerThan {
        /// Limit in seconds.
        seconds: f64,
    },
}

/// Where events are counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum EventSource {
    /// Requests that the service served.
    Requests,
    /// Of those, the failed ones.
    Errors,
    /// What a counter was increased by, or a histogram observed.
    Metric {
        /// Its name.
        name: String,
        /// Which of its series count.
        labels: Labels,
    },
    /// What the lake answers to a question: the sum of its values.
    Query(Question),
}

/// Why a metric can't be counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NotACounter(pub(crate) String);

impl ObjectiveConfig {
    /// Whether windows do not hold all of its events.
    pub(crate) fn is_asked(&self) -> bool {
        let asks = |source: &EventSource| matches!(source, EventSource::Query(_));
        match &self.indicator {
            Indicator::BadRatio { bad: one, total } | Indicator::GoodRatio { good: one, total } => {
                asks(one) || asks(total)
            }
            Indicator::SlowerThan { .. } => false,
        }
    }

    /// Length of the stretches in which stored events are counted, microseconds: a minute, where that divides a timeslice.
    #[must_use]
    pub fn step_us(&self) -> i64 {
        match self.timeslices {
            Some(slices) if slices.size_us % MINUTE_US != 0 => WINDOW_US,
            _ => MINUTE_US,
        }
    }

    /// Whether the same events count as in `other`, so that what was counted stays of use.
    pub(crate) fn counts_like(&self, other: &Self) -> bool {
        self.entities == other.entities
            && self.indicator == other.indicator
            && self.timeslices == other.timeslices
    }

    /// The golden signal that a burn shows in: what a cause is looked for by.
    pub(crate) fn signal(&self) -> &'static str {
        match self.indicator {
            Indicator::SlowerThan { .. } => "latency",
            _ => "error_ratio",
        }
    }

    /// Whether only requests that the service served are counted.
    pub(crate) fn is_about_requests(&self) -> bool {
        let of_spans = |source: &EventSource| matches!(source, EventSource::Requests | EventSource::Errors);
        match &self.indicator {
            Indicator::BadRatio { bad, total } => of_spans(bad) && of_spans(total),
            Indicator::GoodRatio { good, total } => of_spans(good) && of_spans(total),
            Indicator::SlowerThan { .. } => true,
        }
    }

    pub(crate) fn rules_of(&self, severity: Severity) -> Vec<BurnRule> {
        self.rules.iter().filter(|r| r.severity == severity).copied().collect()
    }

    pub(crate) fn low_traffic(&self) -> LowTraffic {
        LowTraffic { minimum_bad: self.minimum_bad, ..LowTraffic::default() }
    }

    /// Events of one window, and the entity that they are of; `series` are sorted.
    pub(crate) fn count(
        &self,
        series: &[(SeriesId, SeriesPartial)],
    ) -> Result<(Events, Option<&str>), NotACounter> {
        let mut events = Events::default();
        let mut of = None;
        for entity in &self.entities {
            let (bad, total) = match &self.indicator {
                Indicator::BadRatio { bad, total } => {
                    (bad.count(entity, series)?, total.count(entity, series)?)
                }
                Indicator::GoodRatio { good, total } => {
                    let total = total.count(entity, series)?;
                    (total - good.count(entity, series)?, total)
                }
                Indicator::SlowerThan { seconds } => own(entity, "latency", series)
                    .filter_map(|values| values.histogram.as_ref())
                    .fold((0.0, 0.0), |(bad, total), histogram| {
                        (bad + histogram.count_above(*seconds), total + histogram.count() as f64)
                    }),
            };
            if total > 0.0 {
                of.get_or_insert(entity.as_str());
                events.bad += bad.clamp(0.0, total);
                events.total += total;
            }
        }
        Ok((events, of))
    }
}

impl EventSource {
    fn count(&self, entity: &str, series: &[(SeriesId, SeriesPartial)]) -> Result<f64, NotACounter> {
        let (name, labels) = match self {
            Self::Requests => return Ok(own(entity, "requests", series).map(|values| values.sum).sum()),
            Self::Errors => return Ok(own(entity, "errors", series).map(|values| values.sum).sum()),
            Self::Metric { name, labels } => (name, labels),
            Self::Query(question) => {
                return Ok(named(entity, &question.signal, series)
                    .iter()
                    .map(|(_, values)| values.sum)
                    .sum());
            }
        };
        let mut sum = 0.0;
        for (id, values) in named(entity, name, series) {
            sum += match values.kind {
                _ if is_own_signal(id) || !labels.admit(&id.group) => 0.0,
                SeriesKind::Count => values.sum,
                SeriesKind::Latency => values.count as f64,
                SeriesKind::Gauge => return Err(NotACounter(name.clone())),
            };
        }
        Ok(sum)
    }
}

/// The signal that spans give every service.
fn own<'a>(
    entity: &str,
    signal: &str,
    series: &'a [(SeriesId, SeriesPartial)],
) -> impl Iterator<Item = &'a SeriesPartial> {
    named(entity, signal, series).iter().filter(|(id, _)| is_own_signal(id)).map(|(_, values)| values)
}

/// All sub-series of a signal, by binary search.
pub(crate) fn named<'a>(
    entity: &str,
    signal: &str,
    series: &'a [(SeriesId, SeriesPartial)],
) -> &'a [(SeriesId, SeriesPartial)] {
    let key = |id: &SeriesId| (id.entity.as_ref(), id.signal.as_ref()).cmp(&(entity, signal));
    let from = series.partition_point(|(id, _)| key(id).is_lt());
    let to = series.partition_point(|(id, _)| key(id).is_le());
    series.get(from..to).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_model::LogHistogram;

    fn id(signal: &str, group: &str) -> SeriesId {
        SeriesId { entity: "shop/web".into(), signal: signal.into(), group: group.into() }
    }

    fn counted(kind: SeriesKind, sum: f64) -> SeriesPartial {
        SeriesPartial { kind, count: 1, sum, ..SeriesPartial::default() }
    }

    fn series() -> Vec<(SeriesId, SeriesPartial)> {
        let mut histogram = LogHistogram::default();
        (0..90).for_each(|_| histogram.add(0.1));
        (0..10).for_each(|_| histogram.add(2.0));
        let latency = SeriesPartial { histogram: Some(histogram), ..counted(SeriesKind::Latency, 29.0) };
        let mut series = vec![
            (id("requests", ""), counted(SeriesKind::Count, 100.0)),
            (id("errors", ""), counted(SeriesKind::Count, 4.0)),
            (id("latency", ""), latency),
            (id("orders", "country=nl"), counted(SeriesKind::Count, 30.0)),
            (id("orders", "country=de"), counted(SeriesKind::Count, 20.0)),
            (id("refused", "country=de"), counted(SeriesKind::Count, 5.0)),
            (id("depth", ""), counted(SeriesKind::Gauge, 7.0)),
        ];
        series.sort_by(|a, b| a.0.cmp(&b.0));
        series
    }

    fn config(indicator: Indicator) -> ObjectiveConfig {
        ObjectiveConfig {
            namespace: "shop".into(),
            name: "slo".into(),
            entities: vec!["web".into(), "shop/web".into()],
            indicator,
            target: Target::new(99.0, 86_400.0).unwrap(),
            timeslices: None,
            rules: Vec::new(),
            minimum_bad: 20.0,
            suspended: false,
        }
    }

    #[test]
    fn every_indicator_counts() {
        let counted = |name: &str, labels: &str| EventSource::Metric {
            name: name.to_owned(),
            labels: Labels::parse(labels).unwrap(),
        };
        let metric = |name: &str| counted(name, "");
        let cases = [
            (
                Indicator::BadRatio { bad: EventSource::Errors, total: EventSource::Requests },
                Ok((4.0, 100.0)),
            ),
            (
                Indicator::GoodRatio { good: metric("orders"), total: EventSource::Requests },
                Ok((50.0, 100.0)),
            ),
            (Indicator::BadRatio { bad: metric("refused"), total: metric("orders") }, Ok((5.0, 50.0))),
            (
                Indicator::BadRatio { bad: counted("orders", "country=~\"d.\""), total: metric("orders") },
                Ok((20.0, 50.0)),
            ),
            (Indicator::BadRatio { bad: metric("nothing"), total: metric("orders") }, Ok((0.0, 50.0))),
            (Indicator::BadRatio { bad: metric("orders"), total: metric("refused") }, Ok((5.0, 5.0))),
            (Indicator::SlowerThan { seconds: 0.5 }, Ok((10.0, 100.0))),
            (
                Indicator::BadRatio { bad: metric("depth"), total: metric("orders") },
                Err(NotACounter("depth".into())),
            ),
        ];
        for (indicator, expected) in cases {
            let got = config(indicator.clone()).count(&series()).map(|(e, _)| (e.bad, e.total));
            assert_eq!(got, expected, "{indicator:?}");
        }
    }
}

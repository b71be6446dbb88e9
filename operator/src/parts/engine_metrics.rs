//! Metrics of the engine, read from it whenever somebody asks.

use std::fmt;
use std::sync::Arc;

use causeway_engine::Forecasting;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::engine_host::EngineHost;

/// Reads the engine.
pub(crate) struct EngineCollector(pub(crate) Arc<EngineHost>);

impl fmt::Debug for EngineCollector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("EngineCollector")
    }
}

impl Collector for EngineCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (counts, learned, Forecasting { graded, brier }) =
            self.0.read(|engine| (engine.counts(), engine.learned(), engine.forecasting()));
        let counters = [
            ("engine_windows", "Windows evaluated", counts.windows),
            (
                "engine_late_partials",
                "Aggregates that came after their window was evaluated",
                counts.late_partials,
            ),
            ("engine_series_refused", "Series ignored because the limit was reached", counts.series_refused),
            ("engine_rankings", "Rankings of causes made", counts.rankings),
            ("engine_crossings_unforeseen", "Crossings that no prediction foretold", graded.unforeseen),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        let mut family = encoder.encode_descriptor(
            "engine_predictions",
            "Graded predictions",
            None,
            MetricType::Counter,
        )?;
        let grades = [
            ("hit", graded.hits),
            ("miss", graded.misses),
            ("prevented", graded.prevented),
            ("unknown", graded.unknown),
        ];
        for (grade, value) in grades {
            ConstCounter::new(value).encode(family.encode_family(&[("grade", grade)])?)?;
        }
        let help = "Measured intervals of what repairs were foretold to do, of the Remediations that are kept; four of five should hold";
        let mut family =
            encoder.encode_descriptor("engine_effect_intervals", help, None, MetricType::Gauge)?;
        let (held, missed) = self.0.effects();
        for (grade, value) in [("held", held), ("missed", missed)] {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(family.encode_family(&[("grade", grade)])?)?;
        }
        let gauges = [
            ("engine_detectors", "Golden signals with a detector", learned.baselines),
            ("engine_detectors_ready", "Golden signals with a band", learned.baselines_ready),
            ("engine_metric_series", "Metric series of the last hour", learned.metrics),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        // Absent before anything was graded.
        if let Some(brier) = brier {
            let help = "Mean squared error of the probabilities of predictions: 0 is perfect, 0.25 what always saying a half gets";
            let gauge = ConstGauge::new(brier);
            gauge.encode(encoder.encode_descriptor(
                "engine_prediction_brier",
                help,
                None,
                MetricType::Gauge,
            )?)?;
        }
        Ok(())
    }
}

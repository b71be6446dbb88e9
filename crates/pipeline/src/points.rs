//! Metric points → series: cumulative sums and histograms become what was added since the last point.

use std::fmt::Write as _;

use ahash::AHashMap;
use arrow_array::{Array, MapArray, StringArray};
use causeway_model::{BatchError, MetricBatch, MetricRows, Micros, SeriesId, SeriesKind};

use crate::aggregate::Aggregator;
use crate::templates::Interner;

pub(crate) fn aggregate(
    batch: &MetricBatch,
    aggregator: &mut Aggregator,
    names: &mut Interner,
    now_us: Micros,
) -> Result<(), BatchError> {
    let rows = MetricRows::new(batch)?;
    let mut group = String::new();
    for i in 0..batch.len() {
        attribute_group(rows.attributes, i, &mut group);
        let id = SeriesId {
            entity: names.get(rows.service.value(i)),
            signal: names.get(rows.name.value(i)),
            group: names.get(&group),
        };
        let (kind, value, weight) = match rows.kind.value(i) {
            "gauge" => {
                if rows.value.is_null(i) {
                    continue;
                }
                (SeriesKind::Gauge, rows.value.value(i), 1.0)
            }
            "sum" => {
                if rows.value.is_null(i) {
                    continue;
                }
                let value = rows.value.value(i);
                if !rows.monotonic.value(i) {
                    (SeriesKind::Gauge, value, 1.0)
                } else if rows.delta.value(i) {
                    (SeriesKind::Count, value, 1.0)
                } else {
                    let Some((added, _)) = since_last(&mut aggregator.totals, &id, value, 0.0) else {
                        continue;
                    };
                    (SeriesKind::Count, added, 1.0)
                }
            }
            _ => {
                if rows.count.is_null(i) || rows.sum.is_null(i) {
                    continue;
                }
                let (count, sum) = (rows.count.value(i) as f64, rows.sum.value(i));
                let added = if rows.delta.value(i) {
                    Some((count, sum))
                } else {
                    since_last(&mut aggregator.totals, &id, count, sum)
                };
                match added {
                    Some((count, sum)) if count > 0.0 => (SeriesKind::Latency, sum / count, count),
                    _ => continue,
                }
            }
        };
        if !value.is_finite() {
            continue;
        }
        let Some(window) = aggregator.window(rows.time.value(i), now_us) else { continue };
        let partial = window.series.entry(id).or_default();
        partial.kind = kind;
        partial.add(rows.time.value(i), value);
        if weight > 1.0 {
            partial.count += weight as u64 - 1;
            partial.sum += value * (weight - 1.0);
        }
    }
    Ok(())
}

/// What a cumulative pair grew by since its last point; a fall is a restart from zero. `None` at first sight.
fn since_last(
    totals: &mut AHashMap<SeriesId, (f64, f64)>,
    id: &SeriesId,
    first: f64,
    second: f64,
) -> Option<(f64, f64)> {
    let old = totals.insert(id.clone(), (first, second))?;
    Some(if first < old.0 { (first, second) } else { (first - old.0, second - old.1) })
}

/// Attributes as sorted `key=value` pairs, so that the order on the wire does not make another series.
fn attribute_group(map: &MapArray, row: usize, out: &mut String) {
    out.clear();
    let entry = map.value(row);
    let (Some(keys), Some(values)) = (
        entry.column(0).as_any().downcast_ref::<StringArray>(),
        entry.column(1).as_any().downcast_ref::<StringArray>(),
    ) else {
        return;
    };
    let mut pairs: Vec<(&str, &str)> =
        (0..keys.len()).filter(|i| values.is_valid(*i)).map(|i| (keys.value(i), values.value(i))).collect();
    pairs.sort_unstable();
    for (index, (key, value)) in pairs.iter().enumerate() {
        // Writing to a String can't fail.
        let _infallible = write!(out, "{}{key}={value}", if index == 0 { "" } else { "," });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AggregatorConfig;
    use causeway_model::{MetricBuilder, MetricKind, MetricRow, SourceRef};

    #[test]
    fn cumulative_sums_become_what_was_added_and_survive_a_reset() {
        let source = SourceRef { namespace: "n".into(), name: "s".into() };
        let mut aggregator = Aggregator::new(source, AggregatorConfig::default());
        let mut names = Interner::default();
        let mut b = MetricBuilder::default();
        for (t, v) in [(0, 10.0), (1, 14.0), (2, 3.0)] {
            b.append(&MetricRow {
                time_us: t,
                service: "web",
                name: "hits",
                kind: MetricKind::Sum,
                monotonic: true,
                value: Some(v),
                attributes: &[("b", "2"), ("a", "1")],
                ..MetricRow::default()
            })
            .unwrap();
        }
        aggregate(&b.finish().unwrap(), &mut aggregator, &mut names, 100).unwrap();
        let partials = aggregator.close(i64::MAX / 2);
        let (id, partial) = &partials[0].series[0];
        assert_eq!(id.group.as_ref(), "a=1,b=2");
        assert_eq!((partial.kind, partial.sum), (SeriesKind::Count, 7.0));
    }
}

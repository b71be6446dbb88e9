//! Logs → template counts and error counts of every service.

use std::sync::Arc;

use arrow_array::Array;
use causeway_model::{BatchError, LogBatch, LogRows, LogSample, Micros, SeriesId, SeriesKind, TemplateCount};

use crate::aggregate::Aggregator;
use crate::templates::Interner;

/// Characters of a message kept as an example.
const SAMPLE: usize = 500;
/// OpenTelemetry severity numbers from here on are errors.
const ERROR: i32 = 17;

pub(crate) fn aggregate(
    batch: &LogBatch,
    templates: &[u64],
    aggregator: &mut Aggregator,
    names: &mut Interner,
    now_us: Micros,
) -> Result<(), BatchError> {
    let rows = LogRows::new(batch)?;
    for (i, template) in templates.iter().enumerate().take(batch.len()) {
        let time_us = rows.time.value(i);
        let Some(window) = aggregator.window(time_us, now_us) else { continue };
        let service = names.get(rows.service.value(i));
        let severity = rows.severity_number.value(i);
        for (signal, counts) in [("log.records", true), ("log.errors", severity >= ERROR)] {
            let id =
                SeriesId { entity: Arc::clone(&service), signal: names.get(signal), group: names.get("") };
            let partial = window.series.entry(id).or_default();
            partial.kind = SeriesKind::Count;
            if counts {
                partial.add(time_us, 1.0);
            }
        }
        let entry =
            window.templates.entry((Arc::clone(&service), *template)).or_insert_with(|| TemplateCount {
                service,
                template: *template,
                severity,
                count: 0,
                first: LogSample {
                    time_us,
                    body: rows.body.value(i).chars().take(SAMPLE).collect::<String>().into(),
                    trace_id: if rows.trace_id.is_null(i) {
                        "".into()
                    } else {
                        rows.trace_id.value(i).into()
                    },
                },
            });
        entry.count += 1;
        entry.severity = entry.severity.max(severity);
    }
    Ok(())
}

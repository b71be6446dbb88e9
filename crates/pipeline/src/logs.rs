//! Logs → template counts and error counts of every service, and whom it calls where a record says so.

use std::sync::Arc;

use arrow_array::Array;
use causeway_model::{
    BatchError, LogBatch, LogRows, LogSample, Micros, SeriesId, SeriesKind, TemplateCount, map_get,
};

use crate::aggregate::Aggregator;
use crate::templates::Interner;

/// Characters of a message kept as an example.
const SAMPLE: usize = 500;
/// OpenTelemetry severity numbers from here on are errors.
const ERROR: i32 = 17;
/// Attributes of records that say whom a service called: that of OpenTelemetry, and those of access logs of proxies (Envoy,
/// nginx). Others, such as `server.address`, name the service itself as often.
const CALLED: [&str; 4] = ["peer.service", "upstream_cluster", "upstream_addr", "upstream_host"];
/// Longest name of a host (RFC 1035).
const HOST: usize = 253;

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
        if let Some(group) = called(|key| map_get(rows.attributes, i, key)) {
            let id = SeriesId {
                entity: Arc::clone(&service),
                signal: names.get("log.client.calls"),
                group: names.get(&group),
            };
            let partial = window.series.entry(id).or_default();
            partial.kind = SeriesKind::Count;
            partial.add(time_us, 1.0);
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

/// Whom a record says was called, as a label: `peer.service=NAME`, or `server.address=` with a host or an address.
fn called<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
    let (key, value) = CALLED.iter().find_map(|key| {
        let value = get(key).map(str::trim).filter(|value| !value.is_empty() && *value != "-")?;
        Some((*key, value))
    })?;
    if key == "peer.service" {
        return (value.len() <= HOST).then(|| format!("peer.service={value}"));
    }
    // The one that answered, of those that were tried; `outbound|80||web.shop.svc.cluster.local` of a mesh.
    let last = value.rsplit([',', '|', ' ']).next().unwrap_or(value);
    let host = match last.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => last,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_host = |b: u8| b.is_ascii_alphanumeric() || b".-_:".contains(&b);
    let is_fine = !host.is_empty() && host.len() <= HOST && host.bytes().all(is_host);
    is_fine.then(|| format!("server.address={host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_say_whom_was_called() {
        for (key, value, expected) in [
            ("peer.service", "payment", Some("peer.service=payment")),
            ("upstream_addr", "10.0.3.7:8080", Some("server.address=10.0.3.7")),
            ("upstream_addr", "10.0.3.7:8080, 10.0.3.9:8080", Some("server.address=10.0.3.9")),
            ("upstream_host", "[fd00::7]:443", Some("server.address=fd00::7")),
            (
                "upstream_cluster",
                "outbound|80||web.shop.svc.cluster.local",
                Some("server.address=web.shop.svc.cluster.local"),
            ),
            ("upstream_addr", "-", None),
            ("upstream_addr", "unix:/run/app.sock", None),
            ("server.address", "me.example", None),
        ] {
            let found = called(|asked| (asked == key).then_some(value));
            assert_eq!(found.as_deref(), expected, "{key}={value}");
        }
    }
}

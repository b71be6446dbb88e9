//! States that metrics show: certificates that run out, disks that fill, queues that grow. Metric names of OpenTelemetry, of Prometheus'
//! node, kubelet, blackbox and x509 exporters, and of cert-manager.

use std::collections::BTreeMap;

use causeway_causal::state::StateKind;
use causeway_causal::wording::quantity;
use causeway_model::{Micros, SeriesId, rfc3339};

use crate::case::MetricHistory;
use crate::history::History;
use crate::state::State;

pub(crate) const MINUTE_US: i64 = 60_000_000;
/// A certificate that ends within this time is told.
const EXPIRES_S: f64 = 7.0 * 86_400.0;
/// A disk that is this full is told, however slowly it fills.
const FULL: f64 = 0.95;
/// From this share on it is told when it will be full within [`SOON_MIN`].
const FILLED: f64 = 0.7;
/// Minutes.
const SOON_MIN: f64 = 240.0;
/// Minutes with a value that a trend needs.
const TREND: usize = 20;
/// What was open stays open until it is better by this share of the disk, or this many seconds of a certificate.
const SLACK: f64 = 0.02;
const SLACK_S: f64 = 3_600.0;

/// What is wrong at data time `at_us`. `open` says whether a state was wrong before: it has to be better by some slack to
/// be over. Cost: linear in series that have such a name, and the minutes of their history.
pub(crate) fn states(
    metrics: &MetricHistory,
    at_us: Micros,
    tenant: &dyn Fn(&str) -> String,
    open: &dyn Fn(&State) -> bool,
) -> Vec<State> {
    let mut found = Vec::new();
    for (id, history) in metrics {
        if is_expiry(&id.signal) {
            found.extend(expiry(id, history, at_us, tenant, open));
        }
    }
    for ((entity, volume), used) in shares(metrics) {
        found.extend(filling(&entity, &volume, &used, at_us, tenant, open));
    }
    found.extend(crate::backlog::states(metrics, at_us, tenant, open));
    found
}

pub(crate) fn state(
    tenant: &dyn Fn(&str) -> String,
    entity: &str,
    kind: StateKind,
    object: &str,
    value: f64,
) -> State {
    State {
        namespace: tenant(entity),
        entity: entity.to_owned(),
        kind,
        object: object.to_owned(),
        note: String::new(),
        value,
    }
}

/// Names such as `x509_cert_not_after`, `probe_ssl_earliest_cert_expiry`,
/// `certmanager_certificate_expiration_timestamp_seconds`, `tls.server.certificate.expiry`.
fn is_expiry(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    (name.contains("cert") || name.contains("ssl") || name.contains("tls") || name.contains("x509"))
        && ["expir", "not_after", "notafter", "not.after", "valid_until"]
            .iter()
            .any(|word| name.contains(word))
        && !name.contains("error")
}

fn expiry(
    id: &SeriesId,
    history: &History,
    at_us: Micros,
    tenant: &dyn Fn(&str) -> String,
    open: &dyn Fn(&State) -> bool,
) -> Option<State> {
    let value = history.newest()?;
    let now_s = at_us as f64 / 1e6;
    // Either the moment of the end, or the time that is left: in days where the name says so.
    let left_s = if value > 1e8 {
        value - now_s
    } else if id.signal.contains("day") {
        value * 86_400.0
    } else {
        value
    };
    let name = if id.group.is_empty() { "" } else { id.group.as_ref() };
    let mut found = state(tenant, &id.entity, StateKind::CertificateExpiry, &certificate(id), left_s);
    if left_s > if open(&found) { EXPIRES_S + SLACK_S } else { EXPIRES_S } {
        return None;
    }
    let whose = if name.is_empty() { String::new() } else { format!(" ({name})") };
    let end = rfc3339(((now_s + left_s) * 1e6) as i64);
    found.note = if left_s <= 0.0 {
        format!("the certificate{whose} of {} ended at {end}", id.entity)
    } else {
        // Steps of a day, so that the sentence stays while the time runs.
        format!(
            "the certificate{whose} of {} ends at {end}, within {:.0} days",
            id.entity,
            (left_s / 86_400.0).ceil()
        )
    };
    Some(found)
}

fn certificate(id: &SeriesId) -> String {
    if id.group.is_empty() { "Certificate".to_owned() } else { format!("Certificate/{}", id.group) }
}

/// Values by the start of their minute, Unix microseconds.
type ByMinute = BTreeMap<i64, f64>;

/// Used share of each volume by minute, from a share itself or from two of used, free and size.
fn shares(metrics: &MetricHistory) -> BTreeMap<(String, String), ByMinute> {
    let mut parts: BTreeMap<(String, String), [Option<ByMinute>; 3]> = BTreeMap::new();
    let mut out = BTreeMap::new();
    for (id, history) in metrics {
        let Some(part) = part_of(&id.signal, &id.group) else { continue };
        let key = (id.entity.to_string(), volume(&id.group));
        let values = history.by_minute(MINUTE_US);
        match part {
            Part::Share => {
                out.insert(key, values);
            }
            Part::Used => parts.entry(key).or_default()[0] = Some(values),
            Part::Free => parts.entry(key).or_default()[1] = Some(values),
            Part::Size => parts.entry(key).or_default()[2] = Some(values),
        }
    }
    for (key, part) in parts {
        let (first, second, share): (_, _, fn(f64, f64) -> f64) = match part {
            [Some(used), _, Some(size)] => (used, size, |used, size| used / size),
            [_, Some(free), Some(size)] => (free, size, |free, size| 1.0 - free / size),
            [Some(used), Some(free), _] => (used, free, |used, free| used / (used + free)),
            _ => continue,
        };
        let both = first.iter().filter_map(|(minute, a)| Some((*minute, share(*a, *second.get(minute)?))));
        let values: BTreeMap<i64, f64> = both.filter(|(_, share)| share.is_finite()).collect();
        out.entry(key).or_insert(values);
    }
    out
}

#[derive(Clone, Copy)]
enum Part {
    Share,
    Used,
    Free,
    Size,
}

fn part_of(name: &str, group: &str) -> Option<Part> {
    // Those of nobody's data: they are always full, or hold memory.
    if ["tmpfs", "overlay", "squashfs", "iso9660", "devtmpfs"].iter().any(|kind| group.contains(kind)) {
        return None;
    }
    Some(match name {
        "system.filesystem.utilization" => match group {
            _ if group.contains("state=free") || group.contains("state=reserved") => return None,
            _ => Part::Share,
        },
        "system.filesystem.usage" if group.contains("state=used") => Part::Used,
        "system.filesystem.usage" if group.contains("state=free") => Part::Free,
        "k8s.volume.capacity" | "k8s.node.filesystem.capacity" | "k8s.pod.filesystem.capacity" => Part::Size,
        "k8s.volume.available" | "k8s.node.filesystem.available" | "k8s.pod.filesystem.available" => {
            Part::Free
        }
        "node_filesystem_avail_bytes" | "kubelet_volume_stats_available_bytes" => Part::Free,
        "node_filesystem_size_bytes" | "kubelet_volume_stats_capacity_bytes" => Part::Size,
        _ => return None,
    })
}

/// The attributes that name a volume, without the state of its bytes.
fn volume(group: &str) -> String {
    let parts = group.split(',').filter(|pair| !pair.starts_with("state=") && !pair.is_empty());
    parts.collect::<Vec<_>>().join(",")
}

fn filling(
    entity: &str,
    volume: &str,
    used: &BTreeMap<i64, f64>,
    at_us: Micros,
    tenant: &dyn Fn(&str) -> String,
    open: &dyn Fn(&State) -> bool,
) -> Option<State> {
    let (newest, now) = used.last_key_value().map(|(minute, share)| (*minute, *share))?;
    let object = if volume.is_empty() { "Disk".to_owned() } else { format!("Disk/{volume}") };
    let mut found = state(tenant, entity, StateKind::DiskFilling, &object, now);
    let slack = if open(&found) { SLACK } else { 0.0 };
    let left = trend(used).filter(|slope| *slope > 1e-6).map(|slope| (1.0 - now) / slope);
    let soon = left.filter(|minutes| *minutes <= SOON_MIN * (1.0 + 10.0 * slack));
    let (share, whose) =
        (quantity(now, "ratio"), if volume.is_empty() { String::new() } else { format!(" ({volume})") });
    if now >= FULL - slack {
        found.note = format!("the disk{whose} of {entity} is {share} full");
    } else if let (Some(minutes), true) = (soon, now >= FILLED - slack) {
        let full = rfc3339(newest * MINUTE_US + (minutes * MINUTE_US as f64) as i64);
        found.note =
            format!("the disk{whose} of {entity} is {share} full, and full by {full} as it fills now");
    } else {
        return None;
    }
    // What reports nothing any more says nothing.
    (at_us - newest * MINUTE_US <= 15 * MINUTE_US).then_some(found)
}

/// Share a minute by the median of the slopes between points half the history apart (Theil-Sen on disjoint pairs), so
/// that a single clean-up or burst does not count; `None` with too little history. The later half has to agree, so that
/// what has stopped filling is not foretold.
fn trend(used: &BTreeMap<i64, f64>) -> Option<f64> {
    let points: Vec<(f64, f64)> = used.iter().map(|(minute, share)| (*minute as f64, *share)).collect();
    if points.len() < TREND {
        return None;
    }
    let whole = slope(&points)?;
    let recent = slope(points.get(points.len() / 2..)?)?;
    Some(whole.min(recent))
}

fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let half = points.len() / 2;
    let mut slopes: Vec<f64> = (0..half)
        .filter_map(|at| Some((points.get(at)?, points.get(at + half)?)))
        .map(|(a, b)| (b.1 - a.1) / (b.0 - a.0))
        .collect();
    slopes.sort_by(f64::total_cmp);
    slopes.get(slopes.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use causeway_model::{SeriesKind, SeriesPartial, Window};

    use super::*;

    fn history(values: &[(i64, f64)]) -> History {
        let mut history = History::new(SeriesKind::Gauge);
        for (minute, value) in values {
            let start_us = minute * MINUTE_US;
            let mut partial = SeriesPartial::default();
            partial.add(start_us, *value);
            history.push(Window { start_us, end_us: start_us + MINUTE_US }, &partial, 3_600_000_000);
        }
        history
    }

    fn found(series: &[(&str, &str, History)], minute: i64) -> Vec<(StateKind, String, String)> {
        let metrics: MetricHistory = series
            .iter()
            .map(|(name, group, history)| {
                let id =
                    SeriesId { entity: "shop/db".into(), signal: (*name).into(), group: (*group).into() };
                (id, history.clone())
            })
            .collect();
        states(&metrics, minute * MINUTE_US, &|_| "shop".to_owned(), &|_| false)
            .into_iter()
            .map(|s| (s.kind, s.object, s.note))
            .collect()
    }

    #[test]
    fn certificates_that_run_out() {
        let now_s = 1_000_000.0 * 60.0;
        let at = |left: f64| history(&[(1_000_000, now_s + left)]);
        for name in [
            "x509_cert_not_after",
            "probe_ssl_earliest_cert_expiry",
            "certmanager_certificate_expiration_timestamp_seconds",
        ] {
            // The moment itself is only told apart from a rest when it is far from zero: use a real one.
            let real = 28_000_000;
            let moment = history(&[(real, real as f64 * 60.0 + 2.0 * 86_400.0)]);
            assert_eq!(
                found(&[(name, "cn=shop", moment)], real),
                [(
                    StateKind::CertificateExpiry,
                    "Certificate/cn=shop".to_owned(),
                    "the certificate (cn=shop) of shop/db ends at 2023-03-30T10:40:00Z, within 2 days"
                        .to_owned()
                )]
            );
        }
        assert!(found(&[("x509_cert_not_after", "", at(200.0 * 86_400.0))], 1_000_000).is_empty());
        assert_eq!(found(&[("tls.cert.expiry_days", "", history(&[(1_000_000, 3.0)]))], 1_000_000).len(), 1);
        assert!(found(&[("tls.cert.expiry_days", "", history(&[(1_000_000, 30.0)]))], 1_000_000).is_empty());
        assert!(found(&[("session_expiry_seconds", "", history(&[(1_000_000, 3.0)]))], 1_000_000).is_empty());
    }

    #[test]
    fn disks_that_fill() {
        let line = |from: f64, by: f64| {
            let values: Vec<(i64, f64)> = (0..40).map(|m| (m, from + by * m as f64)).collect();
            history(&values)
        };
        let share = |h: History| found(&[("system.filesystem.utilization", "mountpoint=/data", h)], 40);
        assert!(share(line(0.5, 0.0001)).is_empty(), "far from full");
        assert!(share(line(0.8, 0.0)).is_empty(), "full enough, but it does not fill");
        let filling = share(line(0.72, 0.002));
        assert_eq!(filling.len(), 1, "80 % and full in less than two hours");
        assert!(filling[0].2.contains("full by 1970-01-01T02:"), "{}", filling[0].2);
        assert_eq!(share(line(0.96, 0.0)).len(), 1);
        let stopped: Vec<(i64, f64)> =
            (0..40).map(|m| (m, if m < 18 { 0.4 + 0.02 * m as f64 } else { 0.76 })).collect();
        assert!(share(history(&stopped)).is_empty(), "it has stopped filling");
        let free = line(0.04e9, 0.0);
        let size = line(1e9, 0.0);
        let pair =
            found(&[("k8s.volume.available", "pvc=a", free), ("k8s.volume.capacity", "pvc=a", size)], 40);
        assert_eq!((pair.len(), pair[0].1.as_str()), (1, "Disk/pvc=a"));
    }
}

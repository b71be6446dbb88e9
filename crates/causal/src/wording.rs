//! Evidence as sentences for the person who is woken up: scaled units, digits enough to tell before from after, the direction,
//! and when it was first seen.

use crate::ranking::{Evidence, EvidenceKind};
use crate::text::{number, significant, time};

/// Unit of shares of an operation's runs, in percent.
pub(crate) const OF_RUNS: &str = "% of runs";
/// Unit of counts of log lines.
pub(crate) const LINES: &str = "lines";
/// Begin of the signal of a first bad line whose place in the source is known.
pub(crate) const FIRST_BAD: &str = "first bad line, from ";
/// A change below this part of the value is no movement worth a direction.
const HARDLY: f64 = 0.02;
/// The same for shares, in percentage points.
const HARDLY_POINTS: f64 = 0.1;
/// Most digits that are shown to tell two values apart.
const DIGITS: usize = 7;

/// A value in a unit of the signal table, scaled to where it reads best, with three significant digits: `46 ms`, `1.2 GiB`, `3 %`.
/// Cost: constant.
pub fn quantity(value: f64, unit: &str) -> String {
    shown(value, unit, value, 3)
}

/// Two values of a series as words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The value before, with its unit.
    pub before: String,
    /// The value after; never the same text as `before` where the values differ by more than a millionth.
    pub after: String,
    /// `rose`, `fell`, `hardly moved` or `stayed`.
    pub verb: &'static str,
    /// How much: `+25 %`, `9.2 times`, `-19.7 points`; empty where there is nothing to compare with.
    pub by: String,
}

impl Change {
    /// From the value before to the value after, both in `unit`. Cost: constant.
    pub fn new(before: f64, after: f64, unit: &str) -> Self {
        let larger = if before.abs() > after.abs() { before } else { after };
        let scale = |value: f64| if value == 0.0 { larger } else { value };
        let text = |value: f64, digits| shown(value, unit, scale(value), digits);
        let digits = (3..=DIGITS).find(|d| text(before, *d) != text(after, *d));
        let Some(digits) = digits else {
            let same = text(after, 3);
            return Self { before: same.clone(), after: same, verb: "stayed", by: String::new() };
        };
        let moved = (after - before).abs();
        // A few percent of the requests are much, whatever the others do.
        let hardly = percents(unit).map_or(HARDLY * larger.abs(), |percent| HARDLY_POINTS / percent);
        let verb = match after > before {
            _ if moved < hardly => "hardly moved",
            true => "rose",
            false => "fell",
        };
        Self { before: text(before, digits), after: text(after, digits), verb, by: by(before, after, unit) }
    }

    /// Whether the value moved by enough to be told.
    pub fn is_movement(&self) -> bool {
        matches!(self.verb, "rose" | "fell")
    }

    /// `rose from 46 ms to 425 ms (9.2 times)`.
    pub fn phrase(&self) -> String {
        let by = if self.by.is_empty() { String::new() } else { format!(" ({})", self.by) };
        match self.verb {
            "stayed" => format!("stayed at {}", self.after),
            "hardly moved" => format!("hardly moved, from {} to {}{by}", self.before, self.after),
            verb => format!("{verb} from {} to {}{by}", self.before, self.after),
        }
    }
}

/// How many percents one of a unit of shares is.
fn percents(unit: &str) -> Option<f64> {
    match unit {
        "pct" | OF_RUNS => Some(1.0),
        "ratio" => Some(100.0),
        _ => None,
    }
}

fn by(before: f64, after: f64, unit: &str) -> String {
    let sign = if after > before { "+" } else { "-" };
    if let Some(percent) = percents(unit) {
        return format!("{sign}{} points", number((after - before).abs() * percent));
    }
    if before <= 0.0 || after <= 0.0 {
        return String::new();
    }
    let ratio = after / before;
    if ratio >= 2.0 {
        format!("{} times", number(ratio))
    } else {
        format!("{sign}{} %", number((ratio - 1.0).abs() * 100.0))
    }
}

/// A value with so many significant digits, in the scale that `like` reads best in.
fn shown(value: f64, unit: &str, like: f64, digits: usize) -> String {
    if !value.is_finite() {
        return "unknown".to_owned();
    }
    let (factor, name) = scale(like.abs(), unit);
    let text = significant(value * factor, digits);
    if name.is_empty() { text } else { format!("{text} {name}") }
}

/// Factor and name of the unit in which a size reads best.
fn scale(size: f64, unit: &str) -> (f64, &str) {
    const TIMES: [(f64, &str); 6] =
        [(7200.0, "h"), (300.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (0.0, "ns")];
    const BYTES: [(f64, &str); 5] = [
        (1_099_511_627_776.0, "TiB"),
        (1_073_741_824.0, "GiB"),
        (1_048_576.0, "MiB"),
        (1024.0, "KiB"),
        (0.0, "B"),
    ];
    let seconds = match unit {
        "s" => 1.0,
        "ms" => 1e-3,
        "us" => 1e-6,
        "ns" => 1e-9,
        _ => 0.0,
    };
    let bytes = match unit {
        "bytes" => 1.0,
        "mib" => 1_048_576.0,
        _ => 0.0,
    };
    let largest = |base: f64, names: &[(f64, &'static str)]| {
        names.iter().find(|(least, _)| size * base >= *least).map_or("", |(_, name)| *name)
    };
    if seconds > 0.0 {
        let name = if size == 0.0 { "s" } else { largest(seconds, &TIMES) };
        let length = match name {
            "h" => 3600.0,
            "min" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "µs" => 1e-6,
            _ => 1e-9,
        };
        return (seconds / length, name);
    }
    if bytes > 0.0 {
        let name = largest(bytes, &BYTES);
        let length = BYTES.iter().find(|b| b.1 == name).map_or(1.0, |b| b.0.max(1.0));
        return (bytes / length, name);
    }
    match unit {
        "millicores" if size >= 1000.0 => (1e-3, "cores"),
        "cores" if size < 1.0 => (1e3, "millicores"),
        "ratio" => (100.0, "%"),
        "pct" | OF_RUNS => (1.0, "%"),
        "count" | LINES => (1.0, ""),
        other => (1.0, other),
    }
}

/// One sentence for one piece of evidence. Every figure in it is among [`figures`] or the fields of the evidence. Cost: linear in
/// the length of the text.
pub fn sentence(e: &Evidence) -> String {
    let note = e.note.trim_end_matches('.');
    let at = e.at_us.map(time);
    match (e.kind, e.baseline, e.observed) {
        (_, Some(before), Some(after)) if e.unit == OF_RUNS => {
            let change = Change::new(before, after, &e.unit);
            let runs = format!("({} of these runs, {} before)", change.after, change.before);
            let who = format!("{} of {}", e.signal, e.entity);
            // What is quoted comes last.
            match note.split_once(": ").filter(|_| e.kind == EvidenceKind::Log) {
                Some((does, line)) => format!("{who} {does} {runs}: {line}"),
                None => format!("{who} {note} {runs}."),
            }
        }
        (EvidenceKind::Log, Some(usual), Some(now)) => {
            let change = Change::new(usual, now, &e.unit);
            let (does, line) = note.split_once(": ").unwrap_or(("writes", note));
            format!("{} {does} ({} lines, usually {}): {line}", e.entity, change.after, change.before)
        }
        (EvidenceKind::Log, _, _) => {
            let at = at.map(|t| format!(" at {t}")).unwrap_or_default();
            let place = e.signal.strip_prefix(FIRST_BAD).map(|p| format!(", from {p}")).unwrap_or_default();
            format!("{} wrote its first bad line{at}{place}: {}", e.entity, e.note)
        }
        (EvidenceKind::Metric | EvidenceKind::Trace, Some(before), Some(after)) => {
            let seen = at.map(|t| format!(", first seen at {t}")).unwrap_or_default();
            let why = if note.is_empty() { String::new() } else { format!(": {note}") };
            let change = Change::new(before, after, &e.unit).phrase();
            let whose =
                if e.signal.contains(&e.entity) { String::new() } else { format!(" of {}", e.entity) };
            format!("{}{whose} {change}{seen}{why}.", signal(&e.signal))
        }
        (EvidenceKind::Change, _, _) => {
            let at = at.map(|t| format!(" at {t}")).unwrap_or_default();
            format!("{} changed{at}: {note}.", e.signal)
        }
        (EvidenceKind::State, _, _) => match at {
            Some(at) => format!("{note}, since {at}."),
            None => format!("{note}."),
        },
        (EvidenceKind::Metric, _, _) => match at {
            Some(at) => format!("{} of {} raised the alarm at {at}.", signal(&e.signal), e.entity),
            None => format!("{} of {} raised the alarm.", signal(&e.signal), e.entity),
        },
        _ => format!("{note}."),
    }
}

/// The figures that [`sentence`] derives from the values of the evidence.
pub(crate) fn figures(e: &Evidence) -> String {
    match (e.baseline, e.observed) {
        (Some(before), Some(after)) => {
            let change = Change::new(before, after, &e.unit);
            format!("{} {} {}", change.before, change.after, change.by)
        }
        (None, Some(value)) | (Some(value), None) => quantity(value, &e.unit),
        _ => String::new(),
    }
}

/// A metric and its statistic, without a statistic that only repeats the unit.
fn signal(text: &str) -> &str {
    const UNITS: [&str; 6] = ["pct", "mib", "millicores", "bytes", "ops", "count"];
    match text.rsplit_once(' ') {
        Some((metric, stat)) if UNITS.contains(&stat) => metric,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities() {
        for (value, unit, text) in [
            (0.046, "s", "46 ms"),
            (0.0000032, "s", "3.2 µs"),
            (1534.925, "ms", "1.53 s"),
            (600.0, "s", "10 min"),
            (10_800_000.0, "ms", "3 h"),
            (0.0, "s", "0 s"),
            (210.6875, "mib", "211 MiB"),
            (2048.0, "mib", "2 GiB"),
            (0.5, "mib", "512 KiB"),
            (28_138.757, "bytes", "27.5 KiB"),
            (0.0, "bytes", "0 B"),
            (460.2813, "millicores", "460 millicores"),
            (1250.0, "millicores", "1.25 cores"),
            (0.25, "cores", "250 millicores"),
            (1.0, "ratio", "100 %"),
            (0.0123, "ratio", "1.23 %"),
            (88.31499, "pct", "88.3 %"),
            (22.2222, OF_RUNS, "22.2 %"),
            (1234.6, "count", "1235"),
            (5.0, "widgets", "5 widgets"),
            (f64::NAN, "s", "unknown"),
        ] {
            assert_eq!(quantity(value, unit), text, "{value} {unit}");
        }
    }

    #[test]
    fn changes() {
        for (before, after, unit, text) in [
            (0.0046, 0.0046004, "s", "hardly moved, from 4.6 ms to 4.6004 ms (+0.0087 %)"),
            (0.197, 0.199, "s", "hardly moved, from 197 ms to 199 ms (+1.02 %)"),
            (0.046, 0.425, "s", "rose from 46 ms to 425 ms (9.24 times)"),
            (1.8361, 1534.925, "ms", "rose from 1.84 ms to 1.53 s (836 times)"),
            (100.0, 98.52, "pct", "fell from 100 % to 98.5 % (-1.48 points)"),
            (0.0001, 0.0002, "ratio", "hardly moved, from 0.01 % to 0.02 % (+0.01 points)"),
            (99.8, 80.1, "pct", "fell from 99.8 % to 80.1 % (-19.7 points)"),
            (1.0, 0.0, "ratio", "fell from 100 % to 0 % (-100 points)"),
            (0.0, 0.25, "s", "rose from 0 ms to 250 ms"),
            (34_707.0, 1375.6, "bytes", "fell from 33.9 KiB to 1.34 KiB (-96 %)"),
            (20.918, 21.977, "mib", "rose from 20.9 MiB to 22 MiB (+5.06 %)"),
            (100.0, 125.0, "count", "rose from 100 to 125 (+25 %)"),
            (5.0, 5.0, "s", "stayed at 5 s"),
            (0.0, 0.0, "count", "stayed at 0"),
        ] {
            assert_eq!(Change::new(before, after, unit).phrase(), text);
        }
    }

    fn evidence(
        kind: EvidenceKind,
        signal: &str,
        values: Option<(f64, f64)>,
        unit: &str,
        note: &str,
    ) -> Evidence {
        Evidence {
            kind,
            entity: "shop/cart".to_owned(),
            signal: signal.to_owned(),
            baseline: values.map(|v| v.0),
            observed: values.map(|v| v.1),
            unit: unit.to_owned(),
            at_us: Some(1_700_000_000_000_000),
            note: note.to_owned(),
        }
    }

    #[test]
    fn sentences() {
        use EvidenceKind::{Change, Log, Metric, Topology, Trace};
        for (evidence, text) in [
            (
                evidence(
                    Metric,
                    "latency p99",
                    Some((0.1, 0.6)),
                    "s",
                    "its own part is 90 % of the extra latency",
                ),
                "latency p99 of shop/cart rose from 100 ms to 600 ms (6 times), first seen at 2023-11-14T22:13:20Z: its own \
                 part is 90 % of the extra latency.",
            ),
            (
                evidence(Metric, "mem_usage mib", Some((20.0, 40.0)), "mib", ""),
                "mem_usage of shop/cart rose from 20 MiB to 40 MiB (2 times), first seen at 2023-11-14T22:13:20Z.",
            ),
            (
                evidence(Trace, "time on the link web -> shop/cart", Some((1.8, 900.0)), "ms", ""),
                "time on the link web -> shop/cart rose from 1.8 ms to 900 ms (500 times), first seen at 2023-11-14T22:13:20Z.",
            ),
            (
                evidence(Metric, "latency p99", None, "", "the symptom"),
                "latency p99 of shop/cart raised the alarm at 2023-11-14T22:13:20Z.",
            ),
            (
                evidence(Log, "Cart.get", Some((100.0, 0.0)), OF_RUNS, "no longer writes: INFO cart: read"),
                "Cart.get of shop/cart no longer writes (0 % of these runs, 100 % before): INFO cart: read",
            ),
            (
                evidence(Trace, "Cart.get", Some((100.0, 22.22)), OF_RUNS, "less often runs GET of redis"),
                "Cart.get of shop/cart less often runs GET of redis (22.2 % of these runs, 100 % before).",
            ),
            (
                evidence(Log, "log lines", Some((1.4, 12.0)), LINES, "writes more often: ERROR x"),
                "shop/cart writes more often (12 lines, usually 1.4): ERROR x",
            ),
            (
                evidence(Log, "first bad line", None, "", "ERROR out of range."),
                "shop/cart wrote its first bad line at 2023-11-14T22:13:20Z: ERROR out of range.",
            ),
            (
                evidence(Change, "ConfigMap/shop/rates", None, "", "data.NL: 0.21 -> 2.1 by ci-bot"),
                "ConfigMap/shop/rates changed at 2023-11-14T22:13:20Z: data.NL: 0.21 -> 2.1 by ci-bot.",
            ),
            (evidence(Topology, "path", None, "", "a -> b"), "a -> b."),
        ] {
            assert_eq!(sentence(&evidence), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn values_that_differ_read_differently(a in 1e-6f64..1e9, gain in 1e-4f64..1e3, unit in "(s|ms|bytes|mib|pct|ratio|count|)") {
            let change = Change::new(a, a * (1.0 + gain), &unit);
            proptest::prop_assert_ne!(&change.before, &change.after);
        }

        #[test]
        fn every_figure_of_a_sentence_is_found_again(a in -1e7f64..1e7, b in -1e7f64..1e7, unit in "(s|ms|bytes|mib|pct|ratio|millicores|% of runs|)") {
            let e = evidence(EvidenceKind::Metric, "latency p99", Some((a, b)), &unit, "");
            let facts = crate::text::facts(&e);
            for claim in crate::text::claims(&sentence(&e)) {
                proptest::prop_assert!(crate::text::contains_word(&facts, claim), "{claim} of {} in {facts}", sentence(&e));
            }
        }
    }
}

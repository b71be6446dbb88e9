//! The columns at the start of a raw log line, and what each looks like.

use crate::value::{date, digits, has_seconds, is_month, is_weekday};

/// What a leading column of a line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Date, time, epoch seconds or milliseconds, month or weekday.
    Time,
    /// A severity.
    Level,
    /// `[…]`, without a time in it.
    Bracket,
    /// Digits only.
    Number,
    /// A lone `-`, `---`, `:` or `|`.
    Dash,
    /// `logger:` or `program[pid]:`.
    Tag,
    /// A dotted name.
    Dotted,
    /// A name of letters.
    Name,
    /// Anything else.
    Other,
}

/// Extent of one column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Extent {
    /// What the column looks like.
    pub(crate) fn kind(self, line: &str) -> Kind {
        line.as_bytes().get(self.start..self.end).map_or(Kind::Other, kind)
    }

    /// Whether it is a `name:`, levels included.
    pub(crate) fn is_tag(self, line: &str) -> bool {
        line.as_bytes().get(self.start..self.end).is_some_and(is_tag)
    }

    /// Whether it is (part of) a date or time.
    pub(crate) fn is_time(self, line: &str) -> bool {
        let w = line.as_bytes().get(self.start..self.end).unwrap_or_default();
        if w.first() == Some(&b'[') { has_time(w) } else { is_time(w.strip_suffix(b",").unwrap_or(w)) }
    }
}

/// One column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unit {
    pub(crate) extent: Extent,
    pub(crate) kind: Kind,
    /// Blanks that follow.
    pub(crate) gap: usize,
}

/// Columns that a header may have.
pub(crate) const MAX_UNITS: usize = 16;

/// The column at or after `from`.
pub(crate) fn next(line: &str, from: usize) -> Option<Extent> {
    let b = line.as_bytes();
    let start = from + b.get(from..)?.iter().take_while(|c| c.is_ascii_whitespace()).count();
    if start >= b.len() {
        return None;
    }
    let end = match b[start] {
        b'[' => bracket_end(b, start),
        _ => None,
    };
    Some(Extent { start, end: end.unwrap_or_else(|| word_end(b, start)) })
}

/// The first columns of a line.
pub(crate) fn units(line: &str) -> Vec<Unit> {
    let mut all = Vec::with_capacity(MAX_UNITS);
    let mut at = 0;
    while all.len() < MAX_UNITS
        && let Some(extent) = next(line, at)
    {
        at = extent.end;
        let gap = line.as_bytes()[at..].iter().take_while(|c| c.is_ascii_whitespace()).count();
        all.push(Unit { extent, kind: extent.kind(line), gap });
    }
    all
}

fn word_end(b: &[u8], start: usize) -> usize {
    memchr::memchr2(b' ', b'\t', &b[start..]).map_or(b.len(), |n| start + n)
}

/// End of a balanced `[…]`, which must be short and be followed by a blank, a colon or the end.
fn bracket_end(b: &[u8], start: usize) -> Option<usize> {
    let mut depth = 0usize;
    for i in memchr::memchr2_iter(b'[', b']', &b[start..b.len().min(start + 256)]) {
        if b[start + i] == b'[' {
            depth += 1;
            continue;
        }
        depth -= 1;
        if depth == 0 {
            let close = start + i + 1;
            let end = close + usize::from(b.get(close) == Some(&b':'));
            return b.get(end).is_none_or(u8::is_ascii_whitespace).then_some(end);
        }
    }
    None
}

fn kind(w: &[u8]) -> Kind {
    let inner = w.strip_prefix(b"[").and_then(|t| t.strip_suffix(b"]").or_else(|| t.strip_suffix(b"]:")));
    if is_level(inner.unwrap_or(w)) {
        return Kind::Level;
    }
    if let Some(inner) = inner {
        return if has_time(inner) { Kind::Time } else { Kind::Bracket };
    }
    let bare = w.strip_suffix(b",").unwrap_or(w);
    if is_separator(w) {
        Kind::Dash
    } else if is_time(bare) {
        Kind::Time
    } else if bare.iter().all(u8::is_ascii_digit) && !bare.is_empty() {
        Kind::Number
    } else if is_tag(w) {
        Kind::Tag
    } else if w.iter().all(|c| c.is_ascii_alphabetic() || *c == b'_') {
        Kind::Name
    } else if w.contains(&b'.')
        && w.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'$' | b'-'))
        && w[0].is_ascii_alphabetic()
        && w[w.len() - 1] != b'.'
    {
        Kind::Dotted
    } else {
        Kind::Other
    }
}

fn is_level(w: &[u8]) -> bool {
    let w = w.strip_suffix(b":").or_else(|| w.strip_suffix(b",")).unwrap_or(w);
    if let [c] = w {
        return matches!(c, b'V' | b'D' | b'I' | b'W' | b'E' | b'F');
    }
    let mut upper = [0u8; 12];
    let Some(up) = upper.get_mut(..w.len()) else { return false };
    up.copy_from_slice(w);
    up.make_ascii_uppercase();
    matches!(
        &*up,
        b"TRACE"
            | b"DEBUG"
            | b"INFO"
            | b"INFORMATION"
            | b"NOTICE"
            | b"WARN"
            | b"WARNING"
            | b"ERROR"
            | b"ERR"
            | b"CRIT"
            | b"CRITICAL"
            | b"ALERT"
            | b"EMERG"
            | b"EMERGENCY"
            | b"FATAL"
            | b"SEVERE"
            | b"FAILURE"
            | b"PANIC"
            | b"FINE"
            | b"FINER"
            | b"FINEST"
            | b"CONFIG"
            | b"VERBOSE"
            | b"DBG"
            | b"INF"
            | b"WRN"
            | b"FTL"
    )
}

fn is_time(w: &[u8]) -> bool {
    is_month(w) || is_weekday(w) || is_epoch(w) || date(w) > 0 || is_short_date(w) || has_time(w)
}

/// `03-17` or `17/03`, as Android and some servers write the day.
fn is_short_date(w: &[u8]) -> bool {
    w.len() == 5 && digits(w) == 2 && matches!(w[2], b'-' | b'/') && digits(&w[3..]) == 2
}

/// Unix time in seconds (from 2001 on) or milliseconds, with or without a fraction.
fn is_epoch(w: &[u8]) -> bool {
    let d = digits(w);
    if d == 0 {
        return false;
    }
    let whole = d == w.len() || (w[d] == b'.' && d == 10 && digits(&w[d + 1..]) == w.len() - d - 1);
    whole && w[0] == b'1' && (d == 10 || d == 13) || (whole && d == 9 && w[0] == b'9')
}

/// A time of day with seconds anywhere in the text (`10:11:12`, or `15.42.50.675872`).
fn has_time(w: &[u8]) -> bool {
    let seconds = memchr::memchr_iter(b':', w).take(4).any(|colon| {
        let hour = w[..colon].iter().rev().take(2).take_while(|c| c.is_ascii_digit()).count();
        hour > 0 && has_seconds(&w[colon - hour..])
    });
    seconds || (date(w.get(..10).unwrap_or_default()) == 10 && w.len() > 10)
}

/// Punctuation that stands alone between columns.
pub(crate) fn is_separator(w: &[u8]) -> bool {
    (1..=3).contains(&w.len()) && w.iter().all(|c| matches!(c, b'-' | b':' | b'|'))
}

/// `file.go:12]`, as klog and glog write it.
fn is_origin(w: &[u8]) -> bool {
    let Some(line) = w.strip_suffix(b"]").and_then(|t| Some(&t[memchr::memrchr(b':', t)? + 1..])) else {
        return false;
    };
    w[0].is_ascii_alphabetic() && !line.is_empty() && line.iter().all(u8::is_ascii_digit)
}

/// `name:` where the name may carry a process id, a path, a class or a facility.
fn is_tag(w: &[u8]) -> bool {
    let Some(name) = w.strip_suffix(b":") else { return is_origin(w) };
    let allowed = |c: &u8| {
        c.is_ascii_alphanumeric()
            || matches!(c, b'.' | b'_' | b'-' | b'$' | b'/' | b'(' | b')' | b'[' | b']' | b'#' | b'@')
    };
    name.len() <= 96 && name.iter().all(allowed) && name.iter().any(u8::is_ascii_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        for (line, want) in [
            (
                "2015-10-18 18:01:47,978 INFO [main] a.b.C: x",
                vec![Kind::Time, Kind::Time, Kind::Level, Kind::Bracket, Kind::Tag, Kind::Name],
            ),
            ("[Sun Dec 04 04:47:44 2005] [notice] x", vec![Kind::Time, Kind::Level, Kind::Name]),
            ("- 1117838570 2005.06.03 R02-M1", vec![Kind::Dash, Kind::Time, Kind::Time, Kind::Other]),
            ("2005-06-03-15.42.50.675872 nova.api.x", vec![Kind::Time, Kind::Dotted]),
            (
                "03-17 16:13:38.811 1702 D Tag:",
                vec![Kind::Time, Kind::Time, Kind::Number, Kind::Level, Kind::Tag],
            ),
            ("sshd(pam_unix)[19939]: x 10.0.0.1", vec![Kind::Tag, Kind::Name, Kind::Other]),
            ("20171223-22:15:29:606", vec![Kind::Time]),
            ("[a[b=1]/0:0:C@7] - ok", vec![Kind::Bracket, Kind::Dash, Kind::Name]),
        ] {
            assert_eq!(units(line).iter().map(|u| u.kind).collect::<Vec<_>>(), want, "{line}");
        }
    }
}

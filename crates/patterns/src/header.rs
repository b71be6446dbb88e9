//! Finds the header of a stream's raw lines (time, level, thread, logger) and takes it off.
//!
//! A header is what nearly every line of a stream has in the same column. The layout is fitted to a
//! sample of lines; no product, format name or column name is known to it. Cost: O(lines × 16) to fit,
//! O(header) to strip.

use serde::{Deserialize, Serialize};

use crate::units::{Extent, Kind, Unit, is_separator, next, units};

/// Share of lines that must agree on a time or a level for their column to be part of the header.
const AGREE: f64 = 0.9;
/// The same for columns that messages could also begin with: brackets, numbers, names.
const SURE: f64 = 0.95;
/// The same for tags, which some lines of a syslog lack.
const TAGGED: f64 = 0.8;
/// Columns of any kind that may stand between two columns that agree (host, facility).
const MAX_GAP: usize = 3;
/// Lines before which only times, levels, tags and brackets are believed.
const FEW: usize = 8;

/// How the lines of one stream begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Columns separated by blanks.
    Columns(Vec<Column>),
    /// Fields, each closed by a separator without blanks: `time|thread|message`, `LEVEL:logger:message`.
    Fields {
        /// What closes a field: `|` or `:`.
        separator: char,
        /// Number of fields before the message, at least 1.
        count: usize,
    },
}

/// What is expected in one column of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Column {
    /// Part of a date or time; a line without it has no header.
    Time,
    /// A severity.
    Level,
    /// One column, whatever it holds.
    Any,
    /// `[…]`, if there.
    Bracket,
    /// `-`, `---`, `:` or `|`, if there.
    Dash,
    /// `logger:` or `program[pid]:`, if there.
    Tag,
    /// Everything up to a lone `-`, `:` or `|`, if one is near.
    UntilDash,
}

/// A line without its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stripped<'a> {
    /// The header; empty where the line has none.
    pub header: &'a str,
    /// The message.
    pub body: &'a str,
}

impl Layout {
    /// Fits a layout to sample lines of one stream; `None` if they have no header in common.
    #[must_use]
    pub fn fit<'a>(lines: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let lines: Vec<&str> = lines.into_iter().filter(|l| !l.trim().is_empty()).collect();
        if lines.is_empty() {
            return None;
        }
        fields(&lines, '|', 6).or_else(|| fields(&lines, ':', 2)).or_else(|| {
            let rows: Vec<Vec<Unit>> = lines.iter().map(|l| units(l)).collect();
            Fit { lines: &lines, rows: &rows }.columns().map(Self::Columns)
        })
    }

    /// Splits a line into header and message; a line of another form is all message.
    #[must_use]
    pub fn strip<'a>(&self, line: &'a str) -> Stripped<'a> {
        let at = match self {
            Self::Columns(columns) => strip_columns(columns, line),
            Self::Fields { separator, count } => line
                .match_indices(*separator)
                .nth(count.saturating_sub(1))
                .map(|(p, _)| p + separator.len_utf8()),
        };
        let at = at.unwrap_or(0);
        let (header, body) = line.split_at_checked(at).unwrap_or(("", line));
        Stripped { header, body: body.trim_ascii_start() }
    }
}

fn strip_columns(columns: &[Column], line: &str) -> Option<usize> {
    let mut at = 0;
    let mut timed = false;
    for column in columns {
        let Some(u) = next(line, at) else { break };
        at = match column {
            // The first time tells whether the line has the header at all.
            Column::Time if !timed => {
                timed = true;
                u.is_time(line).then_some(u.end)?
            }
            Column::Time | Column::Any | Column::Level => u.end,
            Column::Bracket if line.as_bytes()[u.start] == b'[' => u.end,
            Column::Dash if is_separator(&line.as_bytes()[u.start..u.end]) => u.end,
            Column::Tag => tag_end(line, u).unwrap_or(at),
            Column::UntilDash => dash_end(line, at).unwrap_or(at),
            Column::Bracket | Column::Dash => at,
        };
    }
    Some(at)
}

/// End of a tag that begins with this column: `name:`, `name[1] (origin):`, `name 1.4.1:`, `-- name:`.
fn tag_end(line: &str, u: Extent) -> Option<usize> {
    let text = &line[u.start..u.end];
    if (text.ends_with(':') && text.starts_with('[')) || u.is_tag(line) {
        return Some(u.end);
    }
    let n = next(line, u.end)?;
    let second = &line[n.start..n.end];
    if second.len() < 2 || !second.ends_with(':') {
        return None;
    }
    let origin = second.starts_with('(') && second.ends_with("):");
    let version = second.bytes().all(|c| c.is_ascii_digit() || c == b'.' || c == b':');
    let marked = !text.bytes().any(|c| c.is_ascii_alphanumeric()) && n.is_tag(line);
    (origin || version || marked).then_some(n.end)
}

/// End of the `-` that follows within the next columns.
fn dash_end(line: &str, mut at: usize) -> Option<usize> {
    for _ in 0..=MAX_GAP {
        let u = next(line, at)?;
        if is_separator(&line.as_bytes()[u.start..u.end]) {
            return Some(u.end);
        }
        at = u.end;
    }
    None
}

/// Lines of the form `time|field|field|message` or `LEVEL:logger:message`, of `most` fields.
fn fields(lines: &[&str], separator: char, most: usize) -> Option<Layout> {
    let mut counts = Vec::with_capacity(lines.len());
    let mut opened = 0;
    for l in lines {
        let mut count = 0;
        let mut from = 0;
        for (p, _) in l.match_indices(separator).take(most) {
            let field = l[from..p].trim();
            // A date and its time may be two words; names between colons are one.
            let words = if separator == '|' { 2 } else { 1 };
            if field.len() > 48 || field.split_whitespace().count() > words || (separator == ':' && p == from)
            {
                break;
            }
            let opens = |k: Kind| k == Kind::Level || (k == Kind::Time && separator == '|');
            if count == 0 && units(field).iter().any(|u| opens(u.kind)) {
                opened += 1;
            }
            count += 1;
            from = p + 1;
        }
        counts.push(count);
    }
    counts.sort_unstable();
    let count = counts[counts.len() / 20];
    (count > 0 && f64::from(opened) >= AGREE * lines.len() as f64)
        .then_some(Layout::Fields { separator, count })
}

struct Fit<'a> {
    lines: &'a [&'a str],
    rows: &'a [Vec<Unit>],
}

impl Fit<'_> {
    /// Share of lines for which the column at `at` satisfies `f`.
    fn share(&self, at: usize, f: impl Fn(&str, Unit) -> bool) -> f64 {
        let hits =
            self.rows.iter().zip(self.lines).filter(|(r, l)| r.get(at).is_some_and(|u| f(l, *u))).count();
        hits as f64 / self.lines.len() as f64
    }

    fn kind(&self, at: usize, kind: Kind) -> f64 {
        self.share(at, |_, u| u.kind == kind)
    }

    fn columns(&self) -> Option<Vec<Column>> {
        let mut columns = self.anchors()?;
        while columns.len() < crate::units::MAX_UNITS {
            let more = self.next_columns(&columns);
            if more.is_empty() {
                break;
            }
            let last = more.last().copied();
            columns.extend(more);
            if matches!(last, Some(Column::Tag | Column::UntilDash)) {
                break;
            }
        }
        Some(columns)
    }

    /// Columns up to the last one that is a time or a level in nearly all lines.
    fn anchors(&self) -> Option<Vec<Column>> {
        let mut columns: Vec<Column> = Vec::new();
        let mut at = 0;
        let mut gap = 0;
        while gap <= MAX_GAP + usize::from(columns.is_empty()) * 2 && at < crate::units::MAX_UNITS {
            let levelled = columns.contains(&Column::Level);
            let found = if (!levelled || gap == 0) && self.kind(at, Kind::Time) >= AGREE {
                Some(Column::Time)
            } else if !levelled && self.kind(at, Kind::Level) >= AGREE {
                Some(Column::Level)
            } else {
                None
            };
            match found {
                // Without times or numbers before it, a level opens the line or is a word of the message.
                Some(Column::Level)
                    if columns.is_empty() && !(0..at).all(|i| self.kind(i, Kind::Number) >= AGREE) =>
                {
                    gap += 1;
                }
                Some(c) => {
                    columns.extend(std::iter::repeat_n(Column::Any, gap));
                    columns.push(c);
                    gap = 0;
                }
                None => gap += 1,
            }
            at += 1;
        }
        (!columns.is_empty()).then_some(columns)
    }

    /// What follows the columns known so far.
    fn next_columns(&self, known: &[Column]) -> Vec<Column> {
        let at = known.len();
        let enough = self.lines.len() >= FEW;
        let tag = |i: usize| self.share(i, |l, u| tag_end(l, u.extent).is_some());
        if self.kind(at, Kind::Dash) >= AGREE {
            return vec![Column::Dash];
        }
        if tag(at) >= TAGGED {
            return vec![Column::Tag];
        }
        if known.last() == Some(&Column::Time) && tag(at + 1) >= TAGGED {
            return vec![Column::Any, Column::Tag];
        }
        if self.kind(at, Kind::Bracket) >= SURE {
            return vec![Column::Bracket];
        }
        if !enough {
            return Vec::new();
        }
        let after_level = known.iter().rposition(|c| *c == Column::Level).is_some_and(|p| at - p == 1);
        let padded = |_: &str, u: Unit| u.kind == Kind::Name && u.gap >= 2;
        if self.kind(at, Kind::Number) >= SURE
            || (after_level && self.kind(at, Kind::Dotted) >= SURE)
            || (after_level && self.share(at, padded) >= AGREE)
        {
            return vec![Column::Any];
        }
        let dashed = self
            .rows
            .iter()
            .filter(|r| r.iter().skip(at).take(MAX_GAP + 1).any(|u| u.kind == Kind::Dash))
            .count();
        if dashed as f64 >= SURE * self.lines.len() as f64 {
            return vec![Column::UntilDash];
        }
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten lines from a template, `{}` numbered.
    fn many(line: &str) -> Vec<String> {
        (10..20).map(|i| line.replace("{}", &i.to_string())).collect()
    }

    fn body(line: &str) -> String {
        let lines = many(line);
        let layout = Layout::fit(lines.iter().map(String::as_str)).unwrap();
        layout.strip(&lines[0]).body.to_owned()
    }

    #[test]
    fn common_layouts() {
        for (line, want) in [
            ("2015-10-18 18:01:{},978 INFO [main {}] a.b.C: Created {}", "Created 10"),
            ("[Sun Dec 04 04:47:{} 2005] [notice] child init {}", "child init 10"),
            (
                "Jun 14 15:16:{} combo sshd(pam_unix)[199{}]: check pass; user unknown",
                "check pass; user unknown",
            ),
            ("20171223-22:15:29:6{}|Step|300|onStep {}", "onStep 10"),
            (
                "1117838570 2005.06.03 R02-M{} 2005-06-03-15.42.50.6758{} R02-M{} RAS KERNEL INFO cache error",
                "cache error",
            ),
            (
                "2015-07-29 17:41:{},747 - INFO  [Main[myid=1]/0:0:0:0:2181:Leader@774] - timed out: {}",
                "timed out: 10",
            ),
            ("03-17 16:13:{}.811  17{}  2395 D WindowManager: opening app {}", "opening app 10"),
            ("2016-09-28 04:30:{}, Info                  CBS    Loaded stack v6.{}", "Loaded stack v6.10"),
            ("[10.30 16:49:{}] chrome.exe - proxy.example.com:50{} close", "proxy.example.com:5010 close"),
            ("081109 2036{} 148 INFO dfs.DataNode$Responder: block {} terminating", "block 10 terminating"),
            ("2017-05-16 00:00:{}.008 25746 INFO nova.compute.wsgi [req-3{} - - -] ok {}", "ok 10"),
            ("1349{} node-246 unix.hw state.unavailable 10778047{} 1 Component is down", "Component is down"),
            ("10.0.0.{} - - [10/Oct/2000:13:55:{} -0700] \"GET / HTTP/1.0\" 200", "\"GET / HTTP/1.0\" 200"),
            ("INFO: Starting {}", "Starting 10"),
            ("INFO:root:Starting: {}", "Starting: 10"),
            ("2020-01-01 10:00:{},123 - shop.cart - INFO - added {}", "added 10"),
            ("I0102 10:00:{}.123456   42{} server.go:8{}] ready {}", "ready 10"),
            ("2020-01-02T10:00:{}.123Z  INFO 1 --- [  main] c.e.shop.Orders   : placed {}", "placed 10"),
        ] {
            assert_eq!(body(line), want, "{line}");
        }
    }

    #[test]
    fn messages_alone_have_no_header() {
        for line in
            ["Found child {} in slot {}", "[client 10.0.0.{}] denied", "{} failures on node x", "a: b {}"]
        {
            let lines = many(line);
            assert_eq!(Layout::fit(lines.iter().map(String::as_str)), None, "{line}");
        }
    }

    #[test]
    fn another_form_is_all_message() {
        let lines = many("2015-10-18 18:01:{},978 INFO x");
        let layout = Layout::fit(lines.iter().map(String::as_str)).unwrap();
        assert_eq!(layout.strip("no time here").body, "no time here");
        assert_eq!(layout.strip("").body, "");
        assert_eq!(layout.strip("2015-10-18").body, "");
    }
}

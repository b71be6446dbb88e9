//! When do constant words become a variable? Rules over sets of skeletons of one shape.
//!
//! A position generalises when enough different words were seen there while everything else was equal.
//! Every rule asks about a set and only grows with it, so the outcome does not depend on the order in
//! which messages arrived: it is the least set of skeletons closed under the rules, of which the widest
//! are kept. Two kept skeletons that could both describe one message are joined, so a message has one.

use crate::skeleton::{Part, Skeleton};
use crate::value::is_time_unit;

/// Evidence that makes a position variable. A plain word counts 2, so seven different words do.
const ENOUGH: u32 = 14;
/// A value seen at the position makes a word there a likely value too.
const VALUE_SEEN: u32 = 12;
/// The first word names the event; it takes more to believe that it varies.
const FIRST_WORD_FACTOR: u32 = 3;
/// With one constant word left, templates of different events look alike.
const LAST_WORD_FACTOR: u32 = 2;
/// Evidence that settles it.
const SATURATED: u32 = u32::MAX / 8;
/// Two positions that vary together need half as much again each.
const fn for_pair(need: u32) -> u32 {
    need + need / 2
}

/// Nouns that announce a name.
const ANNOUNCES_NAME: [&str; 36] = [
    "user",
    "users",
    "host",
    "node",
    "server",
    "client",
    "service",
    "device",
    "interface",
    "container",
    "pod",
    "image",
    "instance",
    "job",
    "queue",
    "topic",
    "table",
    "database",
    "index",
    "account",
    "group",
    "file",
    "module",
    "plugin",
    "package",
    "component",
    "class",
    "application",
    "app",
    "thread",
    "process",
    "program",
    "command",
    "domain",
    "key",
    "name",
];

/// Skeletons that follow from `new` standing among `all` (which contains it): the next ones to add.
pub(crate) fn consequences(all: &[&Skeleton], new: &Skeleton) -> Vec<Skeleton> {
    let others = || all.iter().copied().filter(|p| *p != new);
    let mut out: Vec<Skeleton> = others().filter_map(|p| p.join(new)).filter(|j| j != new).collect();
    out.extend(others().filter_map(|p| renumbered(p, new)));
    derive(all, new, &mut out);
    if new.has_any() {
        // A skeleton with a variable speaks for every word there, so it may complete others' evidence.
        for p in others().filter(|p| (1..=2).contains(&differences(new, p).count())) {
            derive(all, p, &mut out);
        }
    }
    out
}

/// Skeletons that differ only in numbered names (`eth0`, `eth1`) and in units (`KB`, `MB`) are one, as far
/// as some message could otherwise have both.
fn renumbered(a: &Skeleton, b: &Skeleton) -> Option<Skeleton> {
    let mut at = Vec::new();
    for (i, (x, y)) in a.parts.iter().zip(&b.parts).enumerate() {
        match (x, y) {
            _ if x.meets(y) => {}
            (Part::Word(v), Part::Word(w)) if same_stem(v, w) || same_dimension(v, w) => at.push(i),
            (Part::Value, Part::Word(w)) | (Part::Word(w), Part::Value) if has_digit(w) => at.push(i),
            _ => return None,
        }
    }
    if at.is_empty() {
        return None;
    }
    let mut joined = a.clone();
    for (x, y) in joined.parts.iter_mut().zip(&b.parts) {
        if let Some(both) = x.join(y) {
            *x = both;
        }
    }
    threshold(&joined, &at).map(|_| widened(&joined, &at))
}

fn has_digit(w: &str) -> bool {
    w.bytes().any(|c| c.is_ascii_digit())
}

fn same_stem(a: &str, b: &str) -> bool {
    let stem = |w: &str| w.bytes().filter(|c| !c.is_ascii_digit()).collect::<Vec<_>>();
    has_digit(a) && has_digit(b) && stem(a) == stem(b)
}

/// Both are units of information, or both of time: a quantity is written in the unit that fits it.
fn same_dimension(a: &str, b: &str) -> bool {
    let size =
        |w: &str| matches!(w, "B" | "KB" | "MB" | "GB" | "TB" | "KiB" | "MiB" | "GiB" | "TiB" | "bytes");
    let time = |w: &str| w != "m" && w != "d" && w != "h" && is_time_unit(w.as_bytes());
    (size(a) && size(b)) || (time(a) && time(b))
}

/// Positions at which `speaker` does not cover `rest`.
fn differences<'a>(speaker: &'a Skeleton, rest: &'a Skeleton) -> impl Iterator<Item = usize> + 'a {
    speaker.parts.iter().zip(&rest.parts).enumerate().filter(|(_, (s, r))| !s.covers(r)).map(|(i, _)| i)
}

fn derive(all: &[&Skeleton], base: &Skeleton, out: &mut Vec<Skeleton>) {
    let mut singles: Vec<usize> = Vec::new();
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    let mut near: Vec<(usize, usize, &Skeleton)> = Vec::new();
    for p in all {
        let mut d = differences(p, base);
        match (d.next(), d.next(), d.next()) {
            (Some(a), None, _) => {
                if !singles.contains(&a) {
                    singles.push(a);
                }
                near.push((a, a, p));
            }
            (Some(a), Some(b), None) => {
                if !pairs.contains(&(a, b)) {
                    pairs.push((a, b));
                }
                near.push((a, b, p));
            }
            _ => {}
        }
    }
    // Whoever differs nowhere else has a say on these positions.
    let seen = |at: usize, within: &[usize]| {
        let speakers = near.iter().filter(|(a, b, _)| within.contains(a) && within.contains(b));
        let values: Vec<&Part> = speakers.map(|s| &s.2.parts[at]).chain([&base.parts[at]]).collect();
        evidence(base, at, &values)
    };
    for at in singles {
        if threshold(base, &[at]).is_some_and(|need| seen(at, &[at]) >= need) {
            out.push(widened(base, &[at]));
        }
    }
    for (a, b) in pairs {
        let enough = |need: u32| seen(a, &[a, b]) >= for_pair(need) && seen(b, &[a, b]) >= for_pair(need);
        if threshold(base, &[a, b]).is_some_and(enough) {
            out.push(widened(base, &[a, b]));
        }
    }
}

fn widened(base: &Skeleton, at: &[usize]) -> Skeleton {
    let mut s = base.clone();
    for i in at {
        s.parts[*i] = Part::Any;
    }
    s
}

/// Evidence needed to make these positions variable; none is enough where no constant word would be left.
fn threshold(base: &Skeleton, at: &[usize]) -> Option<u32> {
    let constant = |(i, p): (usize, &Part)| {
        !at.contains(&i)
            && matches!(p, Part::Word(w) if w.bytes().filter(u8::is_ascii_alphabetic).count() >= 2)
    };
    let left = base.parts.iter().enumerate().filter(|(i, p)| constant((*i, *p))).count();
    let mut need = ENOUGH;
    if at.contains(&0) {
        need *= FIRST_WORD_FACTOR;
    }
    match left {
        0 => None,
        1 => Some(need * LAST_WORD_FACTOR),
        _ => Some(need),
    }
}

/// How strongly a set of parts at one position says that it is a variable.
fn evidence(base: &Skeleton, at: usize, values: &[&Part]) -> u32 {
    let context = context(base, at);
    let mut words: Vec<&str> = Vec::with_capacity(values.len());
    let (mut form, mut enumerated) = (0, 0);
    for v in values {
        match v {
            Part::Any => return SATURATED,
            Part::Value => form = VALUE_SEEN,
            Part::Enumerated => enumerated = weight("word", context),
            Part::Word(w) => words.push(w),
        }
    }
    words.sort_unstable();
    words.dedup();
    form + enumerated + words.iter().map(|w| weight(w, context)).sum::<u32>()
}

fn weight(word: &str, context: Context) -> u32 {
    let letters = word.bytes().filter(u8::is_ascii_alphabetic).count();
    let capitals = letters >= 2 && word.bytes().all(|c| c.is_ascii_uppercase() || c == b'_' || c == b'-');
    match context {
        Context::Key => 0,
        _ if capitals => 1, // Constants in capitals are states of a small set.
        Context::Name => 5,
        Context::Value => 4,
        Context::Free if word.bytes().filter(|c| *c == b'.').count() >= 2 => 4, // Hosts, classes.
        Context::Free => 2,
    }
}

/// What the text around a position says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Context {
    /// Nothing.
    Free,
    /// `key=…` or quotes: a value, though perhaps one of few.
    Value,
    /// `user …`: a name.
    Name,
    /// `…=`: a key, which is no value at all.
    Key,
}

fn context(base: &Skeleton, at: usize) -> Context {
    let before = &*base.separators[at];
    let after = base.separators.get(at + 1).map_or("", |s| s);
    let opens = before.ends_with(['"', '\'', '`']) || before.ends_with("\\042");
    let closes = after.starts_with(['"', '\'', '`']) || after.starts_with("\\042");
    if after.trim_start().starts_with('=') {
        return Context::Key;
    }
    if before.trim_end().ends_with('=') || (opens && closes) {
        return Context::Value;
    }
    let noun = at.checked_sub(1).and_then(|i| base.parts.get(i));
    let plain = matches!(before, " " | ": " | ":" | " : ");
    match noun {
        Some(Part::Word(w)) if plain && ANNOUNCES_NAME.iter().any(|n| w.eq_ignore_ascii_case(n)) => {
            Context::Name
        }
        _ => Context::Free,
    }
}

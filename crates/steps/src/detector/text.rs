//! Small byte-wise helpers that the detectors share. Everything they stop at is ASCII, so that every position they
//! return is a character boundary.

use std::ops::Range;

/// The byte before a position.
pub(crate) fn before(text: &str, at: usize) -> Option<u8> {
    at.checked_sub(1).and_then(|i| text.as_bytes().get(i)).copied()
}

/// The byte at a position.
pub(crate) fn byte(text: &str, at: usize) -> Option<u8> {
    text.as_bytes().get(at).copied()
}

/// The end of the run of bytes from `from` that satisfy `accept`.
pub(crate) fn run_end(text: &str, from: usize, accept: impl Fn(u8) -> bool) -> usize {
    let bytes = text.as_bytes();
    let mut end = from;
    while bytes.get(end).is_some_and(|b| accept(*b)) {
        end += 1;
    }
    end
}

/// The start of the run of bytes that ends before `end` and satisfies `accept`.
pub(crate) fn run_start(text: &str, end: usize, accept: impl Fn(u8) -> bool) -> usize {
    let mut start = end;
    while before(text, start).is_some_and(&accept) {
        start -= 1;
    }
    start
}

/// Skips blanks (space and tab).
pub(crate) fn skip_blanks(text: &str, from: usize) -> usize {
    run_end(text, from, |b| b == b' ' || b == b'\t')
}

/// Skips a quotation mark, which may be escaped once or more; gives it and the position after it.
pub(crate) fn skip_quote(text: &str, from: usize) -> (Option<u8>, usize) {
    let at = run_end(text, from, |b| b == b'\\');
    match byte(text, at) {
        Some(quote @ (b'"' | b'\'' | b'`')) => (Some(quote), at + 1),
        _ => (None, from),
    }
}

/// The maximal runs of ASCII digits.
pub(crate) fn digit_runs(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = 0;
    let bytes = text.as_bytes();
    std::iter::from_fn(move || {
        while !bytes.get(at)?.is_ascii_digit() {
            at += 1;
        }
        let start = at;
        at = run_end(text, at, |b| b.is_ascii_digit());
        Some(start..at)
    })
}

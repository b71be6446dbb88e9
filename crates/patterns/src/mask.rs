//! One pass over a message that separates constant words from values, by token class alone.
//!
//! The masker knows nothing about other lines, so every gateway masks a line the same way. It reports
//! what it sees to a [`Sink`]; the hot path only copies constant runs, the slow path collects tokens.
//! Cost: one scan of the bytes, O(length).

use crate::value::{digits, english_time, is_month, is_time_unit, is_weekday};

/// Longer words are values, whatever they hold.
const MAX_WORD: usize = 256;
/// Words after which the rest of a message is one value: keeps work and templates bounded.
pub(crate) const MAX_WORDS: usize = 192;

/// How sure the masker is that a text is a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Certainty {
    /// Its form says so: numbers, addresses, paths, times.
    Form,
    /// It is one of a handful of words that stand for values: `true`, `null`, `root`.
    Enumerated,
}

/// Receives the parts of a message, left to right; offsets are bytes of the message.
pub(crate) trait Sink {
    /// A constant word.
    fn word(&mut self, start: usize, end: usize);
    /// Punctuation between words.
    fn separator(&mut self, start: usize, end: usize);
    /// White space between two parts (never at either end of the message).
    fn space(&mut self, start: usize, end: usize);
    /// A value.
    fn value(&mut self, certainty: Certainty, start: usize, end: usize);
}

pub(crate) const WORD: u8 = 1;
pub(crate) const DIGIT: u8 = 2;
pub(crate) const DOT: u8 = 4;
pub(crate) const SLASH: u8 = 8;
pub(crate) const COLON: u8 = 16;
pub(crate) const AT: u8 = 32;
pub(crate) const BACKSLASH: u8 = 64;
const SPACE: u8 = 128;

static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut t = [0u8; 256];
    let mut i = 0;
    while i < 256 {
        let c = i as u8;
        t[i] = match c {
            b'0'..=b'9' => WORD | DIGIT,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'-' | b'+' | b'%' | b'$' | b'~' | 128..=255 => WORD,
            b'.' => WORD | DOT,
            b'/' => WORD | SLASH,
            b':' => WORD | COLON,
            b'@' => WORD | AT,
            b'\\' => WORD | BACKSLASH,
            0..=32 | 127 => SPACE,
            _ => 0,
        };
        i += 1;
    }
    t
}

/// Masks `line` into `sink`.
pub(crate) fn mask(line: &[u8], sink: &mut impl Sink) {
    let mut m = Masker { line, sink };
    m.run();
}

pub(crate) struct Masker<'a, S> {
    pub(crate) line: &'a [u8],
    pub(crate) sink: &'a mut S,
}

pub(crate) fn class(b: u8) -> u8 {
    CLASS[b as usize]
}

/// Length of a C octal escape such as `\042`, which some loggers write for a quote.
fn octal_escape(b: &[u8]) -> usize {
    let octal = b.len() >= 4 && b[0] == b'\\' && b[1..4].iter().all(|c| (b'0'..=b'7').contains(c));
    if octal { 4 } else { 0 }
}

impl<S: Sink> Masker<'_, S> {
    fn run(&mut self) {
        let line = self.line;
        let n = line.len() - line.iter().rev().take_while(|c| class(**c) & SPACE != 0).count();
        let mut i = line[..n].iter().take_while(|c| class(**c) & SPACE != 0).count();
        let mut words = 0;
        while i < n {
            let k = class(line[i]);
            if k & WORD != 0 {
                words += 1;
                if words > MAX_WORDS {
                    self.sink.value(Certainty::Form, i, n);
                    return;
                }
                i = self.word(i, n);
            } else if k & SPACE != 0 {
                let s = i;
                while i < n && class(line[i]) & SPACE != 0 {
                    i += 1;
                }
                self.sink.space(s, i);
            } else {
                i = self.punctuation(i, n);
            }
        }
    }

    fn punctuation(&mut self, i: usize, n: usize) -> usize {
        let b = self.line;
        match b[i] {
            // "<1 sec": a bound with its unit is one duration.
            b'<' if b.get(i + 1).is_some_and(u8::is_ascii_digit) => {
                let d = i + 1 + digits(&b[i + 1..n]);
                let u = d + usize::from(b.get(d) == Some(&b' '));
                let e = u + b[u..n].iter().take_while(|c| c.is_ascii_alphabetic()).count();
                if is_time_unit(&b[u..e]) {
                    self.sink.value(Certainty::Form, i, e);
                    return e;
                }
            }
            // key="some text": the quoted text is the value, unless the key says it is the message.
            b'"' if i > 0 && b[i - 1] == b'=' && !message_key(&b[..i - 1]) => {
                let limit = n.min(i + 258);
                if let Some(len) = memchr::memchr(b'"', &b[i + 1..limit]) {
                    let (s, e) = (i + 1, i + 1 + len);
                    self.sink.separator(i, s);
                    self.sink.value(Certainty::Form, s, e);
                    self.sink.separator(e, e + 1);
                    return e + 1;
                }
            }
            // "( 3534 **** 3515 )": asterisks printed in place of a number.
            b'*' if i > 0 && b[i - 1] == b' ' => {
                let e = i + b[i..n].iter().take_while(|c| **c == b'*').count();
                if e > i + 1 && b.get(e).is_none_or(|c| *c == b' ') {
                    self.sink.value(Certainty::Form, i, e);
                    return e;
                }
            }
            // "from 10.0.0.1 ()": an empty pair that stands alone is an empty value.
            b'(' if b.get(i + 1) == Some(&b')') && i > 0 && b[i - 1] == b' ' => {
                self.sink.separator(i, i + 1);
                self.sink.value(Certainty::Form, i + 1, i + 1);
                self.sink.separator(i + 1, i + 2);
                return i + 2;
            }
            _ => {}
        }
        self.sink.separator(i, i + 1);
        i + 1
    }

    /// Handles the run of word bytes at `s`; returns where to go on.
    fn word(&mut self, s: usize, n: usize) -> usize {
        let b = self.line;
        let mut seen = 0;
        let mut e = s;
        while e < n {
            let k = class(b[e]);
            if k & WORD == 0 {
                break;
            }
            seen |= k;
            e += 1;
        }
        if seen & BACKSLASH != 0
            && let Some(p) = (s..e).find(|p| octal_escape(&b[*p..n]) > 0)
        {
            if p == s {
                self.sink.separator(s, s + 4);
                return s + 4;
            }
            e = p;
        }
        let run_end = e;
        // A full stop or colon at the end belongs to the sentence.
        while e > s + 1 && matches!(b[e - 1], b'.' | b':') && seen & (DOT | COLON) != 0 {
            e -= 1;
        }
        if e - s > MAX_WORD {
            return self.value(s, e);
        }
        if seen & !WORD == 0 || (e < run_end && b[s..e].iter().all(u8::is_ascii_alphabetic)) {
            return self.plain(s, e, n);
        }
        self.shaped(s, e, n)
    }

    /// Letters, `_`, `-` and the like only.
    fn plain(&mut self, s: usize, e: usize, n: usize) -> usize {
        let w = &self.line[s..e];
        if w.len() == 3 && w[0].is_ascii_uppercase() && (is_month(w) || is_weekday(w)) {
            let t = english_time(&self.line[s..n]);
            if t > 0 {
                self.sink.value(Certainty::Form, s, s + t);
                return s + t;
            }
        }
        let initial = w[0] | 0x20;
        let short = (3..=5).contains(&w.len());
        if short && matches!(initial, b't' | b'f' | b'n') && is_one_of(w, &["true", "false", "null", "nil"]) {
            self.sink.value(Certainty::Enumerated, s, e);
        } else if short && matches!(initial, b'r' | b'a') && is_one_of(w, &["root", "admin"]) {
            // A key's value may be one of a few; elsewhere an account's name speaks for names there.
            let keyed = s > 0 && self.line[s - 1] == b'=';
            self.sink.value(if keyed { Certainty::Enumerated } else { Certainty::Form }, s, e);
        } else {
            self.sink.word(s, e);
        }
        e
    }

    pub(crate) fn value(&mut self, s: usize, e: usize) -> usize {
        self.sink.value(Certainty::Form, s, e);
        e
    }

    /// Splits `s..at` off as a constant word, `at..next` as punctuation, and goes on with the rest.
    pub(crate) fn split(&mut self, s: usize, at: usize, next: usize, e: usize, n: usize) -> usize {
        if at > s {
            self.plain_or_shaped(s, at, n);
        }
        self.sink.separator(at, next);
        if next < e { self.plain_or_shaped(next, e, n) } else { next }
    }

    pub(crate) fn plain_or_shaped(&mut self, s: usize, e: usize, n: usize) -> usize {
        let seen = self.line[s..e].iter().fold(0, |a, c| a | class(*c));
        if seen & !WORD == 0 { self.plain(s, e, n) } else { self.shaped(s, e, n) }
    }
}

fn is_one_of(w: &[u8], list: &[&str]) -> bool {
    list.iter().any(|k| w.eq_ignore_ascii_case(k.as_bytes()))
}

/// Whether the text before `=` ends in a key whose value is a message for people.
fn message_key(before: &[u8]) -> bool {
    let from = before.iter().rposition(|c| !c.is_ascii_alphanumeric() && *c != b'_').map_or(0, |p| p + 1);
    let key = &before[from..];
    is_one_of(key, &["msg", "message", "event", "error", "err", "reason", "text"])
}

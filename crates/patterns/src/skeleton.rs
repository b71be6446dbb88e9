//! The skeleton of a message: its constant words and punctuation, with places for values.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::mask::{Certainty, Sink, mask};
use crate::value::{VariableClass, classify};

/// What a variable looks like in the text of a template.
pub const PLACEHOLDER: &str = "<*>";

/// Punctuation beyond it says no more (rulers, ASCII art).
const MAX_SEPARATOR: usize = 64;

/// Identity of a template: xxh3-64 of its text, so processes that never talk agree on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TemplateId(pub u64);

impl TemplateId {
    /// The id of the template with this text (variables written as `<*>`).
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(xxh3_64(text.as_bytes()))
    }
}

impl std::fmt::Display for TemplateId {
    /// Sixteen lower-case hex digits.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// One position of a skeleton.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Part {
    /// A constant word.
    Word(Box<str>),
    /// A value recognised by its form.
    Value,
    /// A value recognised as one of a few words (`true`, `root`).
    Enumerated,
    /// A position at which so many words were seen that it is a variable.
    Any,
}

impl Part {
    /// Whether every text that `other` stands for is also one of this part's.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _)
            | (Self::Value, Self::Value | Self::Enumerated)
            | (Self::Enumerated, Self::Enumerated) => true,
            (Self::Word(a), Self::Word(b)) => a == b,
            _ => false,
        }
    }

    /// Whether they have texts in common.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        self.covers(other) || other.covers(self)
    }

    /// The narrowest part that covers both, where they have texts in common.
    pub(crate) fn join(&self, other: &Self) -> Option<Self> {
        if self.covers(other) {
            Some(self.clone())
        } else if other.covers(self) {
            Some(other.clone())
        } else {
            None
        }
    }
}

/// Constant words, punctuation and variable places of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Skeleton {
    /// `separators[i]` stands before `parts[i]`, the last one after all parts.
    pub(crate) separators: Vec<Box<str>>,
    pub(crate) parts: Vec<Part>,
}

impl Skeleton {
    /// Skeletons can only generalise into each other within one shape: equal punctuation, equal length.
    pub(crate) fn shape(&self) -> u64 {
        let mut all = Vec::with_capacity(64);
        for s in &self.separators {
            all.extend_from_slice(s.as_bytes());
            all.push(0);
        }
        xxh3_64(&all)
    }

    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.parts.iter().zip(&other.parts).all(|(a, b)| a.covers(b))
    }

    /// The narrowest skeleton that covers both, where some message has both.
    pub(crate) fn join(&self, other: &Self) -> Option<Self> {
        let pairs = || self.parts.iter().zip(&other.parts);
        if !pairs().all(|(a, b)| a.meets(b)) {
            return None;
        }
        let parts = pairs().map(|(a, b)| a.join(b)).collect::<Option<Vec<_>>>()?;
        Some(Self { separators: self.separators.clone(), parts })
    }

    pub(crate) fn has_any(&self) -> bool {
        self.parts.contains(&Part::Any)
    }

    pub(crate) fn text(&self) -> String {
        let mut t = String::new();
        for (i, s) in self.separators.iter().enumerate() {
            t.push_str(s);
            match self.parts.get(i) {
                Some(Part::Word(w)) => t.push_str(w),
                Some(_) => t.push_str(PLACEHOLDER),
                None => {}
            }
        }
        t
    }
}

/// Copies the masked text of a line, for one hash lookup a line.
#[derive(Debug, Default)]
pub(crate) struct KeyBuilder {
    buffer: Vec<u8>,
}

struct KeySink<'a> {
    line: &'a [u8],
    copied: usize,
    out: &'a mut Vec<u8>,
}

impl KeySink<'_> {
    fn replace(&mut self, marker: u8, start: usize, end: usize) {
        self.out.extend_from_slice(&self.line[self.copied..start]);
        self.out.push(marker);
        self.copied = end;
    }
}

impl Sink for KeySink<'_> {
    fn word(&mut self, _: usize, _: usize) {}
    fn separator(&mut self, _: usize, _: usize) {}

    fn space(&mut self, start: usize, end: usize) {
        if end - start > 1 || self.line[start] != b' ' {
            self.replace(b' ', start, end);
        }
    }

    fn value(&mut self, certainty: Certainty, start: usize, end: usize) {
        self.replace(u8::from(certainty == Certainty::Enumerated), start, end);
    }
}

impl KeyBuilder {
    /// Equal for two lines that have the same masked text.
    pub(crate) fn key(&mut self, line: &str) -> u64 {
        self.buffer.clear();
        let line = line.as_bytes().trim_ascii();
        let mut sink = KeySink { line, copied: 0, out: &mut self.buffer };
        mask(line, &mut sink);
        let rest = sink.copied;
        self.buffer.extend_from_slice(&line[rest..]);
        xxh3_64(&self.buffer)
    }
}

/// A line taken apart: its skeleton and where each part stood in the line.
pub(crate) struct Parsed {
    pub(crate) skeleton: Skeleton,
    pub(crate) spans: Vec<Range<usize>>,
}

struct PartSink<'a> {
    line: &'a str,
    separator: String,
    out: Parsed,
}

impl PartSink<'_> {
    fn text(&self, start: usize, end: usize) -> &str {
        self.line.get(start..end).unwrap_or_default()
    }

    fn push(&mut self, part: Part, start: usize, end: usize) {
        self.out.skeleton.separators.push(std::mem::take(&mut self.separator).into());
        self.out.skeleton.parts.push(part);
        self.out.spans.push(start..end);
    }

    /// `1, 2, 3` and longer are one value, so that the length of a list does not make a template.
    fn fold_list(&mut self) {
        let n = self.out.skeleton.parts.len();
        let value = |p: &Part| !matches!(p, Part::Word(_));
        let s = &self.out.skeleton;
        if n < 3
            || !s.parts[n - 3..].iter().all(value)
            || &*s.separators[n - 1] != ", "
            || &*s.separators[n - 2] != ", "
        {
            return;
        }
        let end = self.out.spans[n - 1].end;
        self.out.skeleton.parts.truncate(n - 2);
        self.out.skeleton.separators.truncate(n - 2);
        self.out.spans.truncate(n - 2);
        if let (Some(p), Some(s)) = (self.out.skeleton.parts.last_mut(), self.out.spans.last_mut()) {
            *p = Part::Value;
            s.end = end;
        }
    }

    /// Takes a further member of a list that was folded, or of identifiers in a row (`blk_1 blk_2`).
    fn extend_list(&mut self, start: usize, end: usize) -> bool {
        let line = self.line;
        let (Some(Part::Value), Some(span)) = (self.out.skeleton.parts.last(), self.out.spans.last_mut())
        else {
            return false;
        };
        let before = line.get(span.clone()).unwrap_or_default();
        let more = match self.separator.as_str() {
            ", " => before.contains(", "),
            " " => alike(before, line.get(start..end).unwrap_or_default()),
            _ => false,
        };
        if more {
            span.end = end;
            self.separator.clear();
        }
        more
    }
}

/// Two addresses, or two identifiers with the same name before their number.
fn alike(list: &str, next: &str) -> bool {
    let last = list.rsplit(' ').next().unwrap_or_default();
    let class = classify(last.as_bytes());
    let name = |t: &str| t.bytes().take_while(|c| c.is_ascii_alphabetic() || *c == b'_').count();
    class == classify(next.as_bytes())
        && match class {
            VariableClass::Ip => true,
            VariableClass::Word => {
                let n = name(last);
                n >= 2 && name(next) == n && last.get(..n) == next.get(..n)
            }
            _ => false,
        }
}

impl Sink for PartSink<'_> {
    fn word(&mut self, start: usize, end: usize) {
        let word = Part::Word(self.text(start, end).into());
        self.push(word, start, end);
    }

    fn separator(&mut self, start: usize, end: usize) {
        if self.separator.len() < MAX_SEPARATOR {
            self.separator.push_str(self.line.get(start..end).unwrap_or_default());
        }
    }

    fn space(&mut self, _: usize, _: usize) {
        self.separator.push(' ');
    }

    fn value(&mut self, certainty: Certainty, start: usize, end: usize) {
        if self.extend_list(start, end) {
            return;
        }
        self.push(if certainty == Certainty::Form { Part::Value } else { Part::Enumerated }, start, end);
        self.fold_list();
    }
}

/// Takes a line apart; spans are byte ranges of `line`.
pub(crate) fn parse(line: &str) -> Parsed {
    let out = Parsed { skeleton: Skeleton { separators: Vec::new(), parts: Vec::new() }, spans: Vec::new() };
    let mut sink = PartSink { line, separator: String::new(), out };
    mask(line.as_bytes(), &mut sink);
    let PartSink { separator, mut out, .. } = sink;
    out.skeleton.separators.push(separator.into());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &str) -> String {
        parse(line).skeleton.text()
    }

    #[test]
    fn values_by_form() {
        for (line, want) in [
            (
                "jk2_init() Found child 6725 in scoreboard slot 10",
                "jk2_init() Found child <*> in scoreboard slot <*>",
            ),
            ("mod_jk child init 1 -2", "mod_jk child init <*> <*>"),
            ("a  b\tc ", "a b c"),
            ("Took 19.05 seconds.", "Took <*> seconds."),
            ("totalSteps=7163,floor:240", "totalSteps=<*>,floor:<*>"),
            ("onExtend:1514038530000 14 0 4", "onExtend:<*> <*> <*> <*>"),
            ("CPU#0 up", "CPU#<*> up"),
            ("vCores:-17 <memory:10240>", "vCores:<*> <memory:<*>>"),
            ("generating core.2275", "generating core.<*>"),
            ("enabled.................0", "enabled.................<*>"),
            ("HistoryEvent Foo@7317849d", "HistoryEvent Foo@<*>"),
            ("mail to joe@example.com now", "mail to <*> now"),
            ("open proxy.cse.cuhk.edu.hk:5070 HTTPS", "open <*> HTTPS"),
            ("jar:file:/D:/x/y.jar!/webapps to C:\\Users\\a", "jar:file:<*> to <*>"),
            ("x \"GET /v2/54f/servers HTTP/1.1\" status: 200", "x \"GET <*>\" status: <*>"),
            ("at Fri Jun 17 07:07:00 2005", "at <*>"),
            (
                "from 2017-05-16 05:00:00 to 2017-05-16 06:00:00. 87 instances",
                "from <*> to <*>. <*> instances",
            ),
            ("time=25233975,0,93,0,20002 ok", "time=<*> ok"),
            ("ids [1, 2, 3, 4] and [5, 6]", "ids [<*>] and [<*>, <*>]"),
            ("alive true by root", "alive <*> by <*>"),
            ("lifetime <1 sec", "lifetime <*>"),
            ("Component \\042alt0\\042 is down", "Component \\042alt0\\042 is down"),
            ("tag=\"View Lock\" msg=\"user logged in\"", "tag=\"<*>\" msg=\"user logged in\""),
            ("at com.app.Main and read/write", "at com.app.Main and read/write"),
            ("peer fe80::1ff:fe23:4567:890a up", "peer <*> up"),
            ("delete blk_1 blk_22 blk_333 now", "delete <*> now"),
            ("connection from 10.0.0.1 () at clear()", "connection from <*> (<*>) at clear()"),
            ("Failed password for root", "Failed password for <*>"),
            ("fans ( 3534 **** 3515 ) *** ok", "fans ( <*> <*> <*> ) <*> ok"),
            ("10.250.10.6:50010:Got exception", "<*>:Got exception"),
            ("with pattern: C:\\a\\b\\*_std.sqm, flags: 0x2", "with pattern: <*>, flags: <*>"),
            ("mapred.tip.id is old", "mapred.tip.id is old"),
            ("disposition = @0xb6fd90", "disposition = @<*>"),
            ("", ""),
            ("   ", ""),
        ] {
            assert_eq!(text(line), want, "{line}");
        }
    }

    #[test]
    fn equal_masked_text_has_equal_key() {
        let mut k = KeyBuilder::default();
        let a = k.key("child 17  of 18");
        assert_eq!(a, k.key(" child 5 of 6"));
        assert_ne!(a, k.key("child 5 off 6"));
    }
}

//! YAML as a tree whose scalars know their place in the text.

use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::Value;

use crate::scalar;

/// Deepest nesting that is read.
const DEPTH: usize = 64;

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// `'…'`.
    Single,
    /// `"…"`.
    Double,
    /// A block that begins with `|`.
    Literal,
    /// A block that begins with `>`.
    Folded,
}

/// A node and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Its bytes in the text.
    pub span: Range<usize>,
    /// Its line, from 1.
    pub line: usize,
    /// Whether it has an anchor, so that other places may show it, too.
    pub anchored: bool,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A scalar: decoded text, style, and whether a tag says what it is.
    Scalar {
        /// Text after unescaping.
        text: String,
        /// How it is written.
        style: Style,
        /// Whether it has a tag.
        tagged: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// A map, in order.
    Map(Vec<(Node, Node)>),
    /// A reference to an anchor.
    Alias,
}

/// Why a path leads nowhere for sure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aliased {
    /// The line of the alias.
    pub line: usize,
}

/// All documents of a text; empty ones are left out.
///
/// # Errors
/// The parser's message with its line.
pub fn parse(text: &str) -> Result<Vec<Node>, String> {
    let mut reader = Reader { text, parser: Parser::new_from_str(text), depth: 0 };
    let mut documents = Vec::new();
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(documents),
            Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
            other => {
                let node = reader.node(other, &span)?;
                let is_empty =
                    matches!(&node.kind, Kind::Scalar { text, style: Style::Plain, .. } if text.is_empty());
                if !is_empty {
                    documents.push(node);
                }
            }
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), String> {
        loop {
            match self.parser.next_event() {
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok(found)) => return Ok(found),
                Some(Err(error)) => return Err(error.to_string()),
                None => return Err("it ends too early".to_owned()),
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: &Span) -> Result<Node, String> {
        if self.depth >= DEPTH {
            return Err(format!("it is nested deeper than {DEPTH} levels"));
        }
        let mut range = span.byte_range().ok_or("a place is not known")?;
        let mut line = span.start.line();
        let (kind, anchor) = match event {
            Event::Alias(_) => (Kind::Alias, 0),
            Event::Scalar(text, style, anchor, tag) => {
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted => Style::Single,
                    ScalarStyle::DoubleQuoted => Style::Double,
                    ScalarStyle::Literal => Style::Literal,
                    ScalarStyle::Folded => Style::Folded,
                };
                if style == Style::Literal {
                    range = block_range(self.text, range);
                    line = 1 + self.text.get(..range.start).unwrap_or_default().matches('\n').count();
                }
                (Kind::Scalar { text: text.into_owned(), style, tagged: tag.is_some() }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => {
                let mut items = Vec::new();
                self.depth += 1;
                loop {
                    let (event, span) = self.next()?;
                    if matches!(event, Event::SequenceEnd) {
                        break;
                    }
                    items.push(self.node(event, &span)?);
                }
                self.depth -= 1;
                (Kind::List(items), anchor)
            }
            Event::MappingStart(_, anchor, _) => {
                let mut entries = Vec::new();
                self.depth += 1;
                loop {
                    let (event, span) = self.next()?;
                    if matches!(event, Event::MappingEnd) {
                        break;
                    }
                    let key = self.node(event, &span)?;
                    let (event, span) = self.next()?;
                    entries.push((key, self.node(event, &span)?));
                }
                self.depth -= 1;
                (Kind::Map(entries), anchor)
            }
            other => return Err(format!("{other:?} is not expected in line {line}")),
        };
        Ok(Node { kind, span: range, line, anchored: anchor != 0 })
    }
}

/// A literal block from its `|` to the end of its last line that is not blank; the parser tells its content only.
fn block_range(text: &str, content: Range<usize>) -> Range<usize> {
    let inside = text.get(content.clone()).unwrap_or_default();
    let end = content.start + inside.trim_end_matches([' ', '\n', '\r']).len();
    let before = text.get(..content.start).unwrap_or_default().trim_end_matches([' ', '\n', '\r']);
    let line = before.rfind('\n').map_or(0, |at| at + 1);
    let is_head = |at: &usize| {
        let rest = before.get(at + 1..).unwrap_or_default();
        let rest = rest.trim_start_matches(['+', '-']).trim_start_matches(|c: char| c.is_ascii_digit());
        rest.trim_start_matches(['+', '-']).trim_start().is_empty() || rest.trim_start().starts_with('#')
    };
    let head = before.match_indices('|').map(|(at, _)| at).filter(|at| *at >= line).find(is_head);
    match head {
        Some(head) if end > head => head..end,
        _ => content,
    }
}

impl Node {
    /// The value of a key, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        let Kind::Map(entries) = &self.kind else { return None };
        entries.iter().find(|(name, _)| name.as_str() == Some(key)).map(|(_, value)| value)
    }

    /// The text of a scalar.
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The text under a key.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// The items of a list; none for other nodes.
    pub fn items(&self) -> &[Node] {
        match &self.kind {
            Kind::List(items) => items,
            _ => &[],
        }
    }

    /// The node at the end of `path`; `None` if it is not named here.
    ///
    /// # Errors
    /// An alias or a merge key lies on the way.
    pub fn find(&self, path: &[String]) -> Result<Option<&Node>, Aliased> {
        let Some((step, rest)) = path.split_first() else {
            return if matches!(self.kind, Kind::Alias) || self.anchored {
                Err(Aliased { line: self.line })
            } else {
                Ok(Some(self))
            };
        };
        if self.anchored {
            return Err(Aliased { line: self.line });
        }
        match &self.kind {
            Kind::Alias => Err(Aliased { line: self.line }),
            Kind::Map(entries) => match self.get(step) {
                Some(next) => next.find(rest),
                None if entries.iter().any(|(key, _)| key.as_str() == Some("<<")) => {
                    Err(Aliased { line: self.line })
                }
                None => Ok(None),
            },
            Kind::List(_) => match self.index_of(step) {
                Some(index) => self.items().get(index).map_or(Ok(None), |item| item.find(rest)),
                None => Ok(None),
            },
            Kind::Scalar { .. } => Ok(None),
        }
    }

    /// Which item of this list a step means.
    pub fn index_of(&self, step: &str) -> Option<usize> {
        match step.strip_prefix("name=") {
            Some(name) => self.items().iter().position(|item| item.text("name") == Some(name)),
            None => step.parse().ok(),
        }
    }

    /// The value, with scalars typed as Kubernetes types them. An alias is the text `*`.
    pub fn value(&self) -> Value {
        match &self.kind {
            Kind::Scalar { text, style, tagged } => scalar::typed(text, *style, *tagged),
            Kind::List(items) => items.iter().map(Self::value).collect(),
            Kind::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, value)| (key.as_str().unwrap_or_default().to_owned(), value.value()))
                    .collect(),
            ),
            Kind::Alias => Value::from("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::steps;

    #[test]
    fn scalars_know_their_bytes() {
        let text = "# é first\na: 1 # one\nb:\n  - name: x\n    v: 'it''s'\n  - {name: y, v: \"z\"}\n---\nc: |\n  l1\n  l2\n\n\"d|\": |+2 # a | b\n\n    l3\n\ne: >-\n  f\n";
        let documents = parse(text).unwrap();
        let at = |document: usize, path: &str| {
            let node = documents[document].find(&steps(path)).unwrap().unwrap();
            &text[node.span.clone()]
        };
        assert_eq!(at(0, "/a"), "1");
        assert_eq!(at(0, "/b/name=x/v"), "'it''s'");
        assert_eq!(at(0, "/b/1/v"), "\"z\"");
        assert_eq!(at(1, "/c"), "|\n  l1\n  l2");
        assert_eq!(documents[1].text("c"), Some("l1\nl2\n"));
        assert_eq!(at(1, "/d|"), "|+2 # a | b\n\n    l3");
        assert_eq!(documents[0].get("b").unwrap().line, 4);
    }

    #[test]
    fn aliases_and_merges_are_not_followed() {
        let documents = parse("a: &x {r: 3}\nb: *x\nc:\n  <<: *x\n  d: 1\n").unwrap();
        for path in ["/a/r", "/b/r", "/c/r", "/b"] {
            assert!(documents[0].find(&steps(path)).is_err(), "{path}");
        }
        assert!(documents[0].find(&steps("/c/d")).unwrap().is_some());
        assert!(documents[0].find(&steps("/z")).unwrap().is_none());
    }
}

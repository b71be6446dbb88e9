//! Files of a repository, and the places in them that make a value.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::change::ObjectId;
use crate::document::{Aliased, Kind, Node, Style, parse};
use crate::image::Image;
use crate::refusal::Refusal;

/// Text files of a repository by their path from its root, without a leading slash.
pub type Files = BTreeMap<String, String>;

/// A scalar in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Site {
    /// Path of the file.
    pub(crate) file: String,
    /// Line, from 1.
    pub(crate) line: usize,
    /// Bytes within the file.
    pub(crate) span: std::ops::Range<usize>,
    /// How it is written.
    pub(crate) style: Style,
    /// Text before the value within the scalar, such as the `KEY=` of a literal.
    pub(crate) front: String,
    /// Spaces before each line, where the scalar stands within a block of text.
    pub(crate) nested: bool,
}

impl Site {
    pub(crate) fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }
}

/// A value that files make, and by which scalars.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Produced {
    pub(crate) value: Value,
    pub(crate) source: Source,
}

/// The scalars that make a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Source {
    /// One scalar is the value.
    Whole(Site),
    /// Several scalars are the parts of an image.
    Image(Box<ImageSource>),
}

/// What makes an image.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ImageSource {
    /// The scalar of the container.
    pub(crate) whole: Site,
    /// What it says.
    pub(crate) declared: Image,
    /// What replaces its name.
    pub(crate) name: Option<Site>,
    /// What replaces its tag.
    pub(crate) tag: Option<Site>,
    /// What replaces its digest.
    pub(crate) digest: Option<Site>,
}

impl Produced {
    /// A place to name in messages.
    pub(crate) fn place(&self) -> String {
        match &self.source {
            Source::Whole(site) => site.place(),
            Source::Image(image) => {
                let ImageSource { whole, name, tag, digest, .. } = image.as_ref();
                [tag, digest, name].into_iter().flatten().next().unwrap_or(whole).place()
            }
        }
    }
}

/// A text of a repository, or a block of text within one.
#[derive(Debug, Clone)]
pub(crate) struct Text<'a> {
    pub(crate) file: &'a str,
    pub(crate) documents: Vec<Node>,
    /// For a block within a file: where each of its lines begins in the file, and the number of the first.
    block: Option<(Vec<(usize, usize)>, usize)>,
}

impl<'a> Text<'a> {
    pub(crate) fn of_file(file: &'a str, text: &str) -> Result<Self, Refusal> {
        let unreadable = |why| Refusal::Unreadable { place: file.to_owned(), why };
        Ok(Self { file, documents: parse(text).map_err(unreadable)?, block: None })
    }

    /// The YAML that a block of text within a file holds.
    pub(crate) fn of_block(file: &'a str, text: &str, block: &Node) -> Result<Self, Refusal> {
        let place = || format!("{file}:{}", block.line);
        let Kind::Scalar { text: inner, style, .. } = &block.kind else {
            return Err(Refusal::NotFollowed { place: place(), why: "is no text".to_owned() });
        };
        let documents = parse(inner).map_err(|why| Refusal::Unreadable { place: place(), why })?;
        if *style != Style::Literal {
            // Readable, but its scalars have no place of their own in the file.
            return Ok(Self { file, documents, block: Some((Vec::new(), block.line)) });
        }
        let raw = text.get(block.span.clone()).unwrap_or_default();
        let head = raw.find('\n').map_or(raw.len(), |at| at + 1);
        let body = raw.get(head..).unwrap_or_default();
        let indent = body
            .lines()
            .find(|line| !line.trim().is_empty())
            .map_or(0, |line| line.bytes().take_while(|b| *b == b' ').count());
        let (mut starts, mut at, mut inner_at) = (Vec::new(), block.span.start + head, 0);
        for line in body.split_inclusive('\n') {
            let content = line.trim_end_matches(['\n', '\r']);
            let shown = content.get(indent..).unwrap_or_default();
            starts.push((inner_at, at + content.len() - shown.len()));
            inner_at += shown.len() + 1;
            at += line.len();
        }
        Ok(Self { file, documents, block: Some((starts, block.line + 1)) })
    }

    pub(crate) fn place(&self, node: &Node) -> String {
        format!("{}:{}", self.file, self.line(node))
    }

    fn line(&self, node: &Node) -> usize {
        self.block.as_ref().map_or(node.line, |(_, first)| first + node.line - 1)
    }

    /// The scalar that a node is, as a place in the file.
    pub(crate) fn site(&self, node: &Node) -> Result<Site, Refusal> {
        let refuse = |why: &str| Refusal::NotFollowed { place: self.place(node), why: why.to_owned() };
        let Kind::Scalar { style, .. } = &node.kind else {
            return Err(refuse("is no single value"));
        };
        let span = match &self.block {
            None => node.span.clone(),
            Some((starts, _)) => {
                let line = starts.iter().rfind(|(inner, _)| *inner <= node.span.start);
                let Some((inner, outer)) = line else {
                    return Err(refuse("stands in a text that is quoted or folded"));
                };
                let next =
                    starts.iter().find(|(begin, _)| begin > inner).map_or(usize::MAX, |(begin, _)| *begin);
                if node.span.end > next || matches!(style, Style::Literal | Style::Folded) {
                    return Err(refuse("is written over several lines within a text"));
                }
                outer + node.span.start - inner..outer + node.span.end - inner
            }
        };
        Ok(Site {
            file: self.file.to_owned(),
            line: self.line(node),
            span,
            style: *style,
            front: String::new(),
            nested: self.block.is_some(),
        })
    }

    /// The value at `path` below `root`, if it is named there.
    pub(crate) fn produced(&self, root: &Node, path: &[String]) -> Result<Option<Produced>, Refusal> {
        let found = root.find(path).map_err(|Aliased { line }| {
            let line = self.block.as_ref().map_or(line, |(_, first)| first + line - 1);
            Refusal::NotFollowed {
                place: format!("{}:{line}", self.file),
                why: "uses an anchor or an alias, which other places may share".to_owned(),
            }
        })?;
        let Some(node) = found else { return Ok(None) };
        Ok(Some(Produced { value: node.value(), source: Source::Whole(self.site(node)?) }))
    }
}

/// Whether a document is the object that is wanted. An object without a namespace gets one when it is applied.
pub(crate) fn is_object(document: &Node, wanted: &ObjectId, any_namespace: bool) -> bool {
    let metadata = document.get("metadata");
    let group = document.text("apiVersion").and_then(|v| v.split_once('/')).map_or("", |(group, _)| group);
    let namespace = metadata.and_then(|m| m.text("namespace")).unwrap_or_default();
    document.text("kind") == Some(wanted.kind.as_str())
        && metadata.and_then(|m| m.text("name")) == Some(wanted.name.as_str())
        && group == wanted.group
        && (any_namespace || namespace.is_empty() || namespace == wanted.namespace)
}

/// The documents of a file, with the items of a `List` as documents of their own.
pub(crate) fn objects(documents: &[Node]) -> impl Iterator<Item = &Node> {
    documents.iter().flat_map(|document| {
        let is_list = document.text("kind").is_some_and(|kind| kind.ends_with("List"));
        match document.get("items") {
            Some(items) if is_list => items.items(),
            _ => std::slice::from_ref(document),
        }
    })
}

/// `path` as seen from the folder `folder`, without `.` and `..`; `None` if it leads out of the repository.
pub(crate) fn resolve(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            other => parts.push(other),
        }
    }
    Some(parts.join("/"))
}

/// The folder of a file.
pub(crate) fn folder_of(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Whether a file lies in a folder or below it.
pub(crate) fn is_below(file: &str, folder: &str) -> bool {
    folder.is_empty() || file.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// Whether a file may hold manifests.
pub(crate) fn is_manifest(file: &str) -> bool {
    [".yaml", ".yml", ".json"].iter().any(|ending| file.ends_with(ending))
}

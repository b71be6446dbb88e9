//! What the miner knows about the header of one stream.

use serde::{Deserialize, Serialize};

use crate::header::Layout;
use crate::skeleton::TemplateId;

/// Lines from which a layout is learned.
const SAMPLE: usize = 64;
/// Bytes of a line that are kept while learning.
const MAX_LINE: usize = 4_096;
/// Lines (net of those that fit) that do not fit the layout before it is learned anew.
const MISFITS: u32 = 128;

/// Learning, or settled on a layout.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Stream {
    layout: Option<Layout>,
    /// Lines so far and their templates; `None` once settled.
    sample: Option<Vec<(String, TemplateId)>>,
    misfits: u32,
}

impl Default for Stream {
    fn default() -> Self {
        Self { layout: None, sample: Some(Vec::new()), misfits: 0 }
    }
}

impl Stream {
    pub(crate) fn fixed(layout: Option<Layout>) -> Self {
        Self { layout, sample: None, misfits: 0 }
    }

    /// The message of a line.
    pub(crate) fn strip<'a>(&self, line: &'a str) -> &'a str {
        self.layout.as_ref().map_or(line, |l| l.strip(line).body)
    }

    /// The message of a line; notices when the stream no longer looks as it did.
    pub(crate) fn take<'a>(&mut self, line: &'a str) -> &'a str {
        let Some(layout) = &self.layout else { return line };
        let stripped = layout.strip(line);
        if !stripped.header.is_empty() {
            self.misfits = self.misfits.saturating_sub(1);
        } else if self.sample.is_none() {
            self.misfits += 1;
            if self.misfits >= MISFITS {
                *self = Self::default();
            }
        }
        stripped.body
    }

    /// Whether it still needs lines to learn from.
    pub(crate) fn is_learning(&self) -> bool {
        self.sample.is_some()
    }

    /// Takes a line into account. Returns lines whose message may have changed with the layout.
    pub(crate) fn learn(&mut self, line: &str, template: TemplateId) -> Vec<(String, TemplateId)> {
        let Some(sample) = &mut self.sample else { return Vec::new() };
        let first = line.lines().next().unwrap_or_default();
        sample.push((first[..first.floor_char_boundary(MAX_LINE)].to_owned(), template));
        let n = sample.len();
        if !n.is_power_of_two() && n < SAMPLE {
            return Vec::new();
        }
        let layout = Layout::fit(sample.iter().map(|(l, _)| l.as_str()));
        let changed = layout != self.layout;
        self.layout = layout;
        let moved = if changed { sample.clone() } else { Vec::new() };
        if n >= SAMPLE {
            self.sample = None;
        }
        moved
    }
}

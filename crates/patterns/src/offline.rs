//! Mining a whole file: ids are final, because every line is assigned after all were seen.

use std::fmt::{self, Write};

use crate::header::Layout;
use crate::miner::{HeaderMode, Miner, MinerConfig};
use crate::skeleton::TemplateId;
use crate::trace;

/// Lines from which the header of a file is learned, spread over the file.
const SAMPLE: usize = 4_096;

/// Result of [`run`].
#[derive(Debug)]
pub struct Offline {
    /// Template of each line, in the order of the input.
    pub lines: Vec<TemplateId>,
    /// The miner, with all templates.
    pub miner: Miner,
}

/// Mines a text file in two passes. Lines end in `\n` or `\r\n`; bytes that are not UTF-8 are replaced.
/// Lines that continue a stack trace belong to the line above.
#[must_use]
pub fn run(input: &[u8]) -> Offline {
    let text = String::from_utf8_lossy(input);
    let lines: Vec<&str> = text.lines().collect();
    let step = lines.len() / SAMPLE + 1;
    let layout = Layout::fit(lines.iter().step_by(step).copied().filter(|l| !trace::continues(l)));
    let mut miner = Miner::new(MinerConfig { headers: HeaderMode::Detect, ..MinerConfig::default() });
    miner.set_layout("", layout);
    let mut ids = Vec::with_capacity(lines.len());
    let mut at = 0;
    while at < lines.len() {
        let mut end = at + 1;
        while end < lines.len() && trace::continues(lines[end]) {
            end += 1;
        }
        let seen = if end == at + 1 {
            miner.observe("", lines[at])
        } else {
            let head = miner.body("", lines[at]).len();
            let head = &lines[at][lines[at].len() - head..];
            let record = std::iter::once(head).chain(lines[at + 1..end].iter().copied()).collect::<Vec<_>>();
            miner.observe("", &record.join("\n"))
        };
        ids.extend(std::iter::repeat_n(seen.template, end - at));
        at = end;
    }
    for id in &mut ids {
        *id = miner.resolve(*id);
    }
    Offline { lines: ids, miner }
}

impl Offline {
    /// Writes JSON lines: `{"line": N, "pattern_id": ID}` for every line, from 1, and
    /// `{"pattern_id": ID, "pattern": TEXT, "count": N}` for every template.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_json(&self, out: &mut impl Write) -> fmt::Result {
        for (i, id) in self.lines.iter().enumerate() {
            writeln!(out, "{{\"line\":{},\"pattern_id\":\"{id}\"}}", i + 1)?;
        }
        for t in self.miner.templates() {
            let text = serde_json::Value::from(t.text.as_str());
            writeln!(out, "{{\"pattern_id\":\"{}\",\"pattern\":{text},\"count\":{}}}", t.id, t.count)?;
        }
        Ok(())
    }
}

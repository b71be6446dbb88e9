//! Recorded cases, and what may befall them: other names, missing edges, late alarms, and hours without an incident.
// Each example uses a part.
#![allow(dead_code)]

use std::collections::BTreeSet;
use std::error::Error;
use std::io::Read as _;
use std::path::Path;

use causeway_causal::case::{Case, LogLine, Names, Span, Sym};

/// A case with its label; no cause where nothing is wrong.
pub(crate) struct Labelled {
    pub(crate) case: Case,
    pub(crate) scenario: String,
    pub(crate) fault: String,
    pub(crate) cause: Option<String>,
}

/// Reads a file, decompressed where its name says so.
pub(crate) fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let bytes = std::fs::read(path)?;
    if path.extension().is_none_or(|e| e != "gz") {
        return Ok(bytes);
    }
    let mut out = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut out)?;
    Ok(out)
}

/// Reads the case of a folder.
pub(crate) fn load(dir: &Path) -> Result<Case, Box<dyn Error>> {
    let text = std::fs::read_to_string(dir.join("case.json"))?;
    Ok(Case::from_files(&text, &mut |file| read(&dir.join(file)))?)
}

/// Reads all cases below a folder, in order of their names.
pub(crate) fn load_labelled(dir: &Path) -> Result<Vec<Labelled>, Box<dyn Error>> {
    let mut folders: Vec<_> = std::fs::read_dir(dir)?.flatten().map(|f| f.path()).collect();
    folders.sort();
    let mut out = Vec::new();
    for folder in folders {
        let label: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.join("target.json"))?)?;
        let text = |key: &str| label[key].as_str().unwrap_or("").to_owned();
        // Loads of the same system are one scenario.
        let scenario = text("scenario");
        let scenario = scenario.trim_end_matches("-low").trim_end_matches("-high").to_owned();
        let cause = label["root_cause"][0].as_str().map(str::to_owned);
        out.push(Labelled { case: load(&folder)?, scenario, fault: text("fault_type"), cause });
    }
    Ok(out)
}

/// How a case is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Variant {
    /// As it is.
    Plain,
    /// All entities have other names, in another order.
    Renamed,
    /// A fifth of the edges is gone.
    Edges,
    /// The alarm comes so many points later.
    Late(i64),
    /// Only what was known so many seconds after the alarm.
    Early(i64),
    /// A stretch of normal operation.
    Quiet,
}

impl Variant {
    pub(crate) const ALL: [Variant; 10] = [
        Variant::Plain,
        Variant::Renamed,
        Variant::Edges,
        Variant::Late(1),
        Variant::Late(2),
        Variant::Late(3),
        Variant::Early(20),
        Variant::Early(40),
        Variant::Early(80),
        Variant::Quiet,
    ];

    /// How many different ones there are to draw, at most `most`.
    pub(crate) fn draws(self, most: u64) -> u64 {
        if matches!(self, Variant::Plain | Variant::Late(_) | Variant::Early(_)) { 1 } else { most }
    }

    /// Name for tables.
    pub(crate) fn name(self) -> String {
        match self {
            Variant::Plain => "plain".to_owned(),
            Variant::Renamed => "renamed".to_owned(),
            Variant::Edges => "edges -20 %".to_owned(),
            Variant::Late(points) => format!("alarm late by {points}"),
            Variant::Early(seconds) => format!("first {seconds} s"),
            Variant::Quiet => "no incident".to_owned(),
        }
    }

    /// The changed case; `None` where it cannot be made.
    pub(crate) fn of(self, original: &Labelled, draw: u64) -> Option<Labelled> {
        let mut dice = Dice::of(&original.case.id, draw);
        let (mut case, mut cause) = (original.case.clone(), original.cause.clone());
        match self {
            Variant::Plain => {}
            Variant::Renamed => rename(&mut case, &mut cause, &mut dice),
            Variant::Edges => drop_edges(&mut case, &mut dice),
            Variant::Late(points) => case.symptom.start_us += points * i64::from(case.interval_s) * 1_000_000,
            Variant::Early(seconds) => cut(&mut case, seconds * 1_000_000),
            Variant::Quiet => {
                cause = None;
                case = quiet(&case, &mut dice)?;
            }
        }
        Some(Labelled { case, scenario: original.scenario.clone(), fault: original.fault.clone(), cause })
    }
}

/// Keeps what had happened so long after the alarm: whole spans, lines and the minutes that have begun.
fn cut(case: &mut Case, known_us: i64) {
    let until = case.symptom.start_us + known_us;
    case.spans.retain(|s| s.start_us + s.duration_us <= until);
    case.logs.retain(|l| l.time_us <= until);
    let kept = case.times_us.iter().filter(|t| **t <= until).count();
    case.times_us.truncate(kept);
    case.series.iter_mut().for_each(|s| s.values.truncate(kept));
}

/// A small repeatable source of numbers (a linear congruence with a mixed output).
struct Dice(u64);

impl Dice {
    fn of(text: &str, draw: u64) -> Self {
        let seed = text
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        let mut out = Self(seed ^ draw.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        out.below(2);
        out
    }

    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mixed = (self.0 ^ (self.0 >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        mixed as usize % n.max(1)
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        for at in (1..list.len()).rev() {
            list.swap(at, self.below(at + 1));
        }
    }
}

fn rename(case: &mut Case, cause: &mut Option<String>, dice: &mut Dice) {
    let entities: BTreeSet<Sym> = case
        .series
        .iter()
        .map(|s| s.entity)
        .chain(case.edges.iter().flat_map(|e| [e.from, e.to]))
        .chain(case.spans.iter().chain(&case.baseline_spans).map(|s| s.entity))
        .chain(case.logs.iter().chain(&case.baseline_logs).map(|l| l.entity))
        .chain(case.changes.iter().map(|c| c.entity))
        .chain([case.symptom.entity])
        .collect();
    let mut numbers: Vec<usize> = (0..entities.len()).collect();
    dice.shuffle(&mut numbers);
    let mut given = numbers.iter();
    let mut names = Names::default();
    for sym in (0..case.names.len() as u32).map(Sym) {
        let old = case.names.text(sym);
        let new = match entities.contains(&sym).then(|| given.next()).flatten() {
            Some(number) => format!("entity-{number:03}"),
            None => old.to_owned(),
        };
        if cause.as_deref() == Some(old) {
            *cause = Some(new.clone());
        }
        names.intern(&new);
    }
    case.names = names;
}

fn drop_edges(case: &mut Case, dice: &mut Dice) {
    let keep = case.edges.len() - case.edges.len() / 5;
    dice.shuffle(&mut case.edges);
    case.edges.truncate(keep);
}

/// A stretch of the baseline takes the place of the incident; the rest stays the baseline.
fn quiet(case: &Case, dice: &mut Dice) -> Option<Case> {
    let (len, step) = (case.times_us.len(), i64::from(case.interval_s) * 1_000_000);
    let times = &case.baseline_times_us;
    let whole: Vec<usize> = (0..times.len().checked_sub(len)?)
        .filter(|at| times[at + len - 1] - times[*at] < step * len as i64)
        .collect();
    let at = *whole.get(dice.below(whole.len()))?;
    let before = case.symptom.start_us - *case.times_us.first()?;
    let mut out = case.clone();
    out.times_us = times[at..at + len].to_vec();
    out.baseline_times_us.drain(at..at + len);
    out.symptom.start_us = times[at] + before;
    for series in &mut out.series {
        let end = (at + len).min(series.baseline.len());
        series.values = series.baseline.drain(at.min(end)..end).collect();
    }
    // Spans and lines of a few minutes stand for normal operation: half of their time for now, half for before.
    let middle = |times: Vec<i64>| {
        let mut times = times;
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or(0)
    };
    let cut = middle(case.baseline_spans.iter().map(|s| s.start_us).collect());
    let now = |s: &Span| s.start_us >= cut;
    out.spans = case.baseline_spans.iter().copied().filter(now).collect();
    out.baseline_spans.retain(|s| !now(s));
    let now = |l: &LogLine| l.time_us >= cut;
    out.logs = case.baseline_logs.iter().filter(|l| now(l)).cloned().collect();
    out.baseline_logs.retain(|l| !now(l));
    Some(out)
}

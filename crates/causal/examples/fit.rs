//! Fits the coefficients of the fusion on labelled cases: `fit --cases DIR [--cases DIR ...]`, each DIR holding case folders
//! with a `target.json`. A label that names no entity of its case stands for a window without an incident.
//!
//! Maximum likelihood of a softmax over the suspects and "none of these", with coefficients at least 0 and a pull towards the
//! committed ones; then each fault type and each root cause is left out in turn, fitted on the rest and ranked.
#![allow(missing_docs, clippy::print_stdout, clippy::print_stderr)]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io::Read as _;
use std::path::Path;

use causeway_causal::case::Case;
use causeway_causal::rank::{coefficients, rank};

/// Strength of the pull towards the committed coefficients.
const PULL: f64 = 0.05;
const STEPS: usize = 600;
const RATE: f64 = 0.03;

struct Example {
    scenario: String,
    fault: String,
    cause: String,
    /// Strength of each term of each suspect.
    rows: Vec<Vec<f64>>,
    /// Position of the label; `None` for "none of these".
    label: Option<usize>,
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let bytes = std::fs::read(path)?;
    if path.extension().is_none_or(|e| e != "gz") {
        return Ok(bytes);
    }
    let mut out = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut out)?;
    Ok(out)
}

fn example(dir: &Path, terms: &[(&str, f64)]) -> Result<Example, Box<dyn Error>> {
    let text = std::fs::read_to_string(dir.join("case.json"))?;
    let case = Case::from_files(&text, &mut |file| read(&dir.join(file)))?;
    let label: serde_json::Value = serde_json::from_slice(&std::fs::read(dir.join("target.json"))?)?;
    let text = |key: &str| label[key].as_str().unwrap_or("").to_owned();
    let cause = label["root_cause"][0].as_str().unwrap_or("").to_owned();
    let ranking = rank(&case);
    let row = |s: &causeway_causal::ranking::Suspect| {
        let points = |name: &str| s.terms.iter().find(|t| t.name == name).map_or(0.0, |t| t.points);
        terms.iter().map(|(name, weight)| points(name) / weight.max(1e-9)).collect()
    };
    Ok(Example {
        scenario: text("scenario"),
        fault: text("fault_type"),
        label: ranking.ranked.iter().position(|s| s.entity == cause),
        rows: ranking.ranked.iter().map(row).collect(),
        cause,
    })
}

fn score(row: &[f64], weights: &[f64]) -> f64 {
    row.iter().zip(weights).map(|(x, w)| x * w).sum()
}

/// Projected gradient ascent; the last weight is the log-odds of "none of these".
fn fit(examples: &[&Example], prior: &[f64]) -> Vec<f64> {
    let mut weights = prior.to_vec();
    let none = prior.len() - 1;
    for _ in 0..STEPS {
        let mut gradient: Vec<f64> =
            weights.iter().zip(prior).map(|(w, p)| -PULL * (w - p) * examples.len() as f64 / 10.0).collect();
        for example in examples {
            let scores: Vec<f64> = example.rows.iter().map(|r| score(r, &weights)).collect();
            let top = scores.iter().copied().fold(weights[none], f64::max);
            let mass = |s: f64| (s - top).exp();
            let silent = |s: &f64| *s <= 0.0;
            let all: f64 =
                mass(weights[none]) + scores.iter().filter(|s| !silent(s)).map(|s| mass(*s)).sum::<f64>();
            gradient[none] += f64::from(u8::from(example.label.is_none())) - mass(weights[none]) / all;
            for (at, row) in example.rows.iter().enumerate().filter(|(at, _)| !silent(&scores[*at])) {
                let error = f64::from(u8::from(example.label == Some(at))) - mass(scores[at]) / all;
                for (g, x) in gradient.iter_mut().zip(row) {
                    *g += error * x;
                }
            }
        }
        for (w, g) in weights.iter_mut().zip(&gradient) {
            *w = (*w + RATE * g).clamp(0.0, 12.0);
        }
    }
    weights
}

fn first_is_right(example: &Example, weights: &[f64]) -> bool {
    let best = (0..example.rows.len()).max_by(|a, b| {
        score(&example.rows[*a], weights).total_cmp(&score(&example.rows[*b], weights)).then(b.cmp(a))
    });
    example.label.is_some() && best == example.label
}

fn left_out(
    examples: &[Example],
    prior: &[f64],
    key: impl Fn(&Example) -> String,
) -> BTreeMap<String, (usize, usize)> {
    let groups: BTreeSet<String> = examples.iter().filter(|e| e.label.is_some()).map(&key).collect();
    let mut out: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for group in groups {
        let rest: Vec<&Example> = examples.iter().filter(|e| key(e) != group).collect();
        let weights = fit(&rest, prior);
        for example in examples.iter().filter(|e| key(e) == group && e.label.is_some()) {
            let entry = out.entry(example.scenario.clone()).or_default();
            entry.0 += 1;
            entry.1 += usize::from(first_is_right(example, &weights));
        }
    }
    out
}

fn main() -> Result<(), Box<dyn Error>> {
    let terms = coefficients();
    let mut examples = Vec::new();
    let args: Vec<String> = std::env::args().skip(1).collect();
    for dir in args.iter().filter(|a| *a != "--cases") {
        let mut folders: Vec<_> = std::fs::read_dir(dir)?.flatten().map(|f| f.path()).collect();
        folders.sort();
        for folder in folders {
            examples.push(example(&folder, &terms)?);
        }
    }
    let prior: Vec<f64> = terms.iter().map(|t| t.1).chain([causeway_causal::rank::none_of_these()]).collect();
    let all: Vec<&Example> = examples.iter().collect();
    let weights = fit(&all, &prior);
    for ((name, before), after) in terms.iter().chain([&("(none)", prior[prior.len() - 1])]).zip(&weights) {
        println!("{name:16} {before:6.2} -> {after:6.2}");
    }
    let count = |weights: &[f64]| {
        let mut out: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for example in examples.iter().filter(|e| e.label.is_some()) {
            let entry = out.entry(example.scenario.clone()).or_default();
            entry.0 += 1;
            entry.1 += usize::from(first_is_right(example, weights));
        }
        out
    };
    println!("committed            (cases, right) {:?}", count(&prior));
    println!("fitted on all        (cases, right) {:?}", count(&weights));
    println!(
        "fault type left out  (cases, right) {:?}",
        left_out(&examples, &prior, |e| format!("{} {}", e.scenario, e.fault))
    );
    println!("root cause left out  (cases, right) {:?}", left_out(&examples, &prior, |e| e.cause.clone()));
    Ok(())
}

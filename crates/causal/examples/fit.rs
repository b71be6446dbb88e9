//! Fits the coefficients of the fusion on labelled cases: `fit --cases DIR [--cases DIR ...] [--draws N] [--flat]`, each DIR
//! holding case folders with a `target.json`; `--flat` starts from equal coefficients instead of the committed ones. A label
//! that names no entity of its case stands for a window without an incident.
//!
//! Maximum likelihood of a softmax over the suspects and "none of these" (McFadden, 1974), with coefficients at least 0 and a
//! pull towards the start, over the cases and their variants (see `variants`), a case and its variants weighing the same in
//! sum. Then each fault type and each root cause is left out in turn with all its variants, fitted on the rest and ranked.
//! Cost: linear in steps, examples and suspects.
#![allow(missing_docs, clippy::print_stdout, clippy::print_stderr)]

mod variants;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use causeway_causal::rank::{coefficients, none_of_these, rank};
use causeway_causal::ranking::Suspect;
use variants::{Labelled, Variant, load_labelled};

/// Strength of the pull towards where the fit starts.
const PULL: f64 = 0.02;
const STEPS: usize = 400;
const RATE: f64 = 0.1;

struct Example {
    variant: Variant,
    scenario: String,
    fault: String,
    cause: String,
    /// Weight in the fit.
    weight: f64,
    /// Strength of each term of each suspect.
    rows: Vec<Vec<f64>>,
    /// Position of the label; `None` for "none of these".
    label: Option<usize>,
}

fn example(
    original: &Labelled,
    made: &Labelled,
    variant: Variant,
    weight: f64,
    terms: &[(&str, f64)],
) -> Example {
    let ranking = rank(&made.case);
    let row = |s: &Suspect| {
        let points = |name: &str| s.terms.iter().find(|t| t.name == name).map_or(0.0, |t| t.points);
        terms.iter().map(|(name, weight)| points(name) / weight.max(1e-9)).collect()
    };
    Example {
        variant,
        scenario: made.scenario.clone(),
        fault: made.fault.clone(),
        cause: original.cause.clone().unwrap_or_default(),
        weight,
        label: ranking.ranked.iter().position(|s| Some(&s.entity) == made.cause.as_ref()),
        // What has no points never wins anything.
        rows: ranking.ranked.iter().map(row).filter(|r: &Vec<f64>| r.iter().any(|x| *x > 0.0)).collect(),
    }
}

fn score(row: &[f64], weights: &[f64]) -> f64 {
    row.iter().zip(weights).map(|(x, w)| x * w).sum()
}

/// Projected gradient ascent; the last weight is the log-odds of "none of these".
fn fit(examples: &[&Example], prior: &[f64]) -> Vec<f64> {
    let mut weights = prior.to_vec();
    let none = prior.len() - 1;
    let all: f64 = examples.iter().map(|e| e.weight).sum();
    for _ in 0..STEPS {
        let mut gradient: Vec<f64> = weights.iter().zip(prior).map(|(w, p)| -PULL * (w - p)).collect();
        for example in examples {
            let scores: Vec<f64> = example.rows.iter().map(|r| score(r, &weights)).collect();
            let top = scores.iter().copied().fold(weights[none], f64::max);
            let mass = |s: f64| (s - top).exp();
            let sum: f64 = mass(weights[none]) + scores.iter().map(|s| mass(*s)).sum::<f64>();
            let weight = example.weight / all * 10.0;
            let right = example.label.filter(|l| *l < example.rows.len());
            gradient[none] += weight * (f64::from(u8::from(right.is_none())) - mass(weights[none]) / sum);
            for (at, row) in example.rows.iter().enumerate() {
                let error = f64::from(u8::from(right == Some(at))) - mass(scores[at]) / sum;
                for (g, x) in gradient.iter_mut().zip(row) {
                    *g += weight * error * x;
                }
            }
        }
        for (w, g) in weights.iter_mut().zip(&gradient) {
            *w = (*w + RATE * g).clamp(0.0, 12.0);
        }
    }
    weights
}

/// How many suspects score at least as well as the label.
fn position(example: &Example, weights: &[f64]) -> Option<usize> {
    let label = example.label.filter(|l| *l < example.rows.len())?;
    let own = score(&example.rows[label], weights);
    let better = |(at, row): (usize, &Vec<f64>)| {
        let other = score(row, weights);
        other > own || (other >= own && at < label)
    };
    Some(example.rows.iter().enumerate().filter(|e| better((e.0, e.1))).count())
}

/// Cases, first and among the first three, by variant and scenario.
type Hits = BTreeMap<(Variant, String), (f64, f64, f64)>;

fn count<'e>(hits: &mut Hits, examples: impl Iterator<Item = &'e Example>, weights: &[f64]) {
    for example in examples.filter(|e| e.variant != Variant::Quiet) {
        let position = position(example, weights);
        let entry = hits.entry((example.variant, example.scenario.clone())).or_default();
        entry.0 += 1.0;
        entry.1 += f64::from(u8::from(position == Some(0)));
        entry.2 += f64::from(u8::from(position.is_some_and(|p| p < 3)));
    }
}

fn left_out(examples: &[Example], prior: &[f64], key: impl Fn(&Example) -> String) -> Hits {
    let groups: BTreeSet<String> = examples.iter().map(&key).collect();
    let mut out = Hits::new();
    for group in groups {
        let rest: Vec<&Example> = examples.iter().filter(|e| key(e) != group).collect();
        let weights = fit(&rest, prior);
        count(&mut out, examples.iter().filter(|e| key(e) == group), &weights);
    }
    out
}

fn main() -> Result<(), Box<dyn Error>> {
    let (mut cases, mut draws, mut flat) = (Vec::new(), 3, false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--cases" => cases.extend(load_labelled(args.next().ok_or("--cases needs a folder")?.as_ref())?),
            "--draws" => draws = args.next().ok_or("--draws needs a number")?.parse()?,
            "--flat" => flat = true,
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    let terms = coefficients();
    let mut examples = Vec::new();
    for variant in Variant::ALL.into_iter().filter(|v| *v != Variant::Renamed) {
        let draws = variant.draws(draws);
        for original in &cases {
            for made in (0..draws).filter_map(|draw| variant.of(original, draw)) {
                examples.push(example(original, &made, variant, 1.0 / draws as f64, &terms));
            }
        }
    }
    let committed: Vec<f64> = terms.iter().map(|t| t.1).chain([none_of_these()]).collect();
    // Left-out figures that start at the committed coefficients would have seen what is left out.
    let start = vec![4.0; committed.len()];
    let prior = if flat { &start } else { &committed };
    let all: Vec<&Example> = examples.iter().collect();
    let weights = fit(&all, prior);
    for ((name, before), after) in terms.iter().chain([&("(none)", none_of_these())]).zip(&weights) {
        println!("{name:16} {before:6.2} -> {after:6.2}");
    }
    let (mut before, mut after) = (Hits::new(), Hits::new());
    count(&mut before, examples.iter(), &committed);
    count(&mut after, examples.iter(), &weights);
    let columns = [
        before,
        after,
        left_out(&examples, &start, |e| format!("{} {}", e.scenario, e.fault)),
        left_out(&examples, &start, |e| e.cause.clone()),
    ];
    println!(
        "\ntop-1 / top-3 {:18} {:>13} {:>13} {:>13} {:>13}",
        "", "committed", "fitted", "fault out", "cause out"
    );
    for ((variant, scenario), (n, _, _)) in &columns[0] {
        print!("{:18} {scenario:10} {n:3}", variant.name());
        for hits in &columns {
            let (_, first, third) = hits.get(&(*variant, scenario.clone())).copied().unwrap_or_default();
            print!("   {:.3} {:.3}", first / n, third / n);
        }
        println!();
    }
    Ok(())
}

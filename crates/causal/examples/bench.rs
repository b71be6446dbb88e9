//! How the ranking stands what befalls it: `bench --cases DIR [--cases DIR ...] [--draws N] [--misses]`, each DIR holding case
//! folders with a `target.json`. Prints top-1 and top-3 by scenario and variant, how often a cause is named at all, how often a wrong one, and the
//! median time of a ranking. These are in-sample figures; `fit` gives the cross-validated ones.
#![allow(missing_docs, clippy::print_stdout, clippy::print_stderr)]

mod variants;

use std::collections::BTreeMap;
use std::error::Error;
use std::time::{Duration, Instant};

use causeway_causal::rank::rank;
use variants::{Variant, load_labelled};

#[derive(Default)]
struct Tally {
    cases: f64,
    first: f64,
    third: f64,
    named: f64,
    wrong: f64,
    spent: Vec<Duration>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let (mut cases, mut draws, mut misses) = (Vec::new(), 5, false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--cases" => cases.extend(load_labelled(args.next().ok_or("--cases needs a folder")?.as_ref())?),
            "--draws" => draws = args.next().ok_or("--draws needs a number")?.parse()?,
            "--misses" => misses = true,
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    let mut table: BTreeMap<(Variant, String), Tally> = BTreeMap::new();
    for variant in Variant::ALL {
        for original in &cases {
            for draw in 0..variant.draws(draws) {
                let Some(made) = variant.of(original, draw) else { continue };
                let begun = Instant::now();
                let ranking = rank(&made.case);
                let spent = begun.elapsed();
                let position = ranking.ranked.iter().position(|s| Some(&s.entity) == made.cause.as_ref());
                if misses && made.cause.is_some() && position != Some(0) {
                    let cause = made.cause.as_deref().unwrap_or("");
                    println!("{} ({draw}) {} {}: {cause}", variant.name(), original.case.id, made.fault);
                    for (at, suspect) in ranking.ranked.iter().enumerate() {
                        if at < 3 || Some(at) == position {
                            let terms: Vec<String> =
                                suspect.terms.iter().map(|t| format!("{} {:.2}", t.name, t.value)).collect();
                            println!("    {at} {:.2} {} {}", suspect.score, suspect.entity, terms.join(", "));
                        }
                    }
                }
                for scenario in [made.scenario.as_str(), "all"] {
                    let tally = table.entry((variant, scenario.to_owned())).or_default();
                    tally.cases += 1.0;
                    tally.first += f64::from(u8::from(position == Some(0)));
                    tally.third += f64::from(u8::from(position.is_some_and(|p| p < 3)));
                    tally.named += f64::from(u8::from(!ranking.abstained));
                    tally.wrong += f64::from(u8::from(!ranking.abstained && position != Some(0)));
                    tally.spent.push(spent);
                }
            }
        }
    }
    println!(
        "{:22} {:10} {:>6} {:>6} {:>6} {:>6} {:>6} {:>8}",
        "variant", "scenario", "cases", "top-1", "top-3", "named", "wrong", "ms"
    );
    for ((variant, scenario), mut tally) in table {
        tally.spent.sort();
        let (n, ms) = (tally.cases, tally.spent[tally.spent.len() / 2].as_secs_f64() * 1000.0);
        let (first, third) = (tally.first / n, tally.third / n);
        let (name, named, wrong) = (variant.name(), tally.named / n, tally.wrong / n);
        if variant == Variant::Quiet {
            println!("{name:22} {scenario:10} {n:6} {:>6} {:>6} {named:6.3} {wrong:6.3} {ms:8.1}", "-", "-");
        } else {
            println!(
                "{name:22} {scenario:10} {n:6} {first:6.3} {third:6.3} {named:6.3} {wrong:6.3} {ms:8.1}"
            );
        }
    }
    Ok(())
}

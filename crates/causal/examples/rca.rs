//! Ranks the causes of a recorded case: `rca --case DIR [--case DIR ...] [--terms]`.
#![allow(missing_docs, clippy::print_stdout, clippy::print_stderr)]

mod variants;

use std::error::Error;
use std::path::PathBuf;

use causeway_causal::offline::to_json;
use causeway_causal::rank::rank;

fn main() -> Result<(), Box<dyn Error>> {
    let mut cases: Vec<PathBuf> = Vec::new();
    let mut terms = false;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--case" => cases.push(args.next().ok_or("--case needs a folder")?.into()),
            "--terms" => terms = true,
            "--json" => {}
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    for dir in cases {
        let case = variants::load(&dir)?;
        let begun = std::time::Instant::now();
        let ranking = rank(&case);
        let spent = begun.elapsed();
        if terms {
            println!(
                "{} confidence {:.2} abstained {} {spent:?}",
                case.id, ranking.confidence, ranking.abstained
            );
            for suspect in ranking.ranked.iter().take(40).filter(|s| s.score > 0.0) {
                print!("   {:6.2} {:44}", suspect.score, suspect.entity);
                for term in &suspect.terms {
                    print!(" {}={:.2}", term.name, term.value);
                }
                println!();
            }
        } else {
            println!("{}", to_json(&case.id, &ranking));
        }
    }
    Ok(())
}

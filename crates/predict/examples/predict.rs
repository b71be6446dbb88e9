//! The offline commands without the operator: `predict baseline|forecast --series F [--horizon H] [--events E] --json`.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::fs;
use std::io::{BufWriter, Write, stdout};

use causeway_predict::offline;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|a| a == name)?;
        arguments.get(at + 1).filter(|v| !v.is_empty())
    };
    let series = fs::read_to_string(option("--series").ok_or("--series is missing")?)?;
    let events = option("--events").map(fs::read_to_string).transpose()?;
    let mut out = BufWriter::new(stdout().lock());
    match arguments.get(1).map(String::as_str) {
        Some("baseline") => {
            for line in offline::baseline(&series, events.as_deref())? {
                writeln!(out, "{line}")?;
            }
        }
        Some("forecast") => {
            let horizon = option("--horizon").ok_or("--horizon is missing")?.parse()?;
            writeln!(out, "{}", offline::forecast(&series, horizon, events.as_deref())?)?;
        }
        _ => return Err("the first argument is baseline or forecast".into()),
    }
    Ok(())
}

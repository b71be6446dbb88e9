//! Mines a log file: `patterns --input FILE --json`, or `--bench` for lines per CPU second.

use std::error::Error;
use std::hint::black_box;

use causeway_patterns::{Miner, offline};

/// CPU seconds of this process, from the kernel's count in ticks of 10 ms.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(ticks as f64 / 100.0)
}

fn bench(text: &str) -> Result<f64, Box<dyn Error>> {
    let lines: Vec<&str> = text.lines().collect();
    let mut miner = Miner::default();
    let start = cpu_seconds()?;
    let mut seen = 0u64;
    while cpu_seconds()? - start < 2.0 {
        for l in &lines {
            black_box(miner.observe("bench", l));
        }
        seen += lines.len() as u64;
    }
    Ok(seen as f64 / (cpu_seconds()? - start))
}

#[expect(clippy::print_stdout, reason = "a command-line example")]
fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let path = args
        .iter()
        .position(|a| a == "--input")
        .and_then(|i| args.get(i + 1))
        .ok_or("--input FILE is missing")?;
    let input = std::fs::read(path)?;
    if args.iter().any(|a| a == "--bench") {
        println!("{:.0} lines per CPU second", bench(&String::from_utf8_lossy(&input))?);
        return Ok(());
    }
    let mut out = String::new();
    offline::run(&input).write_json(&mut out)?;
    print!("{out}");
    Ok(())
}

//! Mines a log file: `patterns --input FILE --json`, or `--bench` for lines per CPU second, of generated ones without a
//! file.

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

/// Lines of a web shop, the same on every run: a dozen templates with numbers, durations, addresses, ids and paths.
fn generated() -> String {
    let mut text = String::new();
    for n in 0..20_000_u64 {
        let random = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let (a, b) = (random >> 40, random >> 20 & 0xff);
        let line = match random >> 33 & 0xf {
            0..=4 => format!("GET /api/v1/orders/{a} 200 {b}ms"),
            5 => format!("order {random:016x} accepted for user u{a} with {b} items"),
            6 => format!("connection from 10.0.{b}.7:{} closed after {b}.{b}s", 1024 + b),
            7 => format!("cache miss for key cart:{a}, size {b} KB"),
            8 => format!("pool main: {b} of 256 connections in use"),
            9 => format!("retry {} of 5 against payment: timeout after {b}0ms", b % 5),
            10 => format!("wrote /var/lib/shop/segments/{a:08x}.seg ({b} records)"),
            11 => format!("price of article {a} changed from {b}.10 to {b}.90"),
            12 => format!("session {random:032x} expired"),
            13 => format!("heartbeat {n}"),
            14 => format!("query took {b} ms: SELECT * FROM article WHERE id = {a}"),
            _ => format!("worker-{} picked up job {a}", b % 16),
        };
        text.push_str(&line);
        text.push('\n');
    }
    text
}

#[expect(clippy::print_stdout, reason = "a command-line example")]
fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let path = args.iter().position(|a| a == "--input").and_then(|i| args.get(i + 1));
    let input = path.map(std::fs::read).transpose()?;
    if args.iter().any(|a| a == "--bench") {
        let text = input.map_or_else(generated, |input| String::from_utf8_lossy(&input).into_owned());
        println!("{:.0} lines per CPU second", bench(&text)?);
        return Ok(());
    }
    let input = input.ok_or("--input FILE is missing")?;
    let mut out = String::new();
    offline::run(&input).write_json(&mut out)?;
    print!("{out}");
    Ok(())
}

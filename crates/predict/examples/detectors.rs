//! What detectors and forecasts cost: `detectors`. Every series has a detector of its own, and they are fed in turn, as
//! the engine does it: most of the state comes from memory, not from a cache.

use std::error::Error;
use std::hint::black_box;

use causeway_predict::{Config, Detector, ForecastOptions, SignalKind, forecast};

const SERIES: usize = 20_000;
const MINUTES: i64 = 120;

/// CPU seconds of this process, from the kernel's count in ticks of 10 ms.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(ticks as f64 / 100.0)
}

/// Resident memory of this process, bytes.
fn resident() -> Result<f64, Box<dyn Error>> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: f64 = statm.split_whitespace().nth(1).unwrap_or_default().parse()?;
    Ok(pages * 4096.0)
}

/// A day's wave with noise; the same for the same arguments.
fn value(series: usize, time: i64) -> f64 {
    let noise = (series as u64 ^ time as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let day = (time as f64 / 86_400.0 * std::f64::consts::TAU).sin();
    100.0 + 20.0 * day + noise as f64 / f64::from(1 << 24) * 10.0
}

#[expect(clippy::print_stdout, reason = "a command-line example")]
fn main() -> Result<(), Box<dyn Error>> {
    let before = resident()?;
    let config = Config { step: Some(60), ..Config::golden(SignalKind::Gauge) };
    let mut detectors: Vec<Detector> = (0..SERIES).map(|_| Detector::new(config.clone())).collect();
    let feed = |detectors: &mut [Detector], minutes: std::ops::Range<i64>| {
        for minute in minutes {
            for (series, detector) in detectors.iter_mut().enumerate() {
                black_box(detector.observe(minute * 60, Some(value(series, minute * 60))));
            }
        }
    };
    feed(&mut detectors, 0..MINUTES);
    let state = (resident()? - before) / SERIES as f64;
    let start = cpu_seconds()?;
    feed(&mut detectors, MINUTES..2 * MINUTES);
    let points = SERIES as f64 * MINUTES as f64;
    let micros = (cpu_seconds()? - start) * 1e6 / points;
    println!("{SERIES} series: {micros:.2} µs of CPU a point, {state:.0} bytes of memory a series");

    let history: Vec<(i64, f64)> = (0..8064).map(|n| (n * 300, value(7, n * 300))).collect();
    let (start, mut count) = (cpu_seconds()?, 0);
    while cpu_seconds()? - start < 2.0 {
        for _ in 0..20 {
            black_box(forecast(&history, 288, &ForecastOptions::default())?);
        }
        count += 20;
    }
    let millis = (cpu_seconds()? - start) * 1e3 / f64::from(count);
    println!("a day ahead from four weeks of five minutes: {millis:.2} ms of CPU");
    Ok(())
}

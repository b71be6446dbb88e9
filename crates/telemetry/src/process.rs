//! Memory of this process, as the Linux kernel counts it.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Resident memory of this process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessMemory {
    /// Resident now (`VmRSS`).
    pub resident_bytes: u64,
    /// Highest resident size since the process started (`VmHWM`).
    pub peak_resident_bytes: u64,
}

/// Reads this process's memory from `/proc/self/status`; `None` where that file does not exist (not Linux).
#[must_use]
pub fn process_memory() -> Option<ProcessMemory> {
    parse(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn parse(status: &str) -> Option<ProcessMemory> {
    Some(ProcessMemory {
        resident_bytes: kibibytes(status, "VmRSS:")? * 1024,
        peak_resident_bytes: kibibytes(status, "VmHWM:")? * 1024,
    })
}

fn kibibytes(status: &str, key: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Reads the memory at the moment the registry is scraped, so that nothing has to poll it.
#[derive(Debug)]
pub(crate) struct MemoryCollector;

impl Collector for MemoryCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let Some(memory) = process_memory() else { return Ok(()) };
        let rows = [
            ("process_resident_memory", "Resident memory of this process now", memory.resident_bytes),
            (
                "process_peak_resident_memory",
                "Highest resident memory of this process since it started",
                memory.peak_resident_bytes,
            ),
        ];
        for (name, help, value) in rows {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            let metric = encoder.encode_descriptor(name, help, Some(&Unit::Bytes), gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_sizes() {
        let status = "Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t   1024 kB\nThreads:\t1\n";
        let memory = parse(status).unwrap();
        assert_eq!(memory, ProcessMemory { resident_bytes: 1 << 20, peak_resident_bytes: 2 << 20 });
        assert_eq!(parse("Name:\tx\n"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_memory() {
        let memory = process_memory().unwrap();
        assert!(memory.resident_bytes > 0 && memory.peak_resident_bytes >= memory.resident_bytes);
    }
}

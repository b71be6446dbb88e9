//! What a metric name means: its class, unit, bad direction and the size of change that matters. One committed table, `signals.tsv`.

/// Meaning of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Time to serve a request.
    Latency,
    /// Time that outgoing requests take.
    LatencyClient,
    /// Failed requests, as a count or a share.
    Errors,
    /// Successful share of requests.
    Success,
    /// Requests, messages, operations.
    Traffic,
    /// CPU of a workload.
    Cpu,
    /// Memory of a workload.
    Memory,
    /// Disk or volume.
    Disk,
    /// Throttled time or requests.
    Throttle,
    /// Restarts.
    Restarts,
    /// Waiting work.
    Queue,
    /// Messages that wait for a consumer.
    Lag,
    /// Connections of a pool, or who waits for one.
    Pool,
    /// Network volume.
    Network,
    /// CPU of the host, shared by what runs there.
    HostCpu,
    /// Memory of the host.
    HostMemory,
    /// Unknown.
    Other,
}

/// The four golden signals, and the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Golden {
    /// Latency.
    Latency,
    /// Errors, or missing success.
    Errors,
    /// Traffic.
    Traffic,
    /// Saturation.
    Saturation,
    /// None of the four.
    Other,
}

impl Class {
    /// The golden signal that the class belongs to.
    pub fn golden(self) -> Golden {
        match self {
            Class::Latency | Class::LatencyClient => Golden::Latency,
            Class::Errors | Class::Success => Golden::Errors,
            Class::Traffic | Class::Network => Golden::Traffic,
            Class::Other => Golden::Other,
            _ => Golden::Saturation,
        }
    }

    fn parse(text: &str) -> Class {
        match text {
            "latency" => Class::Latency,
            "latency_client" => Class::LatencyClient,
            "errors" => Class::Errors,
            "success" => Class::Success,
            "traffic" => Class::Traffic,
            "cpu" => Class::Cpu,
            "memory" => Class::Memory,
            "disk" => Class::Disk,
            "throttle" => Class::Throttle,
            "restarts" => Class::Restarts,
            "queue" => Class::Queue,
            "lag" => Class::Lag,
            "pool" => Class::Pool,
            "network" => Class::Network,
            "host_cpu" => Class::HostCpu,
            "host_memory" => Class::HostMemory,
            _ => Class::Other,
        }
    }
}

/// The direction in which a metric is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// More is worse.
    Up,
    /// Less is worse.
    Down,
    /// Either way is unusual.
    Both,
}

/// What the table says of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Signal {
    /// Meaning.
    pub class: Class,
    /// Unit of the values, as in the table.
    pub unit: &'static str,
    /// Bad direction.
    pub bad: Bad,
    /// Smallest scale of a change, in the unit.
    pub floor: f64,
    /// Level from which saturation counts, in the unit; 0 for no gate.
    pub material: f64,
}

const TABLE: &str = include_str!("signals.tsv");

/// The meaning of a metric and its statistic; unknown names fall back to words in them. Cost: one pass over the table.
pub fn classify(metric: &str, stat: &str) -> Signal {
    let (metric, stat) = (metric.to_ascii_lowercase(), stat.to_ascii_lowercase());
    for line in TABLE.lines() {
        if line.starts_with('#') {
            continue;
        }
        let mut columns = line.split('\t');
        let mut next = || columns.next().unwrap_or("");
        if !matches_pattern(next(), &metric) || !matches_pattern(next(), &stat) {
            continue;
        }
        let (class, unit, bad) = (Class::parse(next()), next(), next());
        return Signal {
            class,
            unit,
            bad: match bad {
                "up" => Bad::Up,
                "down" => Bad::Down,
                _ => Bad::Both,
            },
            floor: next().parse().unwrap_or(0.001),
            material: next().parse().unwrap_or(0.0),
        };
    }
    Signal { class: Class::Other, unit: "count", bad: Bad::Both, floor: 0.001, material: 0.0 }
}

/// Glob match with `*` only.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    let Some((head, mut rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    while let Some((part, after)) = rest.split_once('*') {
        let Some(at) = text.find(part) else {
            return false;
        };
        text = &text[at + part.len()..];
        rest = after;
    }
    text.ends_with(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_and_unknown_names() {
        assert_eq!(classify("latency", "p99").class, Class::Latency);
        assert_eq!(classify("client_latency", "p99").class, Class::LatencyClient);
        assert_eq!(classify("availability", "Average").bad, Bad::Down);
        assert_eq!(classify("http.server.request.duration", "p95").unit, "s");
        assert_eq!(classify("k8s.pod.cpu_limit_utilization", "").class, Class::Cpu);
        assert_eq!(classify("k8s.node.cpu.utilization", "").class, Class::HostCpu);
        assert_eq!(classify("shop_checkout_errors_total", "").class, Class::Errors);
        assert_eq!(classify("zzz", "").class, Class::Other);
        assert_eq!(classify("workload", "ops").class.golden(), Golden::Traffic);
    }

    #[test]
    fn every_line_of_the_table_has_seven_columns() {
        for line in TABLE.lines().filter(|l| !l.starts_with('#')) {
            assert_eq!(line.split('\t').count(), 7, "{line}");
        }
    }

    #[test]
    fn globs() {
        assert!(matches_pattern("*.a*c", "x.abbc"));
        assert!(!matches_pattern("a*b", "ac"));
        assert!(matches_pattern("a", "a") && !matches_pattern("a", "ab"));
    }
}

//! Which metrics say how much a service has to do and what it has for it. Names of OpenTelemetry, and of Prometheus' exporters
//! of databases.

/// What a series says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Says {
    /// Durations of requests: how many, and how long.
    Durations,
    /// Durations of spans of requests, in seconds.
    SpanDurations,
    /// Spans of requests that failed.
    SpanErrors,
    /// Requests a second.
    Rate,
    /// Share of the requests that fail.
    ErrorShare,
    /// Used share of the CPU limit of all instances.
    CpuShare,
    /// Used share of the CPU limit of one instance.
    PodCpuShare,
    /// Cores that its containers use.
    Cores,
    /// Cores that its pods use.
    PodCores,
    /// Used share of a pool of connections.
    PoolShare,
    /// Connections of a pool that are used.
    PoolUsed,
    /// Connections of a pool at most.
    PoolMost,
    /// Requests that wait for a connection.
    Pending,
    /// Messages that wait.
    Lag,
    /// Connections that a store takes.
    StoreMost,
    /// Cores of a node that are used.
    NodeUsed,
    /// Cores of a node.
    NodeCores,
}

/// What a metric says, and the factor to its unit (seconds, shares, cores); `None` for what does not matter here.
pub(crate) fn says(signal: &str, group: &str) -> Option<(Says, f64)> {
    let factor = if matches!(signal, "http.server.duration" | "rpc.server.duration") { 1e-3 } else { 1.0 };
    Some((meaning(signal, group)?, factor))
}

fn meaning(signal: &str, group: &str) -> Option<Says> {
    Some(match signal {
        "http.server.request.duration"
        | "rpc.server.call.duration"
        | "messaging.process.duration"
        | "http.server.duration"
        | "rpc.server.duration" => Says::Durations,
        "latency" if group.is_empty() => Says::SpanDurations,
        "errors" if group.is_empty() => Says::SpanErrors,
        "requests.rate" => Says::Rate,
        "requests.errors" => Says::ErrorShare,
        "k8s.container.cpu_limit_utilization" => Says::CpuShare,
        "k8s.pod.cpu_limit_utilization" => Says::PodCpuShare,
        "container.cpu.usage" | "k8s.container.cpu.usage" => Says::Cores,
        "k8s.pod.cpu.usage" => Says::PodCores,
        "db.client.connection.utilization" => Says::PoolShare,
        "db.client.connection.count" | "db.client.connections.usage" if group.contains("state=used") => {
            Says::PoolUsed
        }
        "hikaricp_connections_active" => Says::PoolUsed,
        "db.client.connection.max" | "db.client.connections.max" | "hikaricp_connections_max" => {
            Says::PoolMost
        }
        "db.client.connection.pending_requests"
        | "db.client.connections.pending_requests"
        | "hikaricp_connections_pending" => Says::Pending,
        "postgresql.connection.max"
        | "pg_settings_max_connections"
        | "mysql_global_variables_max_connections"
        | "redis_config_maxclients" => Says::StoreMost,
        "k8s.node.cpu.usage" => Says::NodeUsed,
        "k8s.node.allocatable_cpu" | "kube_node_status_allocatable_cpu_cores" => Says::NodeCores,
        _ if signal.starts_with("messaging.") && signal.contains("lag") => Says::Lag,
        _ => return None,
    })
}

/// The value of a label in a group.
pub(crate) fn label<'g>(group: &'g str, key: &str) -> Option<&'g str> {
    group.split(',').find_map(|pair| pair.strip_prefix(key).and_then(|rest| rest.strip_prefix('=')))
}

/// The host in the name of a pool, which by convention is `server.address:server.port/db.namespace`.
pub(crate) fn pool_host(group: &str) -> Option<&str> {
    let named = label(group, "db.client.connection.pool.name").or_else(|| label(group, "pool.name"));
    let named = named.or_else(|| label(group, "server.address"))?;
    named.split([':', '/']).next().filter(|host| !host.is_empty())
}

/// The host in the name of a store, `system:host` or `system:host:database`.
pub(crate) fn store_host(name: &str) -> &str {
    name.split(':').nth(1).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels() {
        assert_eq!(says("http.server.request.duration", "x=1"), Some((Says::Durations, 1.0)));
        assert_eq!(says("rpc.server.duration", ""), Some((Says::Durations, 1e-3)));
        assert_eq!(says("messaging.kafka.consumer.lag", ""), Some((Says::Lag, 1.0)));
        assert_eq!(says("db.client.connection.count", "state=idle"), None);
        assert_eq!(says("k8s.container.cpu.usage", ""), Some((Says::Cores, 1.0)));
        assert_eq!(says("k8s.pod.cpu.usage", ""), Some((Says::PodCores, 1.0)));
        let group = "db.client.connection.pool.name=order-db:5432/shop,k8s.pod.name=p";
        assert_eq!(pool_host(group), Some("order-db"));
        assert_eq!(label(group, "k8s.pod.name"), Some("p"));
        assert_eq!(store_host("postgresql:order-db:shop"), "order-db");
        assert_eq!(store_host("redis"), "redis");
    }
}

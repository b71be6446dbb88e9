//! What a control plane is made of: each program with its arguments.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;

use anyhow::{Result, bail};

use super::files::{Files, random};
use super::process::mark;
use super::record::Part;
use crate::go::Tool;

/// Ports are looked for below the range that the system hands out to outgoing connections, so that none of these takes
/// a port between our look and the start of the program, or while a test has the program down.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A free port of the loopback interface.
pub(crate) fn free_port() -> Result<u16> {
    for _ in 0..100 {
        let bytes = random()?;
        let port = PORTS.start + u16::from_le_bytes([bytes[0], bytes[1]]) % (PORTS.end - PORTS.start);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port between {} and {} on 127.0.0.1", PORTS.start, PORTS.end)
}

/// A part that is not started yet.
pub(crate) fn part(data: &Path, tool: &Tool, arguments: Vec<String>) -> Part {
    let work = data.join("work").display().to_string();
    Part {
        name: tool.name.to_owned(),
        version: tool.version.clone(),
        pid: 0,
        program: tool.path.clone(),
        arguments,
        environment: BTreeMap::from([mark(data, tool.name), ("KWOK_WORKDIR".to_owned(), work)]),
        log: data.join("logs").join(format!("{}.log", tool.name)),
    }
}

fn strings<const N: usize>(arguments: [&str; N]) -> Vec<String> {
    arguments.map(str::to_owned).to_vec()
}

/// Without fsync: the data outlives the process, which tests kill, not the machine.
pub(crate) fn etcd(files: &Files, client: &str, peer: &str) -> Vec<String> {
    strings([
        "--data-dir",
        &files.path("etcd"),
        "--listen-client-urls",
        client,
        "--advertise-client-urls",
        client,
        "--listen-peer-urls",
        peer,
        "--initial-advertise-peer-urls",
        peer,
        "--initial-cluster",
        &format!("default={peer}"),
        "--unsafe-no-fsync",
        "--log-level",
        "warn",
    ])
}

/// RBAC decides, users come from a token file, every request is in the audit log.
pub(crate) fn api_server(files: &Files, port: u16, etcd: &str) -> Vec<String> {
    strings([
        "--bind-address=127.0.0.1",
        &format!("--secure-port={port}"),
        &format!("--tls-cert-file={}", files.path("pki/cert.pem")),
        &format!("--tls-private-key-file={}", files.path("pki/key.pem")),
        &format!("--cert-dir={}", files.path("pki")),
        &format!("--etcd-servers={etcd}"),
        "--authorization-mode=RBAC",
        &format!("--token-auth-file={}", files.path("tokens.csv")),
        "--anonymous-auth=false",
        &format!("--service-account-key-file={}", files.path("pki/cert.pem")),
        &format!("--service-account-signing-key-file={}", files.path("pki/key.pem")),
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--endpoint-reconciler-type=none",
        &format!("--audit-policy-file={}", files.path("audit-policy.yaml")),
        &format!("--audit-log-path={}", files.path(super::AUDIT_LOG)),
        // In megabytes: a log that begins anew in the middle is no witness.
        "--audit-log-maxsize=10000",
    ])
}

pub(crate) fn controller_manager(files: &Files, kubeconfig: &Path) -> Vec<String> {
    strings([
        &format!("--kubeconfig={}", kubeconfig.display()),
        &format!("--service-account-private-key-file={}", files.path("pki/key.pem")),
        &format!("--root-ca-file={}", files.path("pki/cert.pem")),
        "--use-service-account-credentials",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        "--leader-elect=false",
        "--secure-port=0",
        // A recording and the shop run faster than the clock: autoscalers look often, and at pods of any age.
        "--horizontal-pod-autoscaler-sync-period=1s",
        "--horizontal-pod-autoscaler-cpu-initialization-period=0s",
        "--horizontal-pod-autoscaler-initial-readiness-delay=0s",
    ])
}

pub(crate) fn scheduler(kubeconfig: &Path) -> Vec<String> {
    strings([
        &format!("--kubeconfig={}", kubeconfig.display()),
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        "--leader-elect=false",
        "--secure-port=0",
    ])
}

pub(crate) fn kwok(files: &Files, kubeconfig: &Path) -> Vec<String> {
    strings([
        &format!("--kubeconfig={}", kubeconfig.display()),
        &format!("--config={}", files.path("stages.yaml")),
        "--manage-all-nodes=true",
        "--cidr=10.0.0.1/24",
        "--node-ip=127.0.0.1",
        "--enable-crds=",
        "--node-lease-duration-seconds=40",
    ])
}

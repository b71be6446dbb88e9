//! Files that the parts of a cluster read: keys, tokens, kubeconfigs, the audit policy, nodes.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::record::{User, private};
use crate::go::kwok_stages;

/// Administrator; the first context.
pub(crate) const ADMIN: &str = "admin";
/// Users without any right of their own: tests grant what they test.
const PLAIN: [&str; 3] = ["alice", "bob", "carol"];
/// Users of the parts, with the rights that Kubernetes gives them; KWOK plays the kubelets of all nodes.
const PARTS: [(&str, &[&str]); 3] =
    [("system:kube-controller-manager", &[]), ("system:kube-scheduler", &[]), ("kwok", &["system:masters"])];

/// Every request, without bodies, once it is answered.
const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
";

/// Where the files are.
pub(crate) struct Files {
    data: PathBuf,
}

impl Files {
    pub(crate) fn new(data: &Path) -> Self {
        Self { data: data.to_owned() }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.data.join(name).display().to_string()
    }

    /// Writes everything that does not depend on addresses.
    pub(crate) fn write(&self, users: &[User]) -> Result<()> {
        for folder in ["pki", "logs", "users", "work"] {
            let folder = self.data.join(folder);
            std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        self.key_pair()?;
        let tokens: String = users
            .iter()
            .map(|user| format!("{},{},{},\"{}\"\n", user.token, user.name, user.name, user.groups.join(",")))
            .collect();
        self.private("tokens.csv", &tokens)?;
        self.private("audit-policy.yaml", AUDIT_POLICY)?;
        self.private("stages.yaml", &kwok_stages()?)
    }

    /// One key pair: of the API server's address, and of the tokens of service accounts. The certificate is its own
    /// issuer. Made by a program that is part of every Go installation.
    fn key_pair(&self) -> Result<()> {
        let root = Command::new("go").args(["env", "GOROOT"]).output().context("cannot start go")?;
        let program =
            Path::new(String::from_utf8_lossy(&root.stdout).trim()).join("src/crypto/tls/generate_cert.go");
        let output = Command::new("go")
            .arg("run")
            .arg(&program)
            .args(["-host", "127.0.0.1,localhost,kubernetes.default.svc", "-duration", "87600h"])
            .current_dir(self.data.join("pki"))
            .env("GOFLAGS", "")
            .output()
            .context("cannot start go")?;
        if !output.status.success() {
            bail!("go run {}: {}", program.display(), String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// One context a user; the first is current.
    pub(crate) fn kubeconfig(&self, name: &str, server: &str, users: &[&User]) -> Result<PathBuf> {
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "causeway", "cluster": { "server": server, "certificate-authority": self.path("pki/cert.pem") } }],
            "users": users.iter().map(|u| json!({ "name": u.name, "user": { "token": u.token } })).collect::<Vec<Value>>(),
            "contexts": users
                .iter()
                .map(|u| json!({ "name": u.name, "context": { "cluster": "causeway", "user": u.name, "namespace": "default" } }))
                .collect::<Vec<Value>>(),
            "current-context": users.first().map(|user| &user.name),
        });
        self.private(name, &serde_json::to_string_pretty(&config)?)?;
        Ok(self.data.join(name))
    }

    /// Nodes of the size of a common machine, spread over two zones.
    pub(crate) fn nodes(&self, count: u32) -> Result<PathBuf> {
        let size = json!({ "cpu": "64", "memory": "256Gi", "ephemeral-storage": "1Ti", "pods": "1000" });
        let items: Vec<Value> = (0..count)
            .map(|index| {
                let name = format!("node-{index}");
                json!({
                    "apiVersion": "v1",
                    "kind": "Node",
                    "metadata": { "name": name, "labels": {
                        "kubernetes.io/hostname": name,
                        "kubernetes.io/os": "linux",
                        "kubernetes.io/arch": "amd64",
                        "topology.kubernetes.io/region": "local",
                        "topology.kubernetes.io/zone": format!("local-{}", index % 2),
                    } },
                    "status": { "capacity": size, "allocatable": size },
                })
            })
            .collect();
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
        self.private("nodes.json", &serde_json::to_string_pretty(&list)?)?;
        Ok(self.data.join("nodes.json"))
    }

    fn private(&self, name: &str, text: &str) -> Result<()> {
        private(&self.data.join(name), text)
    }
}

/// All users with new tokens.
pub(crate) fn users() -> Result<Vec<User>> {
    let admin = [(ADMIN, ["system:masters"].as_slice())];
    let plain = PLAIN.map(|name| (name, ["team"].as_slice()));
    admin
        .into_iter()
        .chain(plain)
        .chain(PARTS)
        .map(|(name, groups)| {
            Ok(User {
                name: name.to_owned(),
                groups: groups.iter().map(|group| (*group).to_owned()).collect(),
                token: random()?.iter().map(|byte| format!("{byte:02x}")).collect(),
            })
        })
        .collect()
}

/// Bytes that nobody can guess.
pub(crate) fn random() -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context("cannot read /dev/urandom")?;
    Ok(bytes)
}

//! `cluster.json`: what tests need to know of a cluster, and to do to it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// File in the data folder.
const FILE: &str = "cluster.json";

/// A running cluster. Of a cluster that is not ours only the kubeconfig is known.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    /// One context a user; the current one is the administrator's.
    pub(crate) kubeconfig: PathBuf,
    /// URL of the API server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<String>,
    /// One JSON document a line, at level Metadata, of every request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) audit_log: Option<PathBuf>,
    /// Number of nodes.
    #[serde(default)]
    pub(crate) nodes: u32,
    /// Who may log in.
    #[serde(default)]
    pub(crate) users: Vec<User>,
    /// The processes, in the order of their start.
    #[serde(default)]
    pub(crate) parts: Vec<Part>,
}

/// A user of the static token file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) groups: Vec<String>,
    pub(crate) token: String,
}

/// A process with everything it takes to start it again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Process id of the first start.
    pub(crate) pid: u32,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// Set besides what is inherited; the mark in it is how `down` knows the process.
    pub(crate) environment: BTreeMap<String, String>,
    /// Standard output and error.
    pub(crate) log: PathBuf,
}

impl Record {
    /// Whether the folder is a cluster's, so that all of it may be removed.
    pub(crate) fn exists(data: &Path) -> bool {
        data.join(FILE).exists()
    }

    /// The record of a data folder, if there is one.
    pub(crate) fn read(data: &Path) -> Result<Option<Self>> {
        let path = data.join(FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text)
                .map(Some)
                .with_context(|| format!("{} is damaged: remove the folder", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Replaces the record.
    pub(crate) fn write(&self, data: &Path) -> Result<()> {
        private(&data.join(FILE), &serde_json::to_string_pretty(self)?)
    }
}

/// Writes a file that only its owner may read: most files of a cluster hold tokens.
pub(crate) fn private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}

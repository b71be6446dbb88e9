//! What is running: name, version and commit, as one metric and one log line.

use prometheus_client::encoding::EncodeLabelSet;

/// Identity of the running program. Becomes the metric `causeway_build_info{…} 1`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BuildInfo {
    /// Name of the role or program, for example `gateway`.
    pub name: String,
    /// Version as in the Cargo package, for example `0.1.0`.
    pub version: String,
    /// Commit the program was built from, or `unknown`.
    pub commit: String,
}

impl BuildInfo {
    /// Makes the identity of a program; an empty `commit` is shown as `unknown`.
    #[must_use]
    pub fn new(name: impl Into<String>, version: impl Into<String>, commit: impl Into<String>) -> Self {
        let commit = commit.into();
        Self {
            name: name.into(),
            version: version.into(),
            commit: if commit.is_empty() { "unknown".to_owned() } else { commit },
        }
    }

    /// Logs the identity once, at `info`.
    pub fn log(&self) {
        tracing::info!(name = self.name, version = self.version, commit = self.commit, "starting");
    }
}

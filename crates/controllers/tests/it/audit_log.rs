//! The audit log of a real API server: who changed what, whoever says otherwise.

use std::path::PathBuf;

use serde_json::Value;

/// The log from a moment on.
pub(crate) struct AuditLog {
    path: PathBuf,
    skip: usize,
}

impl AuditLog {
    /// The log of the real control plane, from now on; `None` for a cluster whose log can't be read.
    pub(crate) fn from_now() -> Option<Self> {
        let folder = std::env::var_os("CAUSEWAY_CLUSTER").map(PathBuf::from)?;
        let record = std::fs::read_to_string(folder.join("cluster.json")).unwrap();
        let record: Value = serde_json::from_str(&record).unwrap();
        let path = PathBuf::from(record["auditLog"].as_str()?);
        let skip = std::fs::read(&path).unwrap().len();
        Some(Self { path, skip })
    }

    fn entries(&self) -> Vec<Value> {
        let text = std::fs::read(&self.path).unwrap();
        let text = String::from_utf8_lossy(&text[self.skip..]).into_owned();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// What the executor has changed by its own account, besides what it is there to write: method and path, in order.
    pub(crate) fn changes_by_executor(&self) -> Vec<String> {
        let entries = self.entries().into_iter();
        let changes = entries.filter_map(|entry| {
            let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            let is_own = text("/user/username").ends_with(":causeway-executor")
                && entry.get("impersonatedUser").is_none();
            let writes = !matches!(text("/verb"), "get" | "list" | "watch");
            let (resource, sub) = (text("/objectRef/resource"), text("/objectRef/subresource"));
            let may = matches!((resource, sub), ("remediations", "status") | ("leases" | "events", _));
            let is_done =
                entry.pointer("/responseStatus/code").and_then(Value::as_i64).is_some_and(|code| code < 300);
            let counts = is_own && writes && !may && is_done;
            counts.then(|| format!("{} {}", text("/verb"), text("/requestURI")))
        });
        changes.collect()
    }

    /// What fixers have changed: method and path, in order. Deletions and evictions are left out, because those that are
    /// rehearsed look the same.
    pub(crate) fn changes_by_fixers(&self) -> Vec<String> {
        let entries = self.entries().into_iter();
        let changes = entries.filter_map(|entry| {
            let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            let is_fixer = text("/impersonatedUser/username").ends_with(":causeway-fixer");
            let changes = matches!(text("/verb"), "create" | "update" | "patch");
            let is_rehearsal = text("/requestURI").contains("dryRun=");
            let is_eviction = text("/objectRef/subresource") == "eviction";
            let is_done =
                entry.pointer("/responseStatus/code").and_then(Value::as_i64).is_some_and(|code| code < 300);
            let counts = is_fixer && changes && !is_rehearsal && !is_eviction && is_done;
            counts.then(|| format!("{} {}", text("/verb"), text("/requestURI")))
        });
        changes.collect()
    }
}

//! What is to be changed: a field of a live object, by who it is and where the field lies.

use serde_json::Value;

/// Which live object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectId {
    /// API group without its version; empty for the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Namespace; empty for objects without one.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// One field and its two values.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The live object.
    pub object: ObjectId,
    /// The Helm release that made it (its HelmRelease's name, or the Argo application's), if one did.
    pub release: Option<String>,
    /// The way to the field: keys, and for items of lists `name=NAME` or the index.
    pub path: Vec<String>,
    /// The value that the live object has.
    pub from: Value,
    /// The value that it shall have.
    pub to: Value,
    /// `FILE:VALUE` as [`causeway_actions::git_change::VALUE_SOURCE`] declares it for this field.
    pub source: Option<String>,
}

impl std::fmt::Display for ObjectId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{}/{}", self.kind, self.name)
        } else {
            write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// The steps of a path with slashes (RFC 6901 escapes).
pub fn steps(path: &str) -> Vec<String> {
    path.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect()
}

/// Steps as a path with slashes.
pub fn joined(steps: &[String]) -> String {
    steps.iter().map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_and_written() {
        assert_eq!(
            steps("/spec/containers/name=web/a~1b"),
            ["spec", "containers", "name=web", "a/b"].map(String::from)
        );
        assert_eq!(joined(&steps("/a~1b/c")), "/a~1b/c");
    }
}

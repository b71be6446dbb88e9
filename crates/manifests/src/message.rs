//! The message of a commit: equal for equal changes, so that a retry makes the same commit.

use crate::change::{Change, joined};

/// Trailer with namespace and name of the Remediation.
pub const REMEDIATION_TRAILER: &str = "Causeway-Remediation";
/// Trailer with the key that is equal for every retry of a step.
pub const IDEMPOTENCY_TRAILER: &str = "Causeway-Idempotency-Key";

/// What a message tells.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Namespace and name of the Remediation.
    pub remediation: &'a str,
    /// Key of the step.
    pub key: &'a str,
    /// The commit that is taken back, if it is known.
    pub reverts: Option<&'a str>,
    /// What changes.
    pub changes: &'a [Change],
}

impl Message<'_> {
    /// The first line, at most 72 characters where the object's name allows it.
    pub fn subject(&self) -> String {
        let Some(first) = self.changes.first() else { return "Change nothing".to_owned() };
        let verb = if self.reverts.is_some() { "Revert" } else { "Set" };
        let field = joined(&first.path);
        let more = match self.changes.len() {
            1 => String::new(),
            n => format!(" and {} more", n - 1),
        };
        format!("{verb} {field} of {}{more}", first.object)
    }

    /// The whole message.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n\n", self.subject());
        for Change { object, path, from, to, .. } in self.changes {
            text.push_str(&format!("{object}: {} from {} to {}\n", joined(path), short(from), short(to)));
        }
        if let Some(commit) = self.reverts {
            text.push_str(&format!("\nThis reverts commit {commit}.\n"));
        }
        text.push_str(&format!(
            "\n{REMEDIATION_TRAILER}: {}\n{IDEMPOTENCY_TRAILER}: {}\n",
            self.remediation, self.key
        ));
        text
    }
}

/// A value on one line.
fn short(value: &serde_json::Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// Whether a message has a trailer of this name with this value.
pub fn has_trailer(message: &str, name: &str, value: &str) -> bool {
    let last = message.trim_end().rsplit("\n\n").next().unwrap_or_default();
    last.lines().any(|line| line.strip_prefix(name).and_then(|rest| rest.strip_prefix(": ")) == Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{ObjectId, steps};
    use serde_json::json;

    #[test]
    fn a_message_has_its_trailers_at_the_end() {
        let object = ObjectId {
            group: "apps".into(),
            kind: "Deployment".into(),
            namespace: "shop".into(),
            name: "web".into(),
        };
        let change = Change {
            object,
            release: None,
            path: steps("/spec/replicas"),
            from: json!(3),
            to: json!(6),
            source: None,
        };
        let message =
            Message { remediation: "shop/inc-1", key: "sha256:ab", reverts: None, changes: &[change] };
        let text = message.text();
        assert_eq!(
            text,
            "Set /spec/replicas of Deployment/shop/web\n\nDeployment/shop/web: /spec/replicas from 3 to 6\n\n\
             Causeway-Remediation: shop/inc-1\nCauseway-Idempotency-Key: sha256:ab\n"
        );
        assert!(has_trailer(&text, IDEMPOTENCY_TRAILER, "sha256:ab"));
        assert!(!has_trailer(&text, IDEMPOTENCY_TRAILER, "sha256:a"));
        let quoted = "x\n\nCauseway-Idempotency-Key: sha256:ab\n\nnot a trailer";
        assert!(!has_trailer(quoted, IDEMPOTENCY_TRAILER, "sha256:ab"));
    }
}

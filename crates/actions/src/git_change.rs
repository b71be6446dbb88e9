//! A change of what Git declares, and the wait for it to arrive.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::reference::TargetRef;

/// Annotation of a live object that says which value of which file makes a field, for sources that can't be followed, such
/// as the values of a Helm chart. Entries are separated by commas or line breaks: `FIELD=FILE:VALUE`, where FIELD and VALUE
/// are paths with slashes, such as `/spec/replicas=apps/web/values.yaml:/web/replicaCount`.
pub const VALUE_SOURCE: &str = "causeway.dev/value-source";

/// Who hosts a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum GitProvider {
    /// GitHub, or GitHub Enterprise Server.
    GitHub,
    /// GitLab, hosted or own.
    GitLab,
    /// Gitea or Forgejo.
    Gitea,
}

/// How a change of what Git declares is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum GitMode {
    /// By a pull request, which people merge.
    #[default]
    PullRequest,
    /// By a commit on the branch.
    Commit,
    /// At once on the live object, while what applies it is suspended; then in Git, by a pull request if there is a provider,
    /// else by a commit; resumed once Git has it.
    SuspendPatchResume,
}

/// A repository, as a policy names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GitRepository {
    /// Where it is: `https://…` or `ssh://…`, without credentials.
    #[schemars(
        length(min = 1, max = 512),
        regex(pattern = r"^(ssh://([A-Za-z0-9._-]+@)?|[a-z]+://)[^@ ]+$")
    )]
    pub url: String,
    /// The branch that is applied.
    #[schemars(length(min = 1, max = 200))]
    pub branch: String,
    /// The folder that is applied, from the root of the repository; what Flux calls `spec.path`.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub path: String,
    /// Secret in the same namespace, with the keys that Flux uses: `username` and `password`, `bearerToken`, `identity` and
    /// `known_hosts`, `ca.crt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretName>,
    /// Whose API opens pull requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<GitProvider>,
    /// Root of that API, where it is not the provider's own on the host of the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub api_url: Option<String>,
}

/// A Secret by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretName {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// One field and its two values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FieldChange {
    /// The way to the field, with slashes; items of lists that have a name as `name=NAME`.
    #[schemars(length(min = 2, max = 1024))]
    pub path: String,
    /// The old value as JSON text.
    #[schemars(length(min = 1, max = 8192))]
    pub from: String,
    /// The new value as JSON text.
    #[schemars(length(min = 1, max = 8192))]
    pub to: String,
    /// `FILE:VALUE` as the annotation `causeway.dev/value-source` of the object names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub source: Option<String>,
}

/// A change of the scalars that declare fields of one object. It is made in the repository; the object follows when what
/// applies it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GitChange {
    /// The object whose fields are declared.
    pub target: TargetRef,
    /// Where they are declared.
    pub repository: GitRepository,
    /// Whether a pull request is opened; else a commit is pushed.
    #[serde(default)]
    pub pull_request: bool,
    /// Minutes to wait until the branch has the change; without it, an open pull request is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10080))]
    pub merged_within_minutes: Option<i32>,
    /// The HelmRelease that makes the object, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub release: Option<String>,
    /// The fields.
    #[schemars(length(min = 1, max = 16))]
    pub fields: Vec<FieldChange>,
    /// In the trailer of the commit; equal for every retry of this step.
    #[schemars(length(min = 1, max = 128))]
    pub idempotency_key: String,
    /// The key of the step that this one takes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub reverts: Option<String>,
}

/// The wait until a live object shows values that were changed elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwaitFields {
    /// The object.
    pub target: TargetRef,
    /// The fields, with the values from before and those that are waited for.
    #[schemars(length(min = 1, max = 16))]
    pub fields: Vec<FieldChange>,
    /// The values must be there after so many minutes.
    #[schemars(range(min = 1, max = 10080))]
    pub within_minutes: i32,
}

impl FieldChange {
    /// A change between two scalars.
    pub fn new(path: String, from: &Value, to: &Value, source: Option<String>) -> Self {
        Self { path, from: from.to_string(), to: to.to_string(), source }
    }

    /// The old value and the new one; null where the text is no JSON.
    pub fn values(&self) -> (Value, Value) {
        let read = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
        (read(&self.from), read(&self.to))
    }

    /// The steps of the path.
    pub fn steps(&self) -> Vec<String> {
        self.path.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect()
    }

    /// The value that a live object has there.
    pub fn of<'a>(&self, live: &'a Value) -> Option<&'a Value> {
        self.steps().iter().try_fold(live, |at, step| match at {
            Value::Array(items) => match step.strip_prefix("name=") {
                Some(name) => {
                    items.iter().find(|item| item.get("name").and_then(Value::as_str) == Some(name))
                }
                None => items.get(step.parse::<usize>().ok()?),
            },
            other => other.get(step),
        })
    }

    /// The way back.
    pub fn reversed(&self) -> Self {
        Self { from: self.to.clone(), to: self.from.clone(), ..self.clone() }
    }
}

/// A JSON pointer into `live` as a path that names items of lists by their name.
pub fn named_path(pointer: &str, live: &Value) -> String {
    let mut at = Some(live);
    let mut path = String::new();
    for raw in pointer.split('/').skip(1) {
        let step = raw.replace("~1", "/").replace("~0", "~");
        let name = match at {
            Some(Value::Array(items)) => {
                at = step.parse::<usize>().ok().and_then(|index| items.get(index));
                at.and_then(|item| item.get("name")).and_then(Value::as_str)
            }
            other => {
                at = other.and_then(|value| value.get(&step));
                None
            }
        };
        path.push('/');
        match name {
            Some(name) => path.push_str(&format!("name={}", name.replace('~', "~0").replace('/', "~1"))),
            None => path.push_str(raw),
        }
    }
    path
}

/// What [`VALUE_SOURCE`] with this text says of a field, as `FILE:VALUE`.
pub fn declared_source(annotation: &str, field: &str) -> Option<String> {
    annotation.split([',', '\n']).map(str::trim).find_map(|entry| {
        let source = entry.strip_prefix(field)?.strip_prefix('=')?;
        Some(source.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn items_of_lists_are_named() {
        let live = json!({"spec": {"containers": [{"name": "proxy"}, {"name": "a/b", "args": ["x", "y"]}]}});
        for (pointer, want) in [
            ("/spec/containers/1/args/0", "/spec/containers/name=a~1b/args/0"),
            ("/spec/containers/7/image", "/spec/containers/7/image"),
            ("/metadata/annotations/x~1y", "/metadata/annotations/x~1y"),
        ] {
            assert_eq!(named_path(pointer, &live), want);
        }
        let field =
            FieldChange::new("/spec/containers/name=a~1b/args/1".into(), &json!("y"), &json!("z"), None);
        assert_eq!(field.of(&live), Some(&json!("y")));
        assert_eq!(field.reversed().values(), (json!("z"), json!("y")));
    }

    #[test]
    fn the_annotation_names_a_source_by_field() {
        let text = "/spec/replicas=apps/values.yaml:/web/replicas,\n/data/x=b.yaml:/x";
        assert_eq!(declared_source(text, "/spec/replicas").unwrap(), "apps/values.yaml:/web/replicas");
        assert_eq!(declared_source(text, "/data/x").unwrap(), "b.yaml:/x");
        assert_eq!(declared_source(text, "/spec"), None);
    }
}

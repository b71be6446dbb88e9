//! What the server knows about one kind in one version: names, scope, schema, subresources, columns.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::schema::Schema;

/// Whether objects live in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Cluster,
    Namespaced,
}

/// Where a kind comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    BuiltIn,
    Custom,
}

/// Whether the body of an object is shown under other field names than it is stored under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Stored,
    /// `events.k8s.io/v1` over the store of core `v1` Events.
    NewEvent,
}

/// Paths of the scale subresource, as dotted paths below the object.
#[derive(Clone, Debug)]
pub(crate) struct ScalePaths {
    pub(crate) spec_replicas: String,
    pub(crate) status_replicas: String,
    pub(crate) selector: Option<String>,
}

/// One column of a table, filled by a JSONPath.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) format: String,
    pub(crate) description: String,
    pub(crate) priority: i64,
    pub(crate) path: String,
}

/// One kind in one served version.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) scope: Scope,
    pub(crate) origin: Origin,
    pub(crate) shape: Shape,
    /// Name of the shelf that holds the objects; versions of a kind share it.
    pub(crate) store: Arc<str>,
    pub(crate) schema: Schema,
    pub(crate) status: bool,
    pub(crate) scale: Option<ScalePaths>,
    pub(crate) columns: Vec<Column>,
    /// Fields that a field selector may name besides `metadata.name` and `metadata.namespace`.
    pub(crate) selectable: Vec<String>,
    /// Whether `metadata.generation` counts changes of this kind.
    pub(crate) counts_generations: bool,
}

impl Kind {
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `pods` or `incidents.causeway.dev`.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// `Pod` or `Incident.causeway.dev`.
    pub(crate) fn qualified_kind(&self) -> String {
        if self.group.is_empty() { self.kind.clone() } else { format!("{}.{}", self.kind, self.group) }
    }

    pub(crate) fn namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    /// Turns a stored object into what this version shows.
    pub(crate) fn present(&self, stored: &Value) -> Value {
        let mut object = stored.clone();
        if self.shape == Shape::NewEvent {
            crate::event::to_new(&mut object);
        }
        if let Some(map) = object.as_object_mut() {
            map.insert("apiVersion".into(), self.api_version().into());
            map.insert("kind".into(), self.kind.clone().into());
        }
        object
    }

    /// Turns what a client of this version sent into the stored form.
    pub(crate) fn store_form(&self, object: &mut Value) {
        if self.shape == Shape::NewEvent {
            crate::event::to_stored(object);
        }
    }
}

/// All served kinds.
#[derive(Debug, Default, Clone)]
pub(crate) struct Registry {
    kinds: BTreeMap<(String, String, String), Arc<Kind>>,
}

impl Registry {
    pub(crate) fn insert(&mut self, kind: Arc<Kind>) {
        let key = (kind.group.clone(), kind.version.clone(), kind.plural.clone());
        self.kinds.insert(key, kind);
    }

    pub(crate) fn get(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Kind>> {
        self.kinds.get(&(group.to_owned(), version.to_owned(), plural.to_owned()))
    }

    /// Finds a kind by what an owner reference says: `apiVersion` and `kind`. Any version of the group will do.
    pub(crate) fn by_reference(&self, api_version: &str, kind: &str) -> Option<&Arc<Kind>> {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        self.kinds.values().find(|k| k.group == group && k.kind == kind)
    }

    /// Kinds of one group and version.
    pub(crate) fn of(&self, group: &str, version: &str) -> Vec<&Arc<Kind>> {
        self.kinds.values().filter(|k| k.group == group && k.version == version).collect()
    }

    /// Group → versions, the preferred one first.
    pub(crate) fn groups(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for kind in self.kinds.values() {
            let versions = groups.entry(&kind.group).or_default();
            if !versions.contains(&kind.version.as_str()) {
                versions.push(&kind.version);
            }
        }
        for versions in groups.values_mut() {
            versions.sort_by_key(|v| version_rank(v));
        }
        groups
    }
}

/// Kubernetes' order of versions: stable before beta before alpha, newer first.
fn version_rank(version: &str) -> (u8, i64, i64) {
    let parse = |text: &str| text.parse::<i64>().ok();
    let Some(rest) = version.strip_prefix('v') else { return (3, 0, 0) };
    for (rank, mark) in [(1, "beta"), (2, "alpha")] {
        if let Some((major, minor)) = rest.split_once(mark)
            && let (Some(major), Some(minor)) = (parse(major), parse(minor))
        {
            return (rank, -major, -minor);
        }
    }
    parse(rest).map_or((3, 0, 0), |major| (0, -major, 0))
}

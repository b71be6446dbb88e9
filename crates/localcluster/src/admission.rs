//! Who asks, and the rules of the composer that may refuse a write.

use serde_json::Value;

use crate::call::DryRun;

/// Somebody who may use the server: a name with a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Name as admission rules see it, for example `admin` or `system:serviceaccount:ns:name`.
    pub name: String,
    /// Groups; `system:authenticated` is always added.
    pub groups: Vec<String>,
    /// Names that this user may act as; `system:serviceaccount:*:NAME` is that account of every namespace.
    pub may_impersonate: Vec<String>,
    /// Namespaces outside of which this user may do nothing; without it everything is open.
    pub namespaces: Option<Vec<String>>,
}

impl User {
    /// A user without groups who impersonates nobody and is kept out of nothing.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), groups: Vec::new(), may_impersonate: Vec::new(), namespaces: None }
    }
}

/// The user of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Name the request acts under.
    pub name: String,
    /// Groups of that name.
    pub groups: Vec<String>,
    /// The user behind an impersonated name.
    pub impersonated_by: Option<String>,
    /// See [`User::namespaces`].
    pub namespaces: Option<Vec<String>>,
}

impl Identity {
    /// Whether the user may act in `namespace`, or, without one, on the whole cluster.
    pub(crate) fn may_act_in(&self, namespace: Option<&str>) -> bool {
        let within = |names: &Vec<String>| namespace.is_some_and(|n| names.iter().any(|name| name == n));
        self.namespaces.as_ref().is_none_or(within)
    }
}

/// What a write does to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// The object does not exist yet.
    Create,
    /// Replace, patch or apply of an existing object, also of its subresources.
    Update,
    /// Deletion, also when finalizers delay it.
    Delete,
}

/// A write that is about to be stored, after defaults and validation.
#[derive(Clone, Debug)]
pub struct Review<'a> {
    /// Who asks.
    pub user: &'a Identity,
    /// What happens to the object.
    pub verb: Verb,
    /// API group; empty for core.
    pub group: &'a str,
    /// Version the client used.
    pub version: &'a str,
    /// Plural name of the kind, for example `approvals`.
    pub resource: &'a str,
    /// `status` or `scale`, when the write goes to one.
    pub subresource: Option<&'a str>,
    /// Namespace; `None` for cluster-scoped kinds.
    pub namespace: Option<&'a str>,
    /// Name of the object.
    pub name: &'a str,
    /// The object as it would be stored; `None` for deletions.
    pub object: Option<&'a Value>,
    /// The stored object; `None` for creations.
    pub old: Option<&'a Value>,
    /// Whether the write is a rehearsal.
    pub dry_run: DryRun,
}

/// A refusal by an admission rule; answered as HTTP 422 with reason `Invalid`, as a
/// `ValidatingAdmissionPolicy` without a reason of its own does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{policy}: {message}")]
pub struct Denied {
    /// Name of the rule.
    pub policy: String,
    /// Text for the user.
    pub message: String,
}

/// A set of admission rules. Every write of an object passes it, garbage collection does not.
pub trait Admission: Send + Sync {
    /// Decides about one write.
    ///
    /// # Errors
    /// [`Denied`] when a rule refuses; the write is not stored.
    fn review(&self, review: &Review<'_>) -> Result<(), Denied>;
}

impl<F> Admission for F
where
    F: Fn(&Review<'_>) -> Result<(), Denied> + Send + Sync,
{
    fn review(&self, review: &Review<'_>) -> Result<(), Denied> {
        self(review)
    }
}

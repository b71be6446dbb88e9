//! Rights that Roles grant, compared with those that an audit log shows in use.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

/// One verb on one resource for one account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Right {
    /// User name of the account.
    pub(super) account: String,
    pub(super) verb: String,
    /// Empty for the core group.
    pub(super) group: String,
    /// With its subresource, as in `remediations/status`.
    pub(super) resource: String,
}

/// A right that a Role grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) right: Right,
    /// Where; everywhere when absent.
    pub(super) namespace: Option<String>,
    /// On which objects; on all when empty.
    pub(super) names: Vec<String>,
}

/// A request of an account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Use {
    pub(super) right: Right,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) allowed: bool,
}

/// Rights that the compared run does not use, or not always.
pub(super) struct Elsewhere {
    account: &'static str,
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
    why: &'static str,
    sometimes: bool,
    /// Whether the shop uses it.
    in_shop: bool,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = if self.group.is_empty() { String::new() } else { format!(".{}", self.group) };
        write!(f, "{}: {} {}{group}", short(&self.account), self.verb, self.resource)
    }
}

fn short(account: &str) -> &str {
    account.rsplit(':').next().unwrap_or(account)
}

/// What a list of Roles, ClusterRoles and their bindings grants to ServiceAccounts.
pub(super) fn grants(list: &Value) -> Vec<Grant> {
    let items = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut rules: BTreeMap<(String, String, String), &Value> = BTreeMap::new();
    for item in items {
        let place =
            (text(&item["kind"]), text(&item["metadata"]["namespace"]), text(&item["metadata"]["name"]));
        rules.insert(place, &item["rules"]);
    }
    let mut found = Vec::new();
    for binding in items.iter().filter(|item| !item["roleRef"].is_null()) {
        let namespace = binding["metadata"]["namespace"].as_str().map(str::to_owned);
        let kind = text(&binding["roleRef"]["kind"]);
        let place = if kind == "Role" { namespace.clone().unwrap_or_default() } else { String::new() };
        let Some(rules) = rules.get(&(kind, place, text(&binding["roleRef"]["name"]))) else { continue };
        for subject in binding["subjects"].as_array().into_iter().flatten() {
            let account =
                format!("system:serviceaccount:{}:{}", text(&subject["namespace"]), text(&subject["name"]));
            for rule in rules.as_array().into_iter().flatten() {
                let names = texts(&rule["resourceNames"]);
                for group in texts(&rule["apiGroups"]) {
                    for resource in texts(&rule["resources"]) {
                        for verb in texts(&rule["verbs"]) {
                            let right = Right {
                                account: account.clone(),
                                verb,
                                group: group.clone(),
                                resource: resource.clone(),
                            };
                            found.push(Grant { right, namespace: namespace.clone(), names: names.clone() });
                        }
                    }
                }
            }
        }
    }
    found
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The requests of `accounts` in an audit log; one in another's name is a use of `impersonate` and a request of that
/// other. Requests for no object, such as discovery, are left out: every user may make them.
pub(super) fn uses(log: &str, accounts: &BTreeSet<String>) -> BTreeSet<Use> {
    let mut found = BTreeSet::new();
    for line in log.lines() {
        // The last line may be half written.
        let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
        let (user, object) = (event["user"]["username"].as_str().unwrap_or_default(), &event["objectRef"]);
        if !accounts.contains(user) || object.is_null() {
            continue;
        }
        let text = |name: &str| object[name].as_str().map(str::to_owned);
        let allowed = event["annotations"]["authorization.k8s.io/decision"] == "allow";
        let other = event["impersonatedUser"]["username"].as_str();
        if let Some((namespace, name)) =
            other.and_then(|other| other.strip_prefix("system:serviceaccount:")?.split_once(':'))
        {
            let right = Right {
                account: user.to_owned(),
                verb: "impersonate".to_owned(),
                group: String::new(),
                resource: "serviceaccounts".to_owned(),
            };
            let (namespace, name) = (Some(namespace.to_owned()), Some(name.to_owned()));
            found.insert(Use { right, namespace, name, allowed: true });
        }
        let resource = match (text("resource").unwrap_or_default(), text("subresource")) {
            (resource, Some(subresource)) => format!("{resource}/{subresource}"),
            (resource, None) => resource,
        };
        let right = Right {
            account: other.unwrap_or(user).to_owned(),
            verb: event["verb"].as_str().unwrap_or_default().to_owned(),
            group: text("apiGroup").unwrap_or_default(),
            resource,
        };
        found.insert(Use { right, namespace: text("namespace"), name: text("name"), allowed });
    }
    found
}

/// What is wrong: uses that nothing grants, rights that nothing uses, and exceptions that are none.
pub(super) fn compare(grants: &[Grant], uses: &BTreeSet<Use>, elsewhere: &[Elsewhere]) -> BTreeSet<String> {
    let used = uses.iter().filter_map(|used| stray(grants, used));
    let granted = grants.iter().filter_map(|grant| idle(grant, uses, elsewhere));
    let excused = elsewhere.iter().flat_map(|entry| entry.hollow(grants));
    used.chain(granted).chain(excused).collect()
}

/// What is wrong where the shop was played: uses that nothing grants, and exceptions that it was to use and did not.
pub(super) fn compare_shop(
    grants: &[Grant],
    uses: &BTreeSet<Use>,
    elsewhere: &[Elsewhere],
) -> BTreeSet<String> {
    let used = uses.iter().filter_map(|used| stray(grants, used));
    let unused = grants.iter().filter(|grant| {
        elsewhere.iter().any(|entry| entry.in_shop && entry.covers(&grant.right))
            && !uses.iter().any(|used| used.allowed && covers(grant, used))
    });
    used.chain(unused.map(|grant| format!("{}: the shop was to use it", grant.right))).collect()
}

/// A use that nothing grants.
fn stray(grants: &[Grant], used: &Use) -> Option<String> {
    // Every cluster lets everybody ask who they are and what they may do.
    let of_oneself =
        matches!(used.right.resource.as_str(), "selfsubjectreviews" | "selfsubjectaccessreviews");
    if of_oneself || grants.iter().any(|grant| covers(grant, used)) {
        return None;
    }
    let place = used.namespace.as_deref().unwrap_or("the cluster");
    let name = used.name.as_deref().unwrap_or("(all)");
    let verdict = match used.allowed {
        true => "allowed, but not by the chart",
        false => "tried and refused: grant it, or don't try",
    };
    Some(format!("{} {name} in {place}: {verdict}", used.right))
}

/// A right that nothing uses, or that is used although it is an exception.
fn idle(grant: &Grant, uses: &BTreeSet<Use>, elsewhere: &[Elsewhere]) -> Option<String> {
    let used = uses.iter().any(|used| used.allowed && covers(grant, used));
    let right = &grant.right;
    match (used, elsewhere.iter().find(|entry| entry.covers(right))) {
        (true, None) | (false, Some(_)) | (true, Some(Elsewhere { sometimes: true, .. })) => None,
        (false, None) => Some(format!("{right}: granted and never used")),
        (true, Some(entry)) => {
            Some(format!("{right}: used, so that it must not stand among the exceptions ({})", entry.why))
        }
    }
}

fn covers(grant: &Grant, used: &Use) -> bool {
    let named = |name: &String| grant.names.contains(name);
    grant.right == used.right
        && (grant.namespace.is_none() || grant.namespace == used.namespace)
        && (grant.names.is_empty() || used.name.as_ref().is_some_and(named))
}

impl Elsewhere {
    /// Never used by the run, by a ServiceAccount of this name, for this reason.
    pub(super) const fn unused(
        account: &'static str,
        group: &'static str,
        resources: &'static [&'static str],
        verbs: &'static [&'static str],
        why: &'static str,
    ) -> Self {
        Self { account, group, resources, verbs, why, sometimes: false, in_shop: false }
    }

    /// The shop uses it.
    pub(super) const fn in_shop(self) -> Self {
        Self { in_shop: true, ..self }
    }

    /// Used or not, as things happen.
    pub(super) const fn sometimes(
        account: &'static str,
        group: &'static str,
        resources: &'static [&'static str],
        verbs: &'static [&'static str],
        why: &'static str,
    ) -> Self {
        Self { account, group, resources, verbs, why, sometimes: true, in_shop: false }
    }

    /// What it names and nothing grants.
    fn hollow(&self, grants: &[Grant]) -> Vec<String> {
        let pairs =
            self.resources.iter().flat_map(|resource| self.verbs.iter().map(move |verb| (*resource, *verb)));
        let granted = |resource: &str, verb: &str| {
            grants
                .iter()
                .map(|grant| &grant.right)
                .any(|right| self.covers(right) && right.resource == resource && right.verb == verb)
        };
        pairs
            .filter(|(resource, verb)| !granted(resource, verb))
            .map(|(resource, verb)| {
                format!("{}: {verb} {resource} is an exception that nothing grants", self.account)
            })
            .collect()
    }

    fn covers(&self, right: &Right) -> bool {
        short(&right.account) == self.account
            && self.group == right.group
            && self.resources.contains(&right.resource.as_str())
            && self.verbs.contains(&right.verb.as_str())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const EXECUTOR: &str = "system:serviceaccount:system:executor";
    const FIXER: &str = "system:serviceaccount:shop:fixer";

    fn roles() -> Value {
        let bind = |kind: &str, role: &str, namespace: Option<&str>, subject: [&str; 2]| {
            json!({"kind": format!("{kind}Binding"), "metadata": {"name": role, "namespace": namespace},
                "roleRef": {"kind": kind, "name": role},
                "subjects": [{"kind": "ServiceAccount", "namespace": subject[0], "name": subject[1]}]})
        };
        json!({"items": [
            {"kind": "ClusterRole", "metadata": {"name": "executor"}, "rules": [
                {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list"]}]},
            bind("ClusterRole", "executor", None, ["system", "executor"]),
            {"kind": "Role", "metadata": {"name": "acts", "namespace": "shop"}, "rules": [
                {"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": ["fixer"], "verbs": ["impersonate"]}]},
            bind("Role", "acts", Some("shop"), ["system", "executor"]),
            {"kind": "Role", "metadata": {"name": "fixer", "namespace": "shop"}, "rules": [
                {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["update"]}]},
            bind("Role", "fixer", Some("shop"), ["shop", "fixer"]),
        ]})
    }

    fn event(verb: &str, object: Value, impersonated: Option<&str>, decision: &str) -> String {
        json!({"user": {"username": EXECUTOR}, "verb": verb, "objectRef": object,
            "impersonatedUser": {"username": impersonated},
            "annotations": {"authorization.k8s.io/decision": decision}})
        .to_string()
    }

    fn log(decision: &str) -> Vec<String> {
        let deployments = json!({"apiGroup": "apps", "resource": "deployments", "namespace": "shop"});
        let scale = json!({"apiGroup": "apps", "resource": "deployments", "subresource": "scale",
            "namespace": "shop", "name": "web"});
        vec![
            event("get", deployments.clone(), None, decision),
            event("list", deployments, None, "allow"),
            event("update", scale, Some(FIXER), "allow"),
            event("create", json!({"resource": "selfsubjectreviews"}), None, "allow"),
            json!({"user": {"username": "alice"}, "verb": "delete", "objectRef": {"resource": "pods"}})
                .to_string(),
            "{\"half".to_owned(),
        ]
    }

    fn judged(log: &[String], elsewhere: &[Elsewhere]) -> Vec<String> {
        let uses = uses(&log.join("\n"), &BTreeSet::from([EXECUTOR.to_owned()]));
        compare(&grants(&roles()), &uses, elsewhere).into_iter().collect()
    }

    #[test]
    fn what_is_granted_and_used_is_right() {
        assert_eq!(judged(&log("allow"), &[]), [""; 0]);
    }

    #[test]
    fn a_right_that_nothing_uses_is_wrong_unless_it_is_an_exception() {
        let short = &log("allow")[1..];
        assert_eq!(judged(short, &[]), ["executor: get deployments.apps: granted and never used"]);
        let elsewhere = |verbs| [Elsewhere::unused("executor", "apps", &["deployments"], verbs, "a reason")];
        assert_eq!(judged(short, &elsewhere(&["get"])), [""; 0]);
        let wrong = judged(&log("allow"), &elsewhere(&["get", "watch"]));
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(wrong[0].contains("used, so that it must not stand among the exceptions"), "{wrong:?}");
        assert!(wrong[1].contains("watch deployments is an exception that nothing grants"), "{wrong:?}");
        let sometimes = [Elsewhere::sometimes("executor", "apps", &["deployments"], &["get"], "a reason")];
        assert_eq!(judged(short, &sometimes), [""; 0]);
        assert_eq!(judged(&log("allow"), &sometimes), [""; 0]);
    }

    #[test]
    fn a_use_that_nothing_grants_is_wrong() {
        let other = json!({"apiGroup": "apps", "resource": "deployments", "namespace": "shop"});
        let mut all = log("allow");
        all.push(event("watch", other.clone(), None, "forbid"));
        all.push(event("delete", other, None, "allow"));
        all.push(event(
            "get",
            json!({"resource": "pods", "namespace": "bank"}),
            Some("system:serviceaccount:bank:fixer"),
            "forbid",
        ));
        let wrong = judged(&all, &[]);
        assert_eq!(wrong.len(), 4, "{wrong:?}");
        assert!(wrong.iter().any(|w| w.contains("watch deployments.apps (all) in shop: tried and refused")));
        assert!(
            wrong
                .iter()
                .any(|w| w.contains("delete deployments.apps (all) in shop: allowed, but not by the chart"))
        );
        assert!(wrong.iter().any(|w| w.contains("impersonate serviceaccounts fixer in bank: allowed, but")));
    }

    #[test]
    fn names_and_namespaces_limit_a_grant() {
        let grant = |namespace: Option<&str>, names: &[&str]| Grant {
            right: right(),
            namespace: namespace.map(str::to_owned),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        fn right() -> Right {
            Right {
                account: EXECUTOR.into(),
                verb: "list".into(),
                group: String::new(),
                resource: "secrets".into(),
            }
        }
        let used = |namespace: &str, name: Option<&str>| Use {
            right: right(),
            namespace: Some(namespace.to_owned()),
            name: name.map(str::to_owned),
            allowed: true,
        };
        let named = grant(Some("shop"), &["token"]);
        assert!(covers(&named, &used("shop", Some("token"))));
        assert!(!covers(&named, &used("shop", Some("other"))));
        assert!(!covers(&named, &used("shop", None)), "a list of all is none of one");
        assert!(!covers(&named, &used("bank", Some("token"))));
        assert!(covers(&grant(None, &[]), &used("bank", None)));
    }
}

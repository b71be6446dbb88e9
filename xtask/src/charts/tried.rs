//! What roles may and may not, by trying it on a cluster in which the charts are installed: some rights leave no verb of
//! their own in an audit log, and nobody uses what is refused.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::install::{Kubectl, RELEASE, TENANT, account, create};
use super::work;
use crate::cluster::TestCluster;
use crate::run::say;

/// What leaves no verb of its own in the log, by asking the API server, which decides by the same rules.
pub(super) fn tried(kubectl: &Kubectl, cluster: &TestCluster) -> Result<()> {
    let (operator, executor) = (account(RELEASE, "causeway-operator"), account(RELEASE, "causeway-executor"));
    fn impersonate<'a>(name: &'a str, namespace: &'a str) -> [&'a str; 4] {
        ["impersonate", name, "--namespace", namespace]
    }
    let questions = [
        (&executor, impersonate("serviceaccounts/causeway-fixer", TENANT), true),
        (&executor, impersonate("serviceaccounts/default", TENANT), false),
        (&executor, impersonate("serviceaccounts/causeway-fixer", RELEASE), false),
        (&operator, impersonate("serviceaccounts/causeway-fixer", TENANT), false),
        (&operator, ["approve", "remediations.causeway.dev", "--namespace", TENANT], false),
        (&executor, ["approve", "remediations.causeway.dev", "--namespace", TENANT], false),
        (&operator, ["get", "secrets", "--namespace", TENANT], false),
        (&operator, ["list", "secrets", "--namespace", TENANT], false),
        (&executor, ["patch", "deployments.apps", "--namespace", TENANT], false),
    ];
    for (account, question, expected) in questions {
        if kubectl.may(account, &question)? != expected {
            bail!(
                "{account} must {}be allowed to {}",
                if expected { "" } else { "not " },
                question.join(" ")
            );
        }
    }
    approve(kubectl, cluster)?;
    say("approve and impersonate are granted to whom they should be");
    stolen(cluster)?;
    say("a stolen token of the operator changes no workload, one of the executor none where nobody let it");
    Ok(())
}

/// What somebody with a role's token can't do, by doing it.
fn stolen(cluster: &TestCluster) -> Result<()> {
    const DEPLOYMENT: &str = "deployment/ts-route-service";
    // What is named by a file is patched without being read first, which would be refused already.
    let named = |version: &str, kind: &str, name: &str| -> Result<String> {
        let file = work(cluster, &format!("{kind}-{name}.json"))?;
        let object = json!({ "apiVersion": version, "kind": kind, "metadata": { "name": name } });
        std::fs::write(&file, object.to_string())?;
        Ok(file.display().to_string())
    };
    let (target, other, config) = (
        named("apps/v1", "Deployment", "ts-route-service")?,
        named("apps/v1", "Deployment", "rates")?,
        named("v1", "ConfigMap", "rates")?,
    );
    let patch = ["--type=merge", "--patch", r#"{"metadata":{"annotations":{"stolen":"yes"}}}"#];
    let fixer = |namespace: &str| format!("--as={}", account(namespace, "causeway-fixer"));
    let (let_in, not_let_in, somebody) =
        (fixer(TENANT), fixer("default"), format!("--as={}", account(TENANT, "default")));
    let approval = work(cluster, "stolen.json")?;
    let object = json!({ "apiVersion": "causeway.dev/v1alpha1", "kind": "Approval",
        "metadata": { "name": "stolen", "namespace": TENANT },
        "spec": { "remediationRef": { "name": "some", "planDigest": "sha256:0" }, "decision": "Approve",
            "approver": account(RELEASE, "causeway-operator") } });
    std::fs::write(&approval, object.to_string())?;
    let file = approval.display().to_string();
    let in_tenant = ["--namespace", TENANT];
    let in_default = ["--namespace", "default"];
    let change = |file: &str, place: [&str; 2], more: &[&str]| -> Vec<String> {
        let all = [&["patch", "--filename", file], place.as_slice(), &patch, more].concat();
        all.into_iter().map(str::to_owned).collect()
    };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let attempts = [
        ("operator", change(&target, in_tenant, &[]), false),
        ("operator", change(&target, in_tenant, &[&let_in]), false),
        ("operator", change(&config, in_default, &[]), false),
        ("operator", words(&["scale", DEPLOYMENT, "--replicas=0", "--namespace", TENANT]), false),
        ("operator", words(&["delete", "pods", "--all", "--wait=false", "--namespace", TENANT]), false),
        ("operator", words(&["get", "secrets", "--namespace", TENANT]), false),
        ("operator", words(&["create", "--filename", &file]), false),
        ("gateway", change(&target, in_tenant, &[]), false),
        ("gateway", change(&target, in_tenant, &[&let_in]), false),
        ("console", change(&target, in_tenant, &[]), false),
        ("console", change(&target, in_tenant, &[&let_in]), false),
        ("executor", change(&target, in_tenant, &[]), false),
        ("executor", change(&target, in_tenant, &[&somebody]), false),
        ("executor", change(&other, in_default, &[]), false),
        ("executor", change(&other, in_default, &[&let_in]), false),
        ("executor", change(&other, in_default, &[&not_let_in]), false),
        ("executor", words(&["create", "--filename", &file]), false),
        // The one thing that it is there for.
        ("executor", change(&target, in_tenant, &[&let_in, "--dry-run=server"]), true),
    ];
    for (role, arguments, allowed) in attempts {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let said = Kubectl::of(work(cluster, role)?)?.run(&arguments);
        let expected = match &said {
            Ok(_) => allowed,
            Err(error) => !allowed && error.to_string().to_lowercase().contains("forbidden"),
        };
        if !expected {
            let verb = if allowed { "may" } else { "must not" };
            bail!("whoever has the token of the {role} {verb} {}: {said:?}", arguments.join(" "));
        }
    }
    Ok(())
}

/// Approvals by a user with the verb, by one without it, and in another's name.
fn approve(kubectl: &Kubectl, cluster: &TestCluster) -> Result<()> {
    const GROUP: &str = "rbac.authorization.k8s.io";
    let rule = |resource: &str, verb: &str| json!({ "apiGroups": ["causeway.dev"], "resources": [resource], "verbs": [verb] });
    let role = |name: &str, rules: Value| {
        json!({ "apiVersion": format!("{GROUP}/v1"), "kind": "Role",
            "metadata": { "name": name, "namespace": TENANT }, "rules": rules })
    };
    let binding = |name: &str| {
        json!({ "apiVersion": format!("{GROUP}/v1"), "kind": "RoleBinding",
            "metadata": { "name": name, "namespace": TENANT },
            "roleRef": { "apiGroup": GROUP, "kind": "Role", "name": name },
            "subjects": [{ "apiGroup": GROUP, "kind": "User", "name": name }] })
    };
    let items = json!([
        role("alice", json!([rule("approvals", "create"), rule("remediations", "approve")])),
        binding("alice"),
        role("bob", json!([rule("approvals", "create")])),
        binding("bob"),
    ]);
    create(kubectl, cluster, "admin", &json!({ "apiVersion": "v1", "kind": "List", "items": items }))?;
    for (user, approver, refusal) in [
        ("alice", "alice", None),
        ("alice", "bob", Some("must be the user who creates the Approval")),
        ("bob", "bob", Some("may not approve this Remediation")),
    ] {
        let approval = json!({ "apiVersion": "causeway.dev/v1alpha1", "kind": "Approval",
            "metadata": { "name": format!("{user}-{approver}"), "namespace": TENANT },
            "spec": { "remediationRef": { "name": "some", "planDigest": "sha256:0" },
                "decision": "Reject", "approver": approver } });
        let said = create(kubectl, cluster, user, &approval).map_err(|error| error.to_string());
        let expected = match (&said, refusal) {
            (Ok(()), None) => true,
            (Err(said), Some(refusal)) => said.contains(refusal),
            _ => false,
        };
        if !expected {
            bail!("an Approval of {user} in the name of {approver}: expected {refusal:?}, got {said:?}");
        }
    }
    Ok(())
}

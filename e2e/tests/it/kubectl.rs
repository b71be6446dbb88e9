//! A person at a terminal.

use crate::support::Fixture;

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_gets_describes_explains_applies_waits_and_deletes() {
    let fixture = Fixture::start().await;
    let ok = |arguments: &[&str]| {
        let (success, text) = fixture.kubectl(arguments);
        assert!(success, "kubectl {arguments:?}: {text}");
        text
    };
    let text = ok(&["get", "logsources", "-A"]);
    assert!(text.contains("NAMESPACE") && text.contains("otlp"), "{text}");
    let text = ok(&["describe", "logsource", "otlp", "-n", "clients"]);
    assert!(text.contains("Token Secret Ref"), "{text}");
    let text = ok(&["explain", "incident.status.cause"]);
    assert!(text.contains("confidence"), "{text}");
    ok(&["wait", "--for=condition=Ready", "logsource/otlp", "-n", "clients", "--timeout=20s"]);
    let file = fixture.places.logs.join("pause.yaml");
    std::fs::write(&file, "apiVersion: causeway.dev/v1alpha1\nkind: Pause\nmetadata: {name: freeze}\nspec: {reason: people are at work}\n").unwrap();
    let path = file.to_str().unwrap();
    assert!(ok(&["apply", "-f", path]).contains("created"));
    assert!(ok(&["apply", "-f", path]).contains("unchanged"));
    assert!(ok(&["get", "pauses"]).contains("people are at work"));
    ok(&["delete", "pause", "freeze"]);
    let bad = "apiVersion: causeway.dev/v1alpha1\nkind: LogSource\nmetadata: {name: bad, namespace: clients}\nspec: {type: OTLP}\n";
    std::fs::write(&file, bad).unwrap();
    let (success, text) = fixture.kubectl(&["apply", "-f", path]);
    assert!(!success && text.contains("exactly the member named by type must be set"), "{text}");
    // kubectl never sends a token without TLS: the kubeconfig's address carries it. A stranger has neither.
    let stranger = fixture
        .http
        .get(format!("{}/api/v1/pods", fixture.endpoints.kubernetes.as_deref().unwrap()))
        .send()
        .await
        .unwrap();
    assert_eq!(stranger.status(), 401);
}

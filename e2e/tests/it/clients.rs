//! Real clients: the OpenTelemetry SDK for Python over gRPC and HTTP, and fluent-logger.

use crate::support::{Fixture, python};

#[tokio::test(flavor = "multi_thread")]
async fn the_opentelemetry_sdk_sends_all_signals_and_cards_are_masked() {
    let fixture = Fixture::start().await;
    let e = &fixture.endpoints;
    let Some(_) = python("otlp.py", &[&e.otlp_grpc, &e.otlp_http, "clients-token", "25"]) else {
        return;
    };
    for name in ["over-grpc", "over-http"] {
        let sql = format!(
            "SELECT count(*) FROM logs WHERE body LIKE '{name} record %' AND service = 'clients/python-client'"
        );
        assert_eq!(fixture.number(&sql).await, 25);
    }
    assert_eq!(fixture.number("SELECT count(*) FROM logs WHERE body LIKE '%4111%'").await, 0);
    assert_eq!(
        fixture
            .number("SELECT count(*) FROM spans WHERE name = 'child' AND parent_span_id IS NOT NULL")
            .await,
        25
    );
    assert_eq!(
        fixture.query("SELECT value FROM metrics WHERE name = 'client.requests'").await[1][0]
            .parse::<f64>()
            .unwrap(),
        25.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fluent_logger_sends_from_a_trusted_network() {
    let fixture = Fixture::start().await;
    let port = fixture.endpoints.forward.rsplit(':').next().unwrap();
    let Some(_) = python("forward.py", &[port, "200"]) else {
        return;
    };
    // The client closes its socket without waiting: it has no acknowledgements.
    let sql = "SELECT count(*) FROM logs WHERE body LIKE 'fluent record %'";
    fixture.eventually(sql, 200).await;
    let (ok, text) = fixture.kubectl(&["get", "logsource", "fluent", "-n", "clients"]);
    assert!(ok && text.contains("FluentBit"), "{text}");
}

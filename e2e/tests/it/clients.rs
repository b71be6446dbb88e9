//! Real clients: the OpenTelemetry SDK for Python over gRPC and HTTP.

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

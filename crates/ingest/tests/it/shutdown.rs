use causeway_ingest::{IngestLimits, SourceLimits};
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tonic::Request;

use crate::fake::{Rig, credential, logs, loopback};

#[tokio::test]
async fn requests_under_way_end_and_new_ones_are_refused() {
    let rig = Rig::start().await;
    let blocked = rig.sink.gate.acquire().await.unwrap();
    let address = format!("http://{}", rig.handles.grpc);
    let mut client = LogsServiceClient::connect(address.clone()).await.unwrap();
    let under_way = tokio::spawn(async move {
        let mut request = Request::new(logs(&["under way"]));
        request.metadata_mut().insert("authorization", "Bearer web-token".parse().unwrap());
        client.export(request).await
    });
    rig.sink.entered.acquire().await.unwrap().forget();
    rig.shutdown.cancel();
    drop(blocked);
    under_way.await.unwrap().unwrap();
    let sink = rig.sink;
    rig.handles.finished().await;
    assert_eq!(sink.bodies(), ["under way"]);
    assert!(LogsServiceClient::connect(address).await.is_err(), "the port is closed");
}

#[tokio::test]
async fn connections_are_bounded() {
    let limits = IngestLimits { max_connections: 1, ..IngestLimits::default() };
    let sources = vec![credential("one", vec![loopback()], SourceLimits::default())];
    let rig = Rig::with(sources, limits).await;
    let _first = TcpStream::connect(rig.handles.forward).await.unwrap();
    let mut second = TcpStream::connect(rig.handles.forward).await.unwrap();
    assert_eq!(second.read(&mut [0]).await.unwrap_or(0), 0, "closed at once");
    let line = r#"ingest_connections_refused_total{transport="forward"} 1"#;
    assert!(rig.metrics().contains(line), "{}", rig.metrics());
}

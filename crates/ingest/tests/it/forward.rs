use std::time::Duration;

use causeway_ingest::{IngestLimits, Secret, SourceLimits};
use causeway_model::SinkError;
use rmpv::Value;
use sha2::{Digest, Sha512};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_fluent::record::Map;
use tokio_fluent::{Client, Config, FluentClient};

use crate::fake::{NOW_US, Rig, credential, loopback};

fn encode(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    rmpv::encode::write_value(&mut out, value).unwrap();
    out
}

fn message(text: &str, chunk: Option<&str>) -> Vec<u8> {
    let record = Value::Map(vec![("log".into(), text.into())]);
    let mut fields = vec!["app".into(), (NOW_US / 1_000_000).into(), record];
    fields.extend(chunk.map(|chunk| Value::Map(vec![("chunk".into(), chunk.into())])));
    encode(&Value::Array(fields))
}

/// Reads one element; `None` when the connection is closed.
async fn read(stream: &mut TcpStream) -> Option<Value> {
    let mut bytes = Vec::new();
    loop {
        if let Ok(value) = rmpv::decode::read_value(&mut bytes.as_slice()) {
            return Some(value);
        }
        match stream.read_u8().await {
            Ok(byte) => bytes.push(byte),
            Err(_) => return None,
        }
    }
}

fn ack(chunk: &str) -> Option<Value> {
    Some(Value::Map(vec![("ack".into(), chunk.into())]))
}

async fn rig(secrets: Vec<Vec<Secret>>) -> Rig {
    let names = ["one", "two", "three"];
    let sources =
        names.iter().zip(secrets).map(|(name, s)| credential(name, s, SourceLimits::default())).collect();
    let limits = IngestLimits { forward_retry: Duration::from_secs(10), ..IngestLimits::default() };
    Rig::with(sources, limits).await
}

fn hex(parts: &[&[u8]]) -> String {
    let mut hash = Sha512::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

/// A sender's side of the handshake; gives the stream and whether the server accepted and proved its own knowledge.
async fn greet(rig: &Rig, key: &str) -> (TcpStream, bool) {
    let mut stream = TcpStream::connect(rig.handles.forward).await.unwrap();
    let helo = read(&mut stream).await.unwrap();
    assert_eq!(helo[0].as_str(), Some("HELO"));
    let nonce = helo[1]["nonce"].as_slice().unwrap().to_vec();
    let digest = hex(&[b"salt", b"sender", &nonce, key.as_bytes()]);
    let ping = ["PING", "sender", "salt", &digest, "", ""].map(Value::from).to_vec();
    stream.write_all(&encode(&Value::Array(ping))).await.unwrap();
    let pong = read(&mut stream).await.unwrap();
    let accepted = pong[1].as_bool().unwrap();
    if accepted {
        assert_eq!(pong[3].as_str(), Some("gateway"));
        assert_eq!(pong[4].as_str(), Some(hex(&[b"salt", b"gateway", &nonce, key.as_bytes()]).as_str()));
    }
    (stream, accepted)
}

#[tokio::test]
async fn a_real_client_gets_its_acknowledgements() {
    let rig = rig(vec![vec![loopback()]]).await;
    let client = Client::new_tcp(rig.handles.forward, &Config::default()).await.unwrap();
    rig.fail_once(SinkError::Overloaded { retry_after_ms: 1 });
    for text in ["first", "second", "third"] {
        let mut record = Map::new();
        record.insert("message".to_owned(), text.into());
        client.send("app.web", record).unwrap();
    }
    // Four entries: the first message came twice, because the sink was overloaded.
    rig.sink.entered.acquire_many(4).await.unwrap().forget();
    client.stop().unwrap();
    while rig.sink.bodies().len() < 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.sink.bodies(), ["first", "second", "third"]);
}

#[tokio::test]
async fn only_what_is_durable_is_acknowledged() {
    let rig = rig(vec![vec![loopback()]]).await;
    let mut stream = TcpStream::connect(rig.handles.forward).await.unwrap();
    rig.fail_once(SinkError::Overloaded { retry_after_ms: 1 });
    rig.fail_once(SinkError::Overloaded { retry_after_ms: 1 });
    let both = [message("one", Some("c1")), message("two", Some("c2"))].concat();
    for byte in both.chunks(3) {
        stream.write_all(byte).await.unwrap();
    }
    assert_eq!(read(&mut stream).await, ack("c1"));
    assert_eq!(read(&mut stream).await, ack("c2"));
    assert_eq!(rig.sink.bodies(), ["one", "two"]);
    // A retry of the same bytes is acknowledged and not stored again.
    stream.write_all(&message("one", Some("c1"))).await.unwrap();
    assert_eq!(read(&mut stream).await, ack("c1"));
    assert_eq!(rig.sink.bodies().len(), 2);
    rig.fail_once(SinkError::Invalid("no".to_owned()));
    stream.write_all(&message("three", Some("c3"))).await.unwrap();
    assert_eq!(read(&mut stream).await, None, "not acknowledged, closed");
    assert_eq!(rig.sink.bodies().len(), 2);
}

#[tokio::test]
async fn shared_keys_select_sources() {
    let key = |key: &str| vec![Secret::SharedKey(key.to_owned())];
    let rig = rig(vec![
        key("first key"),
        key("second key"),
        vec![Secret::TrustedNetwork("10.0.0.0/8".parse().unwrap())],
    ])
    .await;
    let (mut stream, accepted) = greet(&rig, "second key").await;
    assert!(accepted);
    stream.write_all(&message("hello", Some("c"))).await.unwrap();
    assert_eq!(read(&mut stream).await, ack("c"));
    let (mut wrong, accepted) = greet(&rig, "third key").await;
    assert!(!accepted);
    assert_eq!(read(&mut wrong).await, None);
    let mut rude = TcpStream::connect(rig.handles.forward).await.unwrap();
    read(&mut rude).await.unwrap();
    rude.write_all(&message("no handshake", None)).await.unwrap();
    assert_eq!(read(&mut rude).await, None);
    assert_eq!((rig.sink.bodies(), rig.sink.sources()), (vec!["hello".to_owned()], vec!["two".to_owned()]));
    // A withdrawn key ends the connections that it opened.
    assert_eq!(rig.credentials.replace(vec![], NOW_US), []);
    stream.write_all(&message("late", Some("d"))).await.unwrap();
    assert_eq!(read(&mut stream).await, None);
    let mut closed = TcpStream::connect(rig.handles.forward).await.unwrap();
    assert_eq!(read(&mut closed).await, None, "without credentials nothing is accepted");
}

#[tokio::test]
async fn the_narrowest_trusted_network_holds() {
    let network = |text: &str| vec![Secret::TrustedNetwork(text.parse().unwrap())];
    let rig = rig(vec![network("127.0.0.0/8"), network("127.0.0.1/32"), network("10.0.0.0/8")]).await;
    let mut stream = TcpStream::connect(rig.handles.forward).await.unwrap();
    stream.write_all(&message("hello", Some("c"))).await.unwrap();
    assert_eq!(read(&mut stream).await, ack("c"));
    assert_eq!(rig.sink.sources(), vec!["two".to_owned()]);
    // Who is trusted no longer is refused on the open connection too.
    let far = credential("three", network("10.0.0.0/8"), SourceLimits::default());
    assert_eq!(rig.credentials.replace(vec![far], NOW_US), []);
    stream.write_all(&message("late", Some("d"))).await.unwrap();
    assert_eq!(read(&mut stream).await, None);
}

#[tokio::test]
async fn malformed_streams_are_closed_and_others_go_on() {
    let rig = rig(vec![vec![loopback()]]).await;
    for bad in [&b"GET / HTTP/1.1\r\n"[..], &[0xc1], &[0x91; 300], &[0x92, 0xa1, b't', 0x01]] {
        let mut stream = TcpStream::connect(rig.handles.forward).await.unwrap();
        stream.write_all(bad).await.unwrap();
        assert_eq!(read(&mut stream).await, None, "{bad:?}");
    }
    let mut stream = TcpStream::connect(rig.handles.forward).await.unwrap();
    stream.write_all(&message("fine", Some("c"))).await.unwrap();
    assert_eq!(read(&mut stream).await, ack("c"));
}

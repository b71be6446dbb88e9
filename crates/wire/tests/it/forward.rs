use std::io::Write;

use causeway_model::{Batch, LogRows, map_get};
use causeway_wire::{DecodeError, ForwardChunk, ForwardDecoder, ForwardError, ForwardEvent, decode_forward};
use proptest::prelude::*;
use rmpv::Value;

use crate::{NOW_US, context};

fn encode(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    rmpv::encode::write_value(&mut out, value).unwrap();
    out
}

fn map(fields: &[(&str, Value)]) -> Value {
    Value::Map(fields.iter().map(|(k, v)| (Value::from(*k), v.clone())).collect())
}

fn event_time(time_us: i64) -> Value {
    let mut bytes = ((time_us / 1_000_000) as u32).to_be_bytes().to_vec();
    bytes.extend(((time_us % 1_000_000 * 1_000) as u32).to_be_bytes());
    Value::Ext(0, bytes)
}

fn entry(text: &str) -> Value {
    Value::Array(vec![event_time(NOW_US - 3), map(&[("log", text.into())])])
}

fn options() -> Value {
    map(&[("chunk", "id==".into()), ("size", 2.into())])
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The same two records in each mode.
fn modes() -> Vec<(&'static str, Vec<u8>)> {
    let packed = [encode(&entry("one")), encode(&entry("two\n"))].concat();
    let compressed = map(&[("chunk", "id==".into()), ("compressed", "gzip".into())]);
    // Senders append to a compressed buffer, which makes several gzip members.
    let members = [gzip(&packed[..packed.len() / 2]), gzip(&packed[packed.len() / 2..])].concat();
    vec![
        (
            "forward",
            encode(&Value::Array(vec![
                "t".into(),
                Value::Array(vec![entry("one"), entry("two")]),
                options(),
            ])),
        ),
        ("packed bin", encode(&Value::Array(vec!["t".into(), Value::Binary(packed.clone()), options()]))),
        ("compressed", encode(&Value::Array(vec!["t".into(), Value::Binary(members), compressed]))),
        ("no option", encode(&Value::Array(vec!["t".into(), Value::Binary(packed)]))),
    ]
}

fn bodies(chunk: &ForwardChunk) -> Vec<String> {
    let Batch::Logs(batch) = &chunk.decoded.batch else { panic!("logs") };
    LogRows::new(batch).unwrap().body.iter().map(|b| b.unwrap().to_owned()).collect()
}

#[test]
fn all_modes_give_the_same_records() {
    for (name, message) in modes() {
        let chunk = decode_forward(&message, &context()).unwrap();
        assert_eq!(bodies(&chunk), ["one", "two"], "{name}");
        assert_eq!(chunk.tag, "t");
        let Batch::Logs(batch) = &chunk.decoded.batch else { panic!("logs") };
        assert_eq!(LogRows::new(batch).unwrap().time.value(0), NOW_US - 3, "{name}");
        let ack = chunk.ack().map(|ack| rmpv::decode::read_value(&mut ack.as_slice()).unwrap());
        assert_eq!(ack, (name != "no option").then(|| map(&[("ack", "id==".into())])), "{name}");
    }
    let message =
        Value::Array(vec!["t".into(), (NOW_US / 1_000_000).into(), map(&[("msg", "x".into())]), options()]);
    let chunk = decode_forward(&encode(&message), &context()).unwrap();
    assert_eq!((bodies(&chunk), chunk.chunk.as_deref()), (vec!["x".to_owned()], Some("id==")));
}

#[test]
fn firelens_and_kubernetes_metadata_become_the_resource() {
    let record = map(&[
        ("log", "started\n".into()),
        ("level", "warn".into()),
        ("trace_id", "5B8EFFF798038103D269B633813FC60C".into()),
        ("span_id", "nonsense".into()),
        ("ecs_cluster", "prod".into()),
        ("ecs_task_arn", "arn:aws:ecs:eu-west-1:1:task/prod/0a".into()),
        ("ecs_task_definition", "cart:7".into()),
        ("container_name", "/ecs-cart".into()),
        ("container_id", "c0ffee".into()),
        ("http", map(&[("status", 500.into()), ("ok", false.into())])),
    ]);
    let other = map(&[
        ("message", "hello".into()),
        (
            "kubernetes",
            map(&[
                ("namespace_name", "shop".into()),
                ("pod_name", "web-7f".into()),
                ("host", "node-1".into()),
                ("labels", map(&[("app", "web".into())])),
            ]),
        ),
    ]);
    let bare = map(&[("a", 1.into()), ("b", Value::Array(vec![true.into()]))]);
    let fluent_bit_time = Value::Array(vec![event_time(NOW_US), map(&[])]);
    let entries = [record, other, bare].map(|r| Value::Array(vec![fluent_bit_time.clone(), r]));
    let message = encode(&Value::Array(vec!["app".into(), Value::Array(entries.to_vec())]));
    let chunk = decode_forward(&message, &context()).unwrap();
    assert_eq!(bodies(&chunk), ["started", "hello", r#"{"a":1,"b":[true]}"#]);
    let Batch::Logs(batch) = &chunk.decoded.batch else { panic!("logs") };
    let rows = LogRows::new(batch).unwrap();
    assert_eq!([0, 1, 2].map(|i| rows.service.value(i)), ["cart", "shop/web", "unknown_service"]);
    assert_eq!(rows.severity_number.value(0), 13);
    assert_eq!(rows.trace_id.value(0), "5b8efff798038103d269b633813fc60c");
    for (key, want) in [
        ("aws.ecs.cluster.name", "prod"),
        ("aws.ecs.task.family", "cart"),
        ("aws.ecs.task.revision", "7"),
        ("container.name", "ecs-cart"),
        ("container.id", "c0ffee"),
    ] {
        assert_eq!(map_get(rows.resource, 0, key), Some(want), "{key}");
    }
    assert_eq!(map_get(rows.resource, 1, "k8s.pod.name"), Some("web-7f"));
    assert_eq!(map_get(rows.resource, 1, "k8s.pod.label.app"), Some("web"));
    assert_eq!(map_get(rows.attributes, 0, "http.status"), Some("500"));
    assert_eq!(map_get(rows.attributes, 0, "span_id"), Some("nonsense"));
    assert_eq!(map_get(rows.attributes, 0, "fluent.tag"), Some("app"));
}

#[test]
fn odd_entries_are_counted_and_odd_messages_are_errors() {
    let odd = Value::Array(vec![
        "t".into(),
        Value::Array(vec![
            entry("ok"),
            7.into(),
            Value::Array(vec!["no time".into(), map(&[])]),
            Value::Array(vec![1.into(), 2.into()]),
        ]),
    ]);
    let chunk = decode_forward(&encode(&odd), &context()).unwrap();
    assert_eq!((bodies(&chunk), chunk.decoded.stats.rejected), (vec!["ok".to_owned()], 3));
    for bad in [
        Value::Nil,
        Value::Array(vec![]),
        Value::Array(vec![1.into(), 2.into()]),
        Value::Array(vec!["t".into(), 2.into()]),
        Value::Array(vec!["t".into(), Value::Binary(vec![0x92, 0x01])]),
        Value::Array(vec!["t".into(), Value::Binary(vec![1]), map(&[("compressed", "lzma".into())])]),
        Value::Array(vec!["t".into(), Value::Binary(vec![1]), map(&[("compressed", "gzip".into())])]),
    ] {
        assert!(
            matches!(decode_forward(&encode(&bad), &context()), Err(DecodeError::Malformed { .. })),
            "{bad}"
        );
    }
}

#[test]
fn a_decompression_bomb_is_refused() {
    let mut context = context();
    context.limits.max_decompressed_bytes = 1_000;
    let bomb = gzip(&vec![0xc0; 100_000]);
    let message = Value::Array(vec!["t".into(), Value::Binary(bomb), map(&[("compressed", "gzip".into())])]);
    let error = decode_forward(&encode(&message), &context).unwrap_err();
    assert!(matches!(error, DecodeError::TooLarge { limit: 1_000, .. }), "{error}");
}

#[test]
fn the_stream_bounds_what_it_holds() {
    let mut stream = ForwardDecoder::open(100);
    // A byte string that announces 4 GiB.
    assert_eq!(stream.feed(&[0x93, 0xa1, b't', 0xc6, 0xff, 0xff, 0xff, 0xff]), Ok(vec![]));
    assert_eq!(stream.feed(&[0; 200]), Err(ForwardError::TooLarge { limit: 100 }));
    assert_eq!(
        ForwardDecoder::open(100).feed(&[0xc1]),
        Err(ForwardError::Malformed("the marker 0xc1 is reserved"))
    );
    let deep = vec![0x91; 100];
    assert!(matches!(ForwardDecoder::open(1_000).feed(&deep), Err(ForwardError::Malformed(_))));
    assert_eq!(ForwardDecoder::with_handshake(100).feed(&modes()[0].1), Err(ForwardError::NoPing));
}

proptest! {
    #[test]
    fn how_the_bytes_are_cut_makes_no_difference(cuts in prop::collection::vec(1usize..40, 1..80)) {
        let stream: Vec<u8> = modes().into_iter().flat_map(|(_, m)| m).collect();
        let whole = ForwardDecoder::open(1 << 20).feed(&stream).unwrap();
        prop_assert_eq!(whole.len(), 4);
        let mut decoder = ForwardDecoder::open(1 << 20);
        let (mut events, mut rest) = (Vec::new(), stream.as_slice());
        for cut in cuts.iter().cycle() {
            let (head, tail) = rest.split_at((*cut).min(rest.len()));
            events.extend(decoder.feed(head).unwrap());
            rest = tail;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(events, whole);
        prop_assert!(!decoder.is_mid_message());
    }

    #[test]
    fn any_bytes_give_a_result_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        drop(decode_forward(&bytes, &context()));
        drop(ForwardDecoder::with_handshake(1_000).feed(&bytes));
        if let Ok(events) = ForwardDecoder::open(1_000).feed(&bytes) {
            for event in events {
                if let ForwardEvent::Message(message) = event {
                    drop(decode_forward(&message, &context()));
                }
            }
        }
    }

    #[test]
    fn damaged_messages_never_panic(which in 0usize..4, at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut message = modes().swap_remove(which).1;
        let at = at.index(message.len());
        message[at] = to;
        drop(decode_forward(&message, &context()));
    }
}

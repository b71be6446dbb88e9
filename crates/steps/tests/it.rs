//! Pipelines from outside: what they remove, what they leave, and how they count.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use causeway_model::{
    Batch, LogBuilder, LogRow, LogRows, MetricBuilder, MetricRow, SpanBuilder, SpanRow, SpanRows, map_get,
};
use causeway_steps::{Pipeline, StepError, StepSpec};
use proptest::prelude::*;

fn steps(json: &str) -> Vec<StepSpec> {
    serde_json::from_str(json).unwrap()
}

fn compile(json: &str) -> Result<Pipeline, StepError> {
    Pipeline::compile(&steps(json))
}

fn logs<'a>(rows: impl IntoIterator<Item = LogRow<'a>>) -> Batch {
    let mut builder = LogBuilder::default();
    rows.into_iter().for_each(|row| builder.append(&row).unwrap());
    Batch::Logs(builder.finish().unwrap())
}

fn bodies(batch: &Batch) -> Vec<String> {
    let Batch::Logs(batch) = batch else { panic!("logs") };
    LogRows::new(batch).unwrap().body.iter().map(|b| b.unwrap().to_owned()).collect()
}

fn masked(lines: &[&str]) -> (Vec<String>, usize) {
    let batch = logs(lines.iter().map(|body| LogRow { body, ..LogRow::default() }));
    let (batch, counts) = Pipeline::default_mask().unwrap().run(batch).unwrap();
    (bodies(&batch), counts[0].changed)
}

#[test]
fn masks_bodies_attributes_names_and_nothing_else() {
    let pipeline = Pipeline::default_mask().unwrap();
    let clean = LogRow { body: "order 17 shipped", attributes: &[("a", "b")], ..LogRow::default() };
    let secret = LogRow {
        body: "mail a@example.com and 4111 1111 1111 1111",
        resource: &[("process.command_line", "app --password hunter2")],
        attributes: &[("db.password", "plain"), ("user", "bob"), ("url", "https://u:p4ss@h/x")],
        ..LogRow::default()
    };
    let (batch, counts) = pipeline.run(logs([clean, secret, clean])).unwrap();
    assert_eq!(bodies(&batch), ["order 17 shipped", "mail *** and ***", "order 17 shipped"]);
    let Batch::Logs(rows) = &batch else { panic!("logs") };
    let rows = LogRows::new(rows).unwrap();
    for (key, want) in [("db.password", "***"), ("user", "bob"), ("url", "https://u:***@h/x")] {
        assert_eq!(map_get(rows.attributes, 1, key), Some(want));
    }
    assert_eq!(map_get(rows.resource, 1, "process.command_line"), Some("app --password ***"));
    assert_eq!(map_get(rows.attributes, 2, "a"), Some("b"));
    assert_eq!((counts[0].rows_in, counts[0].rows_out, counts[0].dropped, counts[0].changed), (3, 3, 0, 1));

    let mut spans = SpanBuilder::default();
    let span = SpanRow {
        name: "GET /?token=abcdef123456",
        status_message: "to x@example.org",
        ..SpanRow::default()
    };
    spans.append(&span).unwrap();
    let (batch, _) = pipeline.run(Batch::Spans(spans.finish().unwrap())).unwrap();
    let Batch::Spans(rows) = &batch else { panic!("spans") };
    assert_eq!(SpanRows::new(rows).unwrap().name.value(0), "GET /?token=***");

    let mut metrics = MetricBuilder::default();
    metrics.append(&MetricRow { attributes: &[("user", "x@example.org")], ..MetricRow::default() }).unwrap();
    let (_, counts) = pipeline.run(Batch::Metrics(metrics.finish().unwrap())).unwrap();
    assert_eq!(counts[0].changed, 1);
}

#[test]
fn steps_run_in_order_for_the_rows_that_match() {
    let pipeline = compile(
        r#"[
        {"name": "noise", "type": "Drop", "match": {"severityBelow": "Info", "bodyContains": "health"}, "drop": {}},
        {"name": "ids", "type": "Mask", "match": {"service": "shop/cart", "attributes": {"env": "prod"}},
         "mask": {"builtins": [], "patterns": [{"name": "id", "regex": "customer=(?P<secret>\\w+)"}], "replaceWith": "<id>"}},
        {"name": "rest", "type": "Drop", "match": {"bodyMatches": "^x+$", "signal": "Logs"}, "drop": {}}
    ]"#,
    )
    .unwrap();
    let row = |severity_number, service, body| LogRow {
        severity_number,
        service,
        body,
        resource: &[("env", "prod")],
        ..LogRow::default()
    };
    let batch = logs([
        row(5, "a", "health ok"),
        row(9, "a", "health ok"),
        row(0, "a", "health ok"),
        row(9, "shop/cart", "customer=ab12 a@example.com"),
        row(9, "a", "customer=ab12"),
        row(9, "a", "xxx"),
    ]);
    let (batch, counts) = pipeline.run(batch).unwrap();
    assert_eq!(bodies(&batch), ["health ok", "health ok", "customer=<id> a@example.com", "customer=ab12"]);
    let counts: Vec<_> =
        counts.iter().map(|c| (&*c.step, c.rows_in, c.rows_out, c.dropped, c.changed)).collect();
    assert_eq!(counts, [("noise", 6, 5, 1, 0), ("ids", 5, 5, 0, 1), ("rest", 5, 4, 1, 0)]);
    let mut spans = SpanBuilder::default();
    spans.append(&SpanRow { name: "health", ..SpanRow::default() }).unwrap();
    assert_eq!(
        pipeline.run(Batch::Spans(spans.finish().unwrap())).unwrap().0.len(),
        1,
        "bodies are of logs only"
    );
}

#[test]
fn wrong_steps_do_not_compile() {
    for (json, want) in [
        (r#"[{"name": "a", "type": "Mask"}]"#, "step 'a': set the member 'mask' and no other"),
        (r#"[{"name": "a", "type": "Drop", "drop": {}}]"#, "step 'a': match is missing or has no condition"),
        (
            r#"[{"name": "a", "type": "Drop", "drop": {}, "match": {}}]"#,
            "match is missing or has no condition",
        ),
        (r#"[{"name": "a", "type": "Drop", "drop": {}, "mask": {}}]"#, "set the member 'drop' and no other"),
        (
            r#"[{"name": "a", "type": "Mask", "mask": {}}, {"name": "a", "type": "Mask", "mask": {}}]"#,
            "used twice",
        ),
        (
            r#"[{"name": "a", "type": "Mask", "mask": {"patterns": [{"name": "p", "regex": "("}]}}]"#,
            "regular expression",
        ),
        (
            r#"[{"name": "a", "type": "Mask", "mask": {"patterns": [{"name": "p", "regex": "x*"}]}}]"#,
            "pattern 'p' matches the empty text",
        ),
        (
            r#"[{"name": "a", "type": "Drop", "drop": {}, "match": {"bodyMatches": "\\w{900000}"}}]"#,
            "regular expression",
        ),
    ] {
        let error = compile(json).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }
    assert!(serde_json::from_str::<StepSpec>(r#"{"name": "a", "type": "Explode"}"#).is_err());
}

/// A card number with a right check digit.
fn card(seed: u64) -> String {
    let mut digits: Vec<u64> =
        format!("4{:014}", seed % 100_000_000_000_000).bytes().map(|b| u64::from(b - b'0')).collect();
    let sum: u64 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, d)| if i % 2 == 0 { (d * 2) / 10 + (d * 2) % 10 } else { *d })
        .sum();
    digits.push((10 - sum % 10) % 10);
    digits.iter().map(u64::to_string).collect()
}

/// The secret of a kind, and the line that it stands in.
fn planted(kind: usize, seed: u64) -> (String, String) {
    let word = format!("{:x}{:x}", seed.wrapping_mul(0x9E37_79B9_7F4A_7C15), seed);
    let upper: String =
        word.to_ascii_uppercase().chars().chain("ABCDEFGHIJKLMNOP".chars()).take(16).collect();
    let secret = match kind {
        0 | 1 => card(seed),
        2 => format!("u{word}@example.com"),
        3 => format!("tok{word}"),
        4 => format!("AKIA{upper}"),
        5 => format!("eyJhbGciOiJIUzI1NiJ9.eyJzdWIi{word}.sig{word}"),
        _ => format!("s3cr3t{word}"),
    };
    let line = match kind {
        0 => format!("charged card {secret} for 12.50 EUR"),
        1 => format!("{{\"pan\":\"{secret}\",\"amount\":1250}}"),
        2 => format!("sent receipt to <{secret}>, queue=3"),
        3 => format!("GET /cart Authorization: Bearer {secret} 200"),
        4 => format!("using credentials {secret} in eu-west-1"),
        5 => format!("session {secret}; expires 3600"),
        6 => format!("connect user=app password={secret} db=1"),
        7 => format!("{{\"user\":\"app\",\"clientSecret\":\"{secret}\"}}"),
        _ => format!("dial postgres://app:{secret}@db:5432/shop failed"),
    };
    (secret, line)
}

#[test]
fn five_hundred_planted_secrets_are_gone() {
    let planted: Vec<(String, String)> = (0..504).map(|i| planted(i % 9, i as u64 * 7_919 + 13)).collect();
    let lines: Vec<&str> = planted.iter().map(|(_, line)| line.as_str()).collect();
    let (masked, changed) = masked(&lines);
    assert_eq!(changed, planted.len());
    for ((secret, line), masked) in planted.iter().zip(&masked) {
        assert!(!masked.contains(secret.as_str()) && masked.contains("***"), "{line} became {masked}");
    }
}

#[test]
fn ids_times_and_versions_are_left_alone() {
    let lines = [
        "trace 4bf92f3577b34da6a3ce929d0e0e4736 span 00f067aa0ba902b7",
        "request 550e8400-e29b-41d4-a716-446655440000 took 12 ms",
        "2026-11-22T19:58:04.123456Z 1795305600000000000 1795305600000",
        "started v1.35.0+k3s1 kernel 6.1.0-4111-1111 build 20261122.4111111111111111",
        "node/ip-10-0-0-1.eu-west-1.compute.internal pod web-7f9c4d6b8-x2x9z",
        "HTTP/1.1 200 GET /api/v1/orders/4111111111111112?page=2 1.234s",
        "at com.acme.Cart$Item.add(Cart.java:411) [cart.jar:4.1.1]",
        "sha256:4111111111111111aaaa block blk_4111111111111111",
        "password changed for user 42, tokens left: 17, secret rotated",
    ];
    assert_eq!(masked(&lines), (lines.map(str::to_owned).to_vec(), 0));
}

/// Public logs that the repository does not ship; without them there is nothing to check here.
#[test]
fn few_clean_lines_of_public_logs_are_altered() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/logs");
    let (mut lines, mut altered) = (0, Vec::new());
    for system in ["Apache", "Hadoop", "HealthApp", "Linux", "OpenStack"] {
        let Ok(text) = std::fs::read_to_string(folder.join(system).join("raw.log")) else { continue };
        let rows: Vec<&str> = text.lines().collect();
        let (masked, _) = masked(&rows);
        lines += rows.len();
        altered.extend(rows.iter().zip(masked).filter(|(a, b)| *a != b).map(|(a, b)| format!("{a} -> {b}")));
    }
    if lines == 0 {
        eprintln!("skipped: no logs in {}", folder.display());
        return;
    }
    assert!(altered.len() * 1_000 <= lines, "{} of {lines}: {altered:#?}", altered.len());
}

proptest! {
    #[test]
    fn any_text_is_masked_without_panic(
        texts in prop::collection::vec("(.{0,12}(password=|token: |@|Bearer |://|eyJ|AKIA|4111 |DE89|\"|\\\\|,|é)){0,6}.{0,8}", 1..6)
    ) {
        let lines: Vec<&str> = texts.iter().map(String::as_str).collect();
        let (once, _) = masked(&lines);
        prop_assert_eq!(once.len(), lines.len());
    }

    #[test]
    fn neighbours_and_slices_make_no_difference(before in ".{0,10}", after in ".{0,10}", kind in 0usize..9, seed in any::<u32>()) {
        let (secret, line) = planted(kind, u64::from(seed));
        let (alone, _) = masked(&[&line]);
        let (among, _) = masked(&[&before, &line, &after]);
        prop_assert_eq!(&alone[0], &among[1]);
        prop_assert!(!alone[0].contains(&secret));
        let rows = logs([&before, &line, &after].map(|body| LogRow { body, ..LogRow::default() }));
        let sliced = causeway_model::LogBatch::try_new(rows.record_batch().slice(1, 1)).unwrap();
        let (sliced, _) = Pipeline::default_mask().unwrap().run(Batch::Logs(sliced)).unwrap();
        prop_assert_eq!(&bodies(&sliced)[0], &alone[0]);
    }

    #[test]
    fn counters_add_up(severities in prop::collection::vec(0i32..25, 0..50)) {
        let pipeline = compile(r#"[{"name": "d", "type": "Drop", "match": {"severityBelow": "Warn"}, "drop": {}}]"#).unwrap();
        let batch = logs(severities.iter().map(|s| LogRow { severity_number: *s, ..LogRow::default() }));
        let (batch, counts) = pipeline.run(batch).unwrap();
        prop_assert_eq!(counts[0].rows_in, counts[0].rows_out + counts[0].dropped);
        prop_assert_eq!(batch.len(), severities.iter().filter(|s| **s == 0 || **s >= 13).count());
    }
}

//! The miner as its users see it: agreement between miners, snapshots, limits, whole files.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use causeway_patterns::{
    HeaderMode, Miner, MinerConfig, MinerSnapshot, TemplateId, Variable, VariableClass, offline,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

fn fixed(cases: u32) -> Config {
    Config { cases, rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..Config::default() }
}

fn plain() -> Miner {
    Miner::new(MinerConfig { headers: HeaderMode::Off, ..MinerConfig::default() })
}

fn mined(lines: &[String]) -> Miner {
    let mut m = plain();
    for l in lines {
        m.observe("s", l);
    }
    m
}

fn texts(m: &Miner) -> BTreeMap<String, u64> {
    m.templates().map(|t| (t.text, t.count)).collect()
}

const NAMES: [&str; 12] =
    ["ann", "bob", "cyd", "dan", "eve", "fay", "gus", "hal", "ida", "jim", "kim", "lea"];
const STATES: [&str; 4] = ["NEW", "READY", "RUNNING", "DONE"];

/// Lines as programs write them: a few statements, filled with names, states and numbers.
fn line() -> impl Strategy<Value = String> {
    (0..9usize, 0..12usize, 0..12usize, 0..4usize, 0..3000u32).prop_map(|(kind, a, b, s, n)| {
        let (a, b, s) = (NAMES[a], NAMES[b], STATES[s]);
        match kind {
            0 => format!("session opened for user {a} by uid {n}"),
            1 => format!("job {n} moved from {s} to {}", STATES[(n % 4) as usize]),
            2 => format!("send message from {a} to {b} after {n}ms"),
            3 => format!("link eth{} is {}", n % 3, if n % 2 == 0 { "up" } else { "down" }),
            4 => format!("cache {a} holds {n} KB"),
            5 => format!("cache {a} holds {n} MB"),
            6 => format!("{b} started"),
            7 => format!("port {} in use", if n % 5 == 0 { "http".to_owned() } else { n.to_string() }),
            _ => format!("login of {a} on host {b}: {}", n % 7 == 0),
        }
    })
}

proptest! {
    #![proptest_config(fixed(32))]

    #[test]
    fn order_does_not_matter((lines, shuffled) in prop::collection::vec(line(), 1..400)
        .prop_flat_map(|l| (Just(l.clone()), Just(l).prop_shuffle())))
    {
        let (mut a, mut b) = (plain(), plain());
        let first: Vec<TemplateId> = lines.iter().map(|l| a.observe("s", l).template).collect();
        for l in &shuffled {
            b.observe("s", l);
        }
        prop_assert_eq!(texts(&a), texts(&b));
        for (l, id) in lines.iter().zip(first) {
            prop_assert_eq!(Some(a.resolve(id)), b.classify("s", l), "{}", l);
        }
    }

    #[test]
    fn counts_are_kept(lines in prop::collection::vec(line(), 1..300)) {
        let m = mined(&lines);
        prop_assert_eq!(m.templates().map(|t| t.count).sum::<u64>(), lines.len() as u64);
    }

    #[test]
    fn a_restored_miner_goes_on_as_before(lines in prop::collection::vec(line(), 2..200), cut in 0..200usize) {
        let cut = cut % lines.len();
        let mut a = mined(&lines[..cut]);
        let json = serde_json::to_string(&a.snapshot()).unwrap();
        let mut b = Miner::restore(serde_json::from_str::<MinerSnapshot>(&json).unwrap());
        a.take_aliases();
        for l in &lines[cut..] {
            prop_assert_eq!(a.observe("s", l), b.observe("s", l));
            prop_assert_eq!(a.take_aliases(), b.take_aliases());
        }
        prop_assert_eq!(serde_json::to_string(&a.snapshot()).unwrap(), serde_json::to_string(&b.snapshot()).unwrap());
    }

    #[test]
    fn any_text_is_taken(lines in prop::collection::vec("\\PC{0,60}|[ -~\\n\\t]{0,80}|[a-z0-9:./@=<>\\[\\]()\"\\\\-]{0,40}", 0..80)) {
        let mut m = Miner::default();
        for l in &lines {
            let id = m.observe("s", l).template;
            prop_assert!(m.template(id).is_some());
            for v in m.variables("s", l) {
                prop_assert!(l.contains(v.text));
            }
        }
    }

    #[test]
    fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let lines = String::from_utf8_lossy(&bytes).lines().count();
        prop_assert_eq!(offline::run(&bytes).lines.len(), lines);
    }

    #[test]
    fn memory_is_bounded(words in prop::collection::vec("[a-z]{3,9}( [a-z]{3,9}){0,4}", 200..400)) {
        let mut m = Miner::new(MinerConfig { max_templates: 32, max_streams: 2, headers: HeaderMode::Detect });
        for (i, w) in words.iter().enumerate() {
            m.observe(&format!("s{}", i % 5), w);
            prop_assert!(m.len() <= 33);
        }
    }
}

/// Lines of one statement, and the template they should end in.
#[test]
fn statements_end_in_one_template() {
    let cases: [(&[&str], &str); 9] = [
        (&["user ann logged in", "user bob logged in", "user cyd logged in"], "user <*> logged in"),
        (&["via eth0: lease", "via eth1: lease"], "via <*>: lease"),
        (&["size 5.2 KB free 1.0 MB", "size 16.0 B free 3.1 GB"], "size <*> <*> free <*> <*>"),
        (&["Invalid user web from 10.0.0.1", "Invalid user 0101 from 10.0.0.2"], "Invalid user <*> from <*>"),
        (&["Failed password for root", "Failed password for fztu"], "Failed password for <*>"),
        (&["delete blk_1", "delete blk_1 blk_2", "delete blk_1 blk_2 blk_3"], "delete <*>"),
        (&["peers [1, 2, 3]", "peers [1, 2, 3, 4]"], "peers [<*>]"),
        (
            &["open fd=3 mode=a", "open fd=4 mode=b", "open fd=4 mode=c", "open fd=4 mode=d"],
            "open fd=<*> mode=<*>",
        ),
        (&["took 3ms", "took 17.5ms"], "took <*>"),
    ];
    for (lines, want) in cases {
        let m = mined(&lines.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(texts(&m).keys().collect::<Vec<_>>(), [want], "{lines:?}");
    }
}

#[test]
fn statements_stay_apart() {
    for lines in [
        ["task moved to RUNNING", "task moved to DONE", "task moved to FAILED"],
        [
            "Server environment:java.home=/a",
            "Server environment:user.dir=/b",
            "Server environment:user.home=/c",
        ],
        ["portmap startup succeeded", "klogd startup succeeded", "cupsd startup succeeded"],
        ["link is up", "link is down", "link is flapping"],
    ] {
        assert_eq!(mined(&lines.map(str::to_owned)).len(), 3, "{lines:?}");
    }
}

#[test]
fn aliases_lead_from_old_ids_to_the_wide_one() {
    let mut m = plain();
    let mut old = BTreeSet::new();
    let mut told = Vec::new();
    for n in NAMES {
        let seen = m.observe("s", &format!("hello dear {n} again"));
        old.insert(seen.template);
        assert_eq!(seen.generalised, n == "gus", "{n}");
        told.extend(m.take_aliases());
    }
    let wide = TemplateId::of("hello dear <*> again");
    assert_eq!(m.count(wide), 12);
    assert_eq!(told.len(), 6);
    assert_eq!(m.aliases().collect::<Vec<_>>(), told);
    assert!(old.iter().all(|id| m.resolve(*id) == wide && m.template(*id) == Some("hello dear <*> again")));
}

#[test]
fn variables_are_typed() {
    let mut m = plain();
    let line = "order 17 of 10.0.0.1 took 31ms, 2MB in /tmp/x at 12:30:01, key 0xff, id b9000564-fe1a-409b-b8cc-1e88b294cd1d by root";
    m.observe("s", line);
    use VariableClass as C;
    let want = [
        (C::Number, "17"),
        (C::Ip, "10.0.0.1"),
        (C::Duration, "31ms"),
        (C::Size, "2MB"),
        (C::Path, "/tmp/x"),
        (C::Time, "12:30:01"),
        (C::Hex, "0xff"),
        (C::Uuid, "b9000564-fe1a-409b-b8cc-1e88b294cd1d"),
        (C::Word, "root"),
    ];
    assert_eq!(m.variables("s", line), want.map(|(class, text)| Variable { class, text }));
}

#[test]
fn headers_are_learned_online_and_early_lines_follow() {
    let mut m = Miner::default();
    let raw =
        |i: u32| format!("2015-10-18 18:01:{:02},978 INFO [main-{i}] a.b.C: Created {i} of shop", i % 60);
    let first = m.observe("raw", &raw(1)).template;
    for i in 2..200 {
        m.observe("raw", &raw(i));
    }
    let id = TemplateId::of("Created <*> of shop");
    assert_eq!(m.resolve(first), id);
    assert_eq!(m.count(id), 199);
    assert_eq!(m.observe("bare", "Created 5 of shop").template, id);
}

#[test]
fn a_stack_trace_is_one_template() {
    let trace = |n: u32| {
        format!(
            "2020-01-01 10:00:{n:02} ERROR a.B: Request {n} failed\njava.io.IOException: no {n}\n\tat a.B.run(B.java:{n})\n\tat a.C.go(C.java:{n})\n\t... {n} more"
        )
    };
    let file = (10..40).map(trace).collect::<Vec<_>>().join("\n");
    let out = offline::run(file.as_bytes());
    let templates = texts(&out.miner);
    assert!(out.lines.len() == 150 && templates.len() <= 2, "{templates:?}");
    let mut m = plain();
    let id = m.observe("s", &trace(10)).template;
    assert_eq!(id, m.observe("s", &trace(11)).template);
    assert!(m.template(id).unwrap().ends_with("at a.B.run\nat a.C.go"));
}

#[test]
fn json_follows_the_contract() {
    let mut out = String::new();
    offline::run(b"say \"a\" 1\nsay \"a\" 2\r\n\nbye").write_json(&mut out).unwrap();
    let rows: Vec<serde_json::Value> = out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let lines: Vec<_> = rows.iter().filter(|r| r.get("line").is_some()).collect();
    let patterns: Vec<_> = rows.iter().filter(|r| r.get("pattern").is_some()).collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[0]["pattern_id"], lines[1]["pattern_id"]);
    assert!(lines.iter().all(|l| patterns.iter().any(|p| p["pattern_id"] == l["pattern_id"])));
    assert!(patterns.iter().any(|p| p["pattern"] == "say \"a\" <*>" && p["count"] == 2));
}

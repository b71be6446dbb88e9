//! What must hold for any case: the same input gives the same bytes, in whatever order it comes, and names mean nothing.

use std::collections::BTreeMap;

use causeway_causal::case::{Case, Change, ChangeKind, LogLine, Names, Span, Sym};
use causeway_causal::offline::to_json;
use causeway_causal::rank::rank;
use causeway_causal::ranking::Ranking;
use proptest::prelude::*;

use crate::made::{Fault, MINUTE, Noise, START, lines, shop, traces};

fn shuffle<T>(list: &mut [T], noise: &mut Noise) {
    for at in (1..list.len()).rev() {
        list.swap(at, (noise.next() * (at + 1) as f64) as usize);
    }
}

/// Gives every string another number and, where `name` changes it, another text.
fn renumbered(case: &Case, order: &[u32], name: &dyn Fn(&str) -> String) -> Case {
    let mut out = case.clone();
    let mut names = Names::default();
    let mut new: BTreeMap<Sym, Sym> = BTreeMap::new();
    for old in order.iter().map(|n| Sym(*n)) {
        new.insert(old, names.intern(&name(case.name(old))));
    }
    let of = |sym: &mut Sym| *sym = new[sym];
    of(&mut out.symptom.entity);
    out.series.iter_mut().for_each(|s| of(&mut s.entity));
    out.changes.iter_mut().for_each(|c| of(&mut c.entity));
    for edge in &mut out.edges {
        of(&mut edge.from);
        of(&mut edge.to);
    }
    let span = |s: &mut Span| {
        of(&mut s.entity);
        of(&mut s.operation);
    };
    out.spans.iter_mut().for_each(span);
    out.baseline_spans.iter_mut().for_each(span);
    let line = |l: &mut LogLine| of(&mut l.entity);
    out.logs.iter_mut().for_each(line);
    out.baseline_logs.iter_mut().for_each(line);
    out.names = names;
    out
}

/// Everything in another order, the numbers of the strings as well.
fn reordered(case: &Case, seed: u64) -> Case {
    let mut noise = Noise(seed);
    let mut order: Vec<u32> = (0..case.names.len() as u32).collect();
    shuffle(&mut order, &mut noise);
    let mut out = renumbered(case, &order, &str::to_owned);
    shuffle(&mut out.series, &mut noise);
    shuffle(&mut out.edges, &mut noise);
    shuffle(&mut out.spans, &mut noise);
    shuffle(&mut out.baseline_spans, &mut noise);
    shuffle(&mut out.logs, &mut noise);
    shuffle(&mut out.baseline_logs, &mut noise);
    out
}

prop_compose! {
    fn cases()(
        fault in prop_oneof![
            Just(Fault::None),
            prop::sample::select(vec!["store", "tax", "checkout", "pay"]).prop_map(Fault::Slow),
            prop::sample::select(vec!["store", "tax", "search"]).prop_map(Fault::Failing),
            prop::sample::select(vec!["cart", "search", "web"]).prop_map(Fault::Busy),
        ],
        late in 0i64..4,
        kept in prop::collection::vec(prop::bool::weighted(0.8), 7),
        spans in 0u64..40,
        own in 0i64..60_000,
        link in 0i64..60_000,
        written in 0u64..40,
        changed in prop::bool::ANY,
    ) -> Case {
        let mut case = shop(fault, late, &str::to_owned);
        let mut kept = kept.into_iter();
        case.edges.retain(|_| kept.next().unwrap_or(true));
        if spans > 0 {
            traces(&mut case, spans, 0, 0, false);
            traces(&mut case, spans, own, link, true);
        }
        lines(&mut case, 40, "INFO looked up rate {} ms", false);
        lines(&mut case, written, "INFO looked up rate {} ms", true);
        lines(&mut case, written / 2, "ERROR tax.py:41 bad rate for order {}", true);
        if changed {
            let entity = case.names.intern("tax");
            case.changes.push(Change {
                time_us: START + 3 * MINUTE,
                entity,
                object: String::new(),
                kind: ChangeKind::Release,
                description: "rollout".to_owned(),
                diff: Vec::new(),
                author: String::new(),
                frozen_by: String::new(),
            });
        }
        case
    }
}

/// What a ranking says of each entity, apart from names: score, class, terms, and values of the evidence.
fn told(ranking: &Ranking, name: &dyn Fn(&str) -> String) -> BTreeMap<String, String> {
    let of = |s: &causeway_causal::ranking::Suspect| {
        let terms: Vec<String> = s.terms.iter().map(|t| format!("{} {:.9}", t.name, t.points)).collect();
        let seen: Vec<String> = s
            .evidence
            .iter()
            .map(|e| format!("{:?} {:?} {:?} {} {:?}", e.kind, e.baseline, e.observed, e.unit, e.at_us))
            .collect();
        format!("{:.9} {:.9} {:?} {terms:?} {seen:?} {}", s.score, s.probability, s.class, s.path.len())
    };
    ranking.ranked.iter().filter(|s| s.score > 1e-6).map(|s| (name(&s.entity), of(s))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_same_bytes_in_whatever_order(case in cases(), seed in any::<u64>()) {
        let once = to_json("a", &rank(&case));
        prop_assert_eq!(&once, &to_json("a", &rank(&case.clone())));
        prop_assert_eq!(&once, &to_json("a", &rank(&reordered(&case, seed))));
    }

    #[test]
    fn names_mean_nothing(case in cases(), seed in any::<u64>()) {
        let entities = ["web", "cart", "search", "checkout", "tax", "pay", "store"];
        let mut numbers: Vec<usize> = (0..entities.len()).collect();
        shuffle(&mut numbers, &mut Noise(seed));
        let other = |text: &str| match entities.iter().position(|e| *e == text) {
            Some(at) => format!("n{}", numbers[at]),
            None => text.to_owned(),
        };
        let order: Vec<u32> = (0..case.names.len() as u32).collect();
        let (a, b) = (rank(&case), rank(&renumbered(&case, &order, &other)));
        prop_assert_eq!(a.abstained, b.abstained);
        prop_assert_eq!(told(&a, &other), told(&b, &str::to_owned));
        prop_assert!((a.confidence - b.confidence).abs() < 1e-9);
        let order = |r: &Ranking, name: &dyn Fn(&str) -> String| -> Vec<String> {
            r.ranked.iter().filter(|s| s.score > 1e-6).map(|s| name(&s.entity)).collect()
        };
        prop_assert_eq!(order(&a, &other), order(&b, &str::to_owned));
    }
}

use std::collections::BTreeSet;

use causeway_causal::topology::{CallStub, EntityId, EntityKind, Seen, Topology, TopologyConfig};

use crate::made::{MINUTE, Noise};

fn service(at: usize) -> EntityId {
    EntityId::service("shop", &format!("s{at}"))
}

fn call(caller: &EntityId, callee: &EntityId, at: i64, seen: Seen) -> CallStub {
    CallStub {
        caller: caller.clone(),
        callee: callee.clone(),
        count: 1,
        first_us: at,
        last_us: at + 1000,
        seen,
    }
}

#[test]
fn two_hundred_services_with_reused_addresses() {
    let mut noise = Noise(5);
    let mut pick = move |n: usize| (noise.next() * n as f64) as usize;
    let truth: BTreeSet<(usize, usize)> = (1..200)
        .flat_map(|at| [(at - 1) / 2, at / 3])
        .zip((1..200).flat_map(|at| [at, at]))
        .filter(|(a, b)| a != b)
        .collect();
    let edges: Vec<(usize, usize)> = truth.iter().copied().collect();
    let mut topology = Topology::new(TopologyConfig::default());
    // Each service has an address; every minute one in ten hands its address to another service.
    let mut owner: Vec<usize> = (0..200).collect();
    for minute in 0..5 {
        let begin = minute * MINUTE;
        for (address, who) in owner.iter().enumerate() {
            topology.observe_address(&format!("10.0.0.{address}"), &service(*who), begin, begin + MINUTE - 1);
        }
        for _ in 0..3000 {
            let (a, b) = edges[pick(edges.len())];
            // A connection log of the minute, resolved later or across the change of hands.
            let address = owner.iter().position(|o| *o == b).expect("every service has an address");
            let at = begin + (pick(60) as i64) * 1_000_000 - 500_000;
            topology.observe_address_call(
                &service(a),
                &format!("10.0.0.{address}"),
                1,
                at.max(0),
                at.max(0) + 800_000,
            );
            topology.observe_call(&call(&service(a), &service(b), begin, Seen::Trace));
        }
        for _ in 0..20 {
            let (x, y) = (pick(200), pick(200));
            owner.swap(x, y);
        }
    }
    let found: BTreeSet<(String, String)> =
        topology.edges_at(5 * MINUTE).into_iter().map(|e| (e.from.name, e.to.name)).collect();
    let truth: BTreeSet<(String, String)> =
        truth.into_iter().map(|(a, b)| (format!("s{a}"), format!("s{b}"))).collect();
    let hit = truth.intersection(&found).count() as f64 / truth.len() as f64;
    let wrong = found.difference(&truth).count() as f64 / found.len() as f64;
    assert!(hit >= 0.99, "found {hit}");
    assert!(wrong <= 0.01, "false {wrong}");
    assert!(topology.unresolved_calls() > 0);
}

#[test]
fn an_address_counts_only_for_its_single_owner() {
    let mut topology = Topology::new(TopologyConfig::default());
    let (a, b, c) = (service(1), service(2), service(3));
    topology.observe_address("10.1.1.1", &b, 0, 10 * MINUTE);
    topology.observe_address("10.1.1.1", &c, 12 * MINUTE, 20 * MINUTE);
    assert!(topology.observe_address_call(&a, "10.1.1.1", 5, MINUTE, 2 * MINUTE));
    assert!(!topology.observe_address_call(&a, "10.1.1.1", 5, 9 * MINUTE, 13 * MINUTE));
    assert!(!topology.observe_address_call(&a, "10.1.1.1", 5, 11 * MINUTE, 11 * MINUTE));
    assert!(!topology.observe_address_call(&a, "10.9.9.9", 5, MINUTE, 2 * MINUTE));
    let edges = topology.edges_at(2 * MINUTE);
    assert_eq!(edges.len(), 1);
    assert!(edges[0].inferred && edges[0].confidence < 0.6 && edges[0].to == b);
    topology.observe_call(&call(&a, &b, 2 * MINUTE, Seen::Trace));
    let edges = topology.edges_at(2 * MINUTE);
    assert!(!edges[0].inferred && edges[0].confidence > 0.99 && edges[0].count == 6);
}

#[test]
fn the_past_can_be_asked_for() {
    let mut topology = Topology::new(TopologyConfig::default());
    let (a, b, c) = (service(1), service(2), service(3));
    let node = EntityId::new(EntityKind::Node, "", "n1");
    topology.observe_call(&call(&a, &b, 0, Seen::Trace));
    topology.observe_call(&call(&b, &c, 100 * MINUTE, Seen::Peer));
    topology.observe_placement(&c, &node, 100 * MINUTE);
    assert_eq!(topology.edges_at(MINUTE).len(), 1);
    assert!(topology.edges_at(50 * MINUTE).is_empty());
    assert_eq!(topology.edges_at(101 * MINUTE).len(), 2);
    assert_eq!(topology.path(&b, &node, 101 * MINUTE), Some(vec![b.clone(), c.clone(), node.clone()]));
    assert_eq!(topology.path(&b, &node, MINUTE), None);
    assert_eq!(topology.dependencies("shop/s2", 101 * MINUTE), ["shop/s3"]);
    assert_eq!(topology.dependencies("shop/s3", 101 * MINUTE), ["Node/n1"]);
    assert_eq!(topology.above(&c, 101 * MINUTE).len(), 1);
    let text = serde_json::to_string(&topology.snapshot()).expect("serializable");
    let back = Topology::restore(serde_json::from_str(&text).expect("readable"));
    assert_eq!(back.edges_at(101 * MINUTE), topology.edges_at(101 * MINUTE));
}

#[test]
fn memory_is_bounded() {
    let config = TopologyConfig { max_entities: 50, max_edges: 40, ..TopologyConfig::default() };
    let mut topology = Topology::new(config);
    for at in 0..500 {
        topology.observe_call(&call(&service(at), &service(at + 1), at as i64 * MINUTE, Seen::Trace));
    }
    let (entities, edges) = topology.size();
    assert!(entities <= 50 && edges <= 40);
    assert!(topology.by_key("shop/s500").is_some() && topology.by_key("shop/s0").is_none());
}

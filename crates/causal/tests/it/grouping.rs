use causeway_causal::group::{Finding, GroupConfig, GroupEvent, GroupState};
use causeway_causal::grouper::Grouper;

use crate::made::{MINUTE, Noise};

fn finding(id: &str, entity: &str, symptom: bool, at: i64) -> Finding {
    Finding {
        id: id.to_owned(),
        scope: "shop".to_owned(),
        entity: entity.to_owned(),
        signal: "latency".to_owned(),
        symptom,
        traffic_drop: false,
        severity: 5.0,
        opened_us: at,
        closed_us: None,
        baseline: None,
        observed: None,
        unit: String::new(),
        note: String::new(),
        query: None,
    }
}

/// A tree: service n calls 2n+1 and 2n+2.
fn tree(size: usize) -> impl Fn(&str) -> Vec<String> {
    move |name: &str| {
        let at: usize = name[1..].parse().unwrap_or(0);
        [2 * at + 1, 2 * at + 2].into_iter().filter(|n| *n < size).map(|n| format!("s{n}")).collect()
    }
}

fn opened(events: &[GroupEvent]) -> usize {
    events.iter().filter(|e| matches!(e, GroupEvent::Opened(_))).count()
}

#[test]
fn a_cascade_of_400_anomalies_over_60_services_is_one_incident() {
    let below = tree(60);
    let mut grouper = Grouper::new(GroupConfig::default());
    let (mut noise, mut all) = (Noise(3), 0);
    // The fault sits at a leaf; its ancestors suffer, first those near it, in a random order with the entry point early.
    let mut ancestors = vec![59usize];
    while let Some(up) = ancestors.last().copied().filter(|n| *n > 0) {
        ancestors.push((up - 1) / 2);
    }
    // Neighbours of the chain show evidence, too, so that 60 services take part.
    for wave in 0..20 {
        for at in 0..20 {
            let service = if at < ancestors.len() { ancestors[at] } else { (noise.next() * 60.0) as usize };
            let chain = ancestors.contains(&service);
            let onset = i64::from(wave) * 6_000_000 + at as i64;
            grouper.open(finding(&format!("f{wave}-{at}"), &format!("s{service}"), chain, onset));
        }
        all += opened(&grouper.tick(i64::from(wave) * 6_000_000 + 1_000_000, &below));
    }
    assert_eq!(all, 1);
    assert_eq!(grouper.groups().count(), 1);
}

#[test]
fn two_faults_three_minutes_apart_stay_two() {
    let below = tree(15);
    let mut grouper = Grouper::new(GroupConfig::default());
    let mut all = 0;
    // s7 fails, then s1 and s0 suffer; three minutes later s14 fails, then s6 and s2 suffer.
    for (at, chain) in [(0, ["s7", "s3", "s1", "s0"]), (3 * MINUTE, ["s14", "s6", "s2", "s0"])] {
        for (step, name) in chain.iter().enumerate() {
            let time = at + step as i64 * 10_000_000;
            grouper.open(finding(&format!("{name}-{at}"), name, true, time));
            all += opened(&grouper.tick(time, &below));
        }
    }
    assert_eq!(all, 2);
    let groups: Vec<_> = grouper.groups().collect();
    assert!(groups[0].entities.contains("s7") && !groups[0].entities.contains("s14"));
    assert!(groups[1].entities.contains("s14") && groups[1].entities.contains("s2"));
    assert_ne!(groups[0].fingerprint, groups[1].fingerprint);
}

#[test]
fn the_entry_point_may_show_first() {
    let below = tree(15);
    let mut grouper = Grouper::new(GroupConfig::default());
    let mut all = 0;
    for (step, name) in ["s0", "s1", "s3", "s7"].iter().enumerate() {
        let time = step as i64 * 20_000_000;
        grouper.open(finding(name, name, true, time));
        all += opened(&grouper.tick(time, &below));
    }
    assert_eq!(all, 1);
    assert_eq!(
        grouper.group(0).map(|g| g.roots.iter().cloned().collect::<Vec<_>>()),
        Some(vec!["s7".to_owned()])
    );
}

#[test]
fn groups_end_and_reopen_for_the_same_cause_only() {
    let mut grouper = Grouper::new(GroupConfig::default());
    let none = |_: &str| Vec::new();
    grouper.open(finding("a", "s0", true, 0));
    grouper.tick(0, &none);
    grouper.close("a", MINUTE);
    assert_eq!(grouper.tick(6 * MINUTE, &none), [GroupEvent::Updated(0)]);
    grouper.end(0, 6 * MINUTE);
    assert_eq!(grouper.group(0).map(|g| g.state), Some(GroupState::Closed(6 * MINUTE)));
    grouper.open(finding("other", "s1", true, 19 * MINUTE));
    assert_eq!(grouper.tick(19 * MINUTE, &none), [GroupEvent::Opened(1)]);
    grouper.open(finding("b", "s0", true, 20 * MINUTE));
    assert_eq!(grouper.tick(20 * MINUTE, &none), [GroupEvent::Reopened(0)]);
    grouper.end(0, 32 * MINUTE);
    grouper.open(finding("c", "s0", true, 80 * MINUTE));
    assert_eq!(grouper.tick(80 * MINUTE, &none), [GroupEvent::Opened(2)]);
}

#[test]
fn two_entry_points_that_need_the_same_silent_service_are_one_incident_only_at_first() {
    let below = |name: &str| match name {
        "web" | "mobile" => vec!["cart".to_owned()],
        "cart" => vec!["db".to_owned()],
        _ => Vec::new(),
    };
    for (after, groups) in [(MINUTE, 1), (3 * MINUTE, 2)] {
        let mut grouper = Grouper::new(GroupConfig::default());
        grouper.open(finding("a", "web", true, 0));
        grouper.tick(0, &below);
        grouper.open(finding("b", "mobile", true, after));
        grouper.tick(after, &below);
        assert_eq!(grouper.groups().count(), groups, "after {after}");
    }
}

#[test]
fn tenants_do_not_share_groups_but_chains_lead_through_all() {
    let below = |name: &str| match name {
        "s0" | "s1" => vec!["db".to_owned()],
        _ => Vec::new(),
    };
    let mut grouper = Grouper::new(GroupConfig::default());
    let of = |id: &str, entity: &str, scope: &str, symptom: bool| Finding {
        scope: scope.to_owned(),
        ..finding(id, entity, symptom, 0)
    };
    grouper.open(of("a", "s0", "shop", true));
    grouper.open(of("b", "s1", "bank", true));
    grouper.open(of("c", "db", "infra", false));
    assert_eq!(opened(&grouper.tick(0, &below)), 2);
    for group in grouper.groups() {
        assert_eq!(group.roots.iter().collect::<Vec<_>>(), ["db"]);
    }
}

#[test]
fn evidence_waits_for_a_symptom_and_causes_merge_groups() {
    let below = |name: &str| if name == "s0" { vec!["s1".to_owned()] } else { Vec::new() };
    let mut grouper = Grouper::new(GroupConfig::default());
    grouper.open(finding("noise", "s1", false, 0));
    assert!(grouper.tick(0, &below).is_empty());
    grouper.open(finding("symptom", "s0", true, MINUTE));
    assert_eq!(opened(&grouper.tick(MINUTE, &below)), 1);
    grouper.tick(MINUTE + 1, &below);
    assert_eq!(grouper.findings_of(0).len(), 2);
    grouper.open(finding("far", "s9", true, 4 * MINUTE));
    assert_eq!(opened(&grouper.tick(4 * MINUTE, &below)), 1);
    assert_eq!(grouper.set_cause(0, "db"), None);
    assert_eq!(grouper.set_cause(1, "db"), Some(GroupEvent::Merged(1, 0)));
    assert_eq!(grouper.group(1).map(|g| g.state), Some(GroupState::MergedInto(0)));
    let text = serde_json::to_string(&grouper).expect("serializable");
    let back: Grouper = serde_json::from_str(&text).expect("readable");
    assert_eq!(back.groups().count(), 2);
}

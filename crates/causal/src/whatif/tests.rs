use super::*;

/// A steady series of an hour.
fn steady(value: f64) -> Vec<f64> {
    (0..180).map(|i| value * (1.0 + 0.004 * f64::from((i * 7919) % 11 - 5))).collect()
}

/// A service with these figures, four of them on a node.
fn service(entity: &str, rate: f64, latency: f64, cpu: f64, instances: f64) -> Service {
    Service {
        entity: entity.to_owned(),
        rate: steady(rate),
        latency: steady(latency),
        errors: vec![0.0; 180],
        cpu: steady(cpu),
        pool: vec![f64::NAN; 180],
        pending: vec![f64::NAN; 180],
        lag: vec![f64::NAN; 180],
        instances: vec![instances; 180],
        cores: cpu * instances * 0.5,
        cold: f64::NAN,
        placed: vec![(0, instances)],
        ..Service::default()
    }
}

fn call(from: usize, to: usize) -> Call {
    Call { from, to, per_request: 1.0, waits: true, passes: f64::NAN, timeout: f64::NAN }
}

/// web → orders → orders-db, report → orders-db; a node with room.
fn shop() -> System {
    let mut orders = service("shop/orders", 60.0, 0.06, 0.5, 6.0);
    orders.pool = steady(0.5);
    orders.pools = vec![(0, 20.0)];
    let mut report = service("shop/report", 10.0, 0.2, 0.3, 4.0);
    report.pool = steady(0.9);
    report.pools = vec![(0, 10.0)];
    System {
        window_s: 10.0,
        services: vec![service("shop/web", 60.0, 0.1, 0.4, 4.0), orders, report],
        calls: vec![call(0, 1)],
        stores: vec![Store {
            entity: "orders-db".to_owned(),
            most: 200.0,
            clients: vec![(1, 1.0, 0.02), (2, 3.0, 0.03)],
        }],
        nodes: vec![Node { name: "node-1".to_owned(), cores: 8.0, used: 3.0 }],
    }
}

fn scale(service: &str, from: f64, to: f64) -> Change {
    Change::Instances { service: service.to_owned(), from, to }
}

#[track_caller]
fn of<'e>(effect: &'e Effect, entity: &str, signal: Signal) -> &'e Foretold {
    effect.signals.iter().find(|f| f.entity == entity && f.signal == signal).unwrap()
}

#[test]
fn fewer_instances_than_the_demand_needs_are_harm_and_the_sentence_has_the_figures() {
    let effect = predict(&shop(), &[scale("shop/orders", 6.0, 2.0)]);
    assert_eq!(effect.verdict, Verdict::Harm);
    assert_eq!(effect.summary, "6 → 2 instances of shop/orders would need 150 % of the CPU limit, 50 % now");
    let errors = of(&effect, "shop/orders", Signal::Errors);
    assert!(errors.low < errors.median && errors.median > 0.3 && errors.high <= 1.0, "{errors:?}");
    let above = of(&effect, "shop/web", Signal::Errors);
    assert!(above.median > 0.1, "callers fail with it: {above:?}");
}

#[test]
fn more_instances_that_a_store_can_not_connect_harm_its_other_client() {
    let mut system = shop();
    assert_eq!(predict(&system, &[scale("shop/orders", 6.0, 8.0)]).verdict, Verdict::NoHarm);
    let effect = predict(&system, &[scale("shop/orders", 6.0, 12.0)]);
    assert_eq!(effect.verdict, Verdict::Harm);
    assert_eq!(
        effect.summary,
        "6 → 12 instances of shop/orders ask for 280 connections of orders-db, which takes 200: shop/report would need \
         126 % of its own"
    );
    system.stores[0].most = f64::NAN;
    assert_eq!(predict(&system, &[scale("shop/orders", 6.0, 12.0)]).verdict, Verdict::NoHarm, "nobody told");
}

#[test]
fn a_little_less_is_no_harm_and_takes_longer_within_its_interval() {
    let effect = predict(&shop(), &[scale("orders", 6.0, 5.0)]);
    assert_eq!(effect.verdict, Verdict::NoHarm);
    let latency = of(&effect, "shop/orders", Signal::Latency);
    assert!(latency.median > latency.now && latency.median < 2.0 * latency.now, "{latency:?}");
    assert!(latency.low < latency.median && latency.median < latency.high);
    let cpu = of(&effect, "shop/orders", Signal::Cpu);
    assert!((cpu.median - 0.6).abs() < 0.02, "{cpu:?}");
}

#[test]
fn taking_a_release_back_leads_to_the_level_before_it_and_to_harm_if_that_was_bad() {
    let mut system = shop();
    system.services[1].releases = vec![100];
    for at in 100..180 {
        (system.services[1].errors[at], system.services[0].errors[at]) = (0.4, 0.4);
    }
    let undo = [Change::UndoRelease { service: "shop/orders".to_owned() }];
    let helps = predict(&system, &undo);
    assert_eq!(helps.verdict, Verdict::NoHarm, "{}", helps.summary);
    assert!(of(&helps, "shop/web", Signal::Errors).median < 0.05);

    let mut mended = shop();
    mended.services[1].releases = vec![80, 120];
    for at in 80..120 {
        (mended.services[1].errors[at], mended.services[0].errors[at]) = (0.4, 0.4);
    }
    let harms = predict(&mended, &undo);
    assert_eq!(harms.verdict, Verdict::Harm, "{}", harms.summary);
}

#[test]
fn a_node_that_is_emptied_needs_room_elsewhere() {
    let mut system = shop();
    system.nodes.push(Node { name: "node-2".to_owned(), cores: 8.0, used: 3.0 });
    for service in &mut system.services {
        let half = service.placed[0].1 / 2.0;
        service.placed = vec![(0, half), (1, half)];
    }
    let empty = [Change::Empty { node: "node-1".to_owned() }];
    assert_eq!(predict(&system, &empty).verdict, Verdict::NoHarm);
    system.nodes[1].used = 7.0;
    let effect = predict(&system, &empty);
    assert_eq!(effect.verdict, Verdict::Harm, "{}", effect.summary);
    assert!(effect.summary.contains("of their cores would be asked of the nodes"), "{}", effect.summary);
}

fn restart(service: &str) -> Change {
    Change::Roll { service: service.to_owned(), at_once: 0.25, most: f64::NAN, target: f64::NAN }
}

#[test]
fn new_instances_need_what_past_starts_showed() {
    let mut system = shop();
    system.services[1].cpu = steady(0.75);
    let unknown = predict(&system, &[restart("shop/orders")]);
    assert_eq!(unknown.verdict, Verdict::Harm);
    assert_eq!(
        unknown.summary,
        "new instances of shop/orders need about 1.6 times as much until they are warm: at 75 % of the CPU limit they could \
         not carry their share"
    );
    system.services[0].cold = 1.2;
    assert_eq!(predict(&system, &[restart("shop/orders")]).verdict, Verdict::Harm, "others start so");
    system.services[1].cold = 1.2;
    assert_eq!(predict(&system, &[restart("shop/orders")]).verdict, Verdict::NoHarm, "it starts so");
    system.services[1].cold = f64::NAN;
    system.services[0].cold = 1.9;
    let others = predict(&system, &[restart("shop/orders")]);
    assert!(others.summary.contains("about 1.9 times"), "{}", others.summary);
}

#[test]
fn new_instances_mend_what_neither_a_change_nor_more_demand_has_done() {
    let mut system = shop();
    system.services[1].cpu = steady(0.75);
    for at in 160..180 {
        (system.services[1].latency[at], system.services[1].errors[at]) = (1.5, 0.2);
    }
    assert_eq!(predict(&system, &[restart("shop/orders")]).verdict, Verdict::NoHarm);
    let mut released = system.clone();
    released.services[1].releases = vec![160];
    assert_eq!(predict(&released, &[restart("shop/orders")]).verdict, Verdict::Harm);
    for at in 160..180 {
        system.services[0].rate[at] *= 1.6;
    }
    assert_eq!(predict(&system, &[restart("shop/orders")]).verdict, Verdict::Harm);
}

#[test]
fn more_of_what_waits_for_a_service_at_its_limit_is_harm() {
    let mut system = shop();
    (system.services[0].cpu, system.services[1].cpu) = (steady(0.99), steady(0.97));
    let effect = predict(&system, &[scale("shop/web", 4.0, 8.0)]);
    assert_eq!(effect.verdict, Verdict::Harm);
    assert_eq!(
        effect.summary,
        "shop/web waits for shop/orders, which uses 97 % of its CPU limit: more of the one would ask even more of the other"
    );
}

#[test]
fn what_waits_is_asked_of_callees_beside_what_comes() {
    let mut system = shop();
    (system.services[0].cpu, system.services[1].cpu) = (steady(0.99), steady(0.8));
    assert_eq!(predict(&system, &[scale("shop/web", 4.0, 10.0)]).verdict, Verdict::NoHarm);
    system.services[0].latency[160..].fill(30.0);
    let saves = predict(&system, &[scale("shop/web", 4.0, 10.0)]);
    assert_eq!(saves.verdict, Verdict::NoHarm, "people wait no longer, and nothing starves for long");
    system.services[0].errors[160..].fill(0.2);
    let effect = predict(&system, &[scale("shop/web", 4.0, 10.0)]);
    assert_eq!(effect.verdict, Verdict::Harm);
    assert_eq!(
        effect.summary,
        "about 1798 requests wait at shop/web: while they are worked off beside what comes, shop/orders would need 128 % of its \
         CPU limit"
    );
}

#[test]
fn nodes_that_a_start_would_overload_are_no_room_for_what_calls_others() {
    let mut system = shop();
    system.services[0].cpu = steady(0.99);
    system.services[0].errors[160..].fill(0.5);
    system.services[0].cores = 2.0;
    system.nodes[0].used = 7.0;
    let more = [scale("shop/web", 4.0, 10.0)];
    let effect = predict(&system, &more);
    assert_eq!(effect.verdict, Verdict::Harm);
    assert_eq!(
        effect.summary,
        "126 % of their cores would be asked of the nodes of shop/web while it starts: it would ask more of its callees, which \
         would get less"
    );
    system.nodes[0].cores = 16.0;
    assert_eq!(predict(&system, &more).verdict, Verdict::NoHarm, "there is room");
}

#[test]
fn more_of_what_a_change_has_left_too_little_of_is_no_relief() {
    let mut system = shop();
    system.stores[0].most = f64::NAN;
    let orders = &mut system.services[1];
    orders.pool[165..].fill(1.0);
    orders.errors[165..].fill(0.8);
    orders.latency[165..].fill(90.0);
    assert_eq!(
        predict(&system, &[scale("shop/orders", 6.0, 12.0)]).verdict,
        Verdict::NoHarm,
        "new ones are well"
    );
    system.services[1].configs = vec![165];
    let effect = predict(&system, &[scale("shop/orders", 6.0, 12.0)]);
    assert_eq!(effect.verdict, Verdict::Harm, "{}", effect.summary);
    assert!(effect.summary.contains("since it was changed"), "{}", effect.summary);
    assert_eq!(predict(&system, &[scale("shop/orders", 6.0, 36.0)]).verdict, Verdict::NoHarm, "enough");
}

#[test]
fn little_known_is_said_and_is_no_harm() {
    let unknown = predict(&System::default(), &[scale("shop/orders", 6.0, 1.0)]);
    assert_eq!((unknown.verdict, unknown.signals.len()), (Verdict::Unknown, 0));
    let mut blind = shop();
    blind.services[1].cpu = vec![f64::NAN; 180];
    blind.services[1].pool = vec![f64::NAN; 180];
    assert_eq!(predict(&blind, &[scale("shop/orders", 6.0, 3.0)]).verdict, Verdict::Unknown);
    let service = "shop/orders".to_owned();
    let restart = restart(&service);
    assert_ne!(predict(&blind, std::slice::from_ref(&restart)).verdict, Verdict::Harm);
    blind.services[1].releases = vec![170];
    assert_ne!(predict(&blind, &[Change::UndoRelease { service }, restart]).verdict, Verdict::Harm);
    let nothing = predict(&shop(), &[Change::Nothing { service: "shop/orders".to_owned() }]);
    assert_eq!(nothing.verdict, Verdict::NoHarm);
    assert!(nothing.summary.starts_with("no effect on neighbours is expected"), "{}", nothing.summary);
    let latency = of(&nothing, "shop/orders", Signal::Latency);
    assert!(latency.low < latency.now && latency.now < latency.high, "{latency:?}");
}

#[test]
fn the_same_question_has_the_same_answer() {
    let (system, changes) = (shop(), [scale("shop/orders", 6.0, 4.0)]);
    assert_eq!(predict(&system, &changes), predict(&system, &changes));
}

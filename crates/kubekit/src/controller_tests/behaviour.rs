//! What a controller does with objects, failures, clocks and the end.

use super::*;

#[tokio::test]
async fn an_unchanged_object_costs_no_write() {
    let bench = Bench::start(with_widget("a", json!({"size": 4})));
    bench.settled().await;
    assert_eq!(
        bench.api.writes(),
        [format!("PUT {PATH}/a/status"), "POST /apis/events.k8s.io/v1/namespaces/shop/events".to_owned()]
    );
    let object = bench.api.get(&format!("{PATH}/a"));
    assert_eq!(check_conditions(&object), []);
    assert_eq!(object["status"]["doubled"], 8);
    assert_eq!(object["status"]["observedGeneration"], 1);
    assert_eq!(bench.condition("a", "Large")["status"], "False");
    assert_eq!(bench.condition("a", "Ready")["lastTransitionTime"], "1970-01-01T00:16:40Z");

    let passes = bench.passes();
    assert_eq!(passes, 1, "our own status write is no reason to reconcile");
    bench.step_clock(60).await;
    for _ in 0..3 {
        bench.triggers.trigger(ObjectKey::namespaced("shop", "a"));
        bench.settled().await;
    }
    assert_eq!(bench.passes(), passes + 3);
    assert_eq!(bench.api.writes(), Vec::<String>::new());

    bench.put("a", json!({"size": 6})).await;
    let ready = bench.condition("a", "Ready");
    assert_eq!(
        (&ready["observedGeneration"], &ready["lastTransitionTime"]),
        (&json!(2), &json!("1970-01-01T00:16:40Z"))
    );
    assert_eq!(bench.condition("a", "Large")["lastTransitionTime"], "1970-01-01T00:17:40Z");
    assert_eq!(bench.status_writes(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_backs_off_and_is_told_once() {
    let doubler = Doubler::default();
    doubler.script.lock().extend([Next::Fail, Next::Fail, Next::Fail]);
    let bench = Bench::start_with(with_widget("a", json!({"size": 4})), doubler);
    bench.settled().await;
    assert_eq!(bench.condition("a", "Ready")["reason"], "Unavailable");
    assert_eq!(bench.condition("a", "Reconciling")["status"], "True");
    assert_eq!(check_conditions(&bench.api.get(&format!("{PATH}/a"))), []);
    tokio::time::sleep(Duration::from_millis(3100)).await;
    assert_eq!(bench.passes(), 3, "after 0.5–1 s and 1–2 s");
    let writes = bench.api.writes();
    assert_eq!(writes.iter().filter(|write| write.ends_with("/status")).count(), 1, "{writes:?}");
    assert_eq!(writes.iter().filter(|write| write.ends_with("/events")).count(), 1, "{writes:?}");
    tokio::time::sleep(Duration::from_secs(5)).await;
    bench.settled().await;
    assert_eq!(bench.condition("a", "Ready")["status"], "True");
    assert_eq!(bench.condition("a", "Reconciling"), Value::Null);
    let label = metrics::ErrorLabel { controller: "widgets", category: Category::Unavailable };
    assert_eq!(bench.metrics.errors.get_or_create(&label).get(), 3);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(bench.passes(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_spec_stalls_until_it_is_edited() {
    let bench = Bench::start(with_widget("a", json!({"size": 3})));
    bench.settled().await;
    assert_eq!(bench.condition("a", "Stalled")["message"], "size 3 is odd");
    assert_eq!(check_conditions(&bench.api.get(&format!("{PATH}/a"))), []);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(bench.passes(), 1);
    bench.put("a", json!({"size": 2})).await;
    assert_eq!(bench.condition("a", "Ready")["status"], "True");
    assert_eq!(bench.condition("a", "Stalled"), Value::Null);
}

#[tokio::test]
async fn an_object_that_does_not_parse_is_told_and_stops_nobody() {
    let api = with_widget("a", json!({"size": 4}));
    api.put(&format!("{PATH}/broken"), widget(json!({"size": "large"})));
    let bench = Bench::start(api);
    bench.settled().await;
    assert_eq!(bench.condition("a", "Ready")["status"], "True");
    let label = metrics::ErrorLabel { controller: "widgets", category: Category::InvalidObject };
    assert_eq!(bench.metrics.errors.get_or_create(&label).get(), 1);
    let events = bench.api.writes().iter().filter(|write| write.ends_with("/events")).count();
    assert_eq!(events, 2, "one for each object");
    bench.put("broken", json!({"size": 2})).await;
    assert_eq!(bench.condition("broken", "Ready")["status"], "True");
}

#[tokio::test]
async fn a_conflict_is_retried_with_the_newer_object() {
    let api = with_widget("a", json!({"size": 4}));
    api.before_next_put(|api| api.put(&format!("{PATH}/a"), widget(json!({"size": 40}))));
    let bench = Bench::start(api);
    bench.settled().await;
    bench.arrived("a").await;
    assert_eq!(bench.api.get(&format!("{PATH}/a"))["status"]["doubled"], 80);
    assert_eq!(check_conditions(&bench.api.get(&format!("{PATH}/a"))), []);
}

#[tokio::test]
async fn a_status_edited_by_somebody_else_is_put_right() {
    let bench = Bench::start(with_widget("a", json!({"size": 4})));
    bench.settled().await;
    bench.api.edit(&format!("{PATH}/a"), |object| object["status"]["doubled"] = json!(1));
    bench.arrived("a").await;
    assert_eq!(bench.api.get(&format!("{PATH}/a"))["status"]["doubled"], 8);
}

#[tokio::test]
async fn suspended_objects_are_left_alone_and_requests_are_echoed() {
    let bench = Bench::start(with_widget("a", json!({"size": 4, "suspend": true})));
    bench.settled().await;
    assert_eq!((bench.passes(), bench.api.writes().len()), (0, 0));
    bench.put("a", json!({"size": 4})).await;
    assert_eq!(bench.passes(), 1);
    bench.api.edit(&format!("{PATH}/a"), |object| {
        object["metadata"]["annotations"] = json!({REQUESTED_AT: "now please"});
    });
    bench.arrived("a").await;
    assert_eq!(bench.passes(), 2);
    assert_eq!(bench.api.get(&format!("{PATH}/a"))["status"]["lastHandledRequestedAt"], "now please");
}

#[tokio::test]
async fn a_stepped_clock_wakes_what_is_due() {
    let doubler = Doubler::default();
    *doubler.requeue.lock() = Requeue::At(Timestamp::from_second(1060).unwrap());
    let bench = Bench::start_with(with_widget("a", json!({"size": 4})), doubler);
    bench.settled().await;
    bench.step_clock(59).await;
    assert_eq!(bench.passes(), 1);
    *bench.doubler.requeue.lock() = Requeue::OnChange;
    bench.step_clock(1).await;
    assert_eq!(bench.passes(), 2);
    bench.step_clock(3600).await;
    assert_eq!(bench.passes(), 2);
}

#[tokio::test]
async fn other_kinds_trigger_by_mapping() {
    let bench = Bench::start(with_widget("a", json!({"size": 4})));
    bench.settled().await;
    for round in 1..=20 {
        let map = ConfigMap {
            metadata: ObjectMeta { name: Some("a".to_owned()), ..ObjectMeta::default() },
            ..ConfigMap::default()
        };
        let maps: Api<ConfigMap> = Api::namespaced(bench.client.clone(), &format!("n{round}"));
        maps.create(&PostParams::default(), &map).await.unwrap();
        // The write was noted on its way, so that this waits for its event and what follows from it.
        bench.settled().await;
        assert_eq!(bench.passes(), 1 + round);
    }
}

#[tokio::test(start_paused = true)]
async fn a_defect_in_a_reconcile_stops_only_that_object() {
    let doubler = Doubler::default();
    doubler.script.lock().push_back(Next::Panic);
    let bench = Bench::start_with(with_widget("a", json!({"size": 4})), doubler);
    bench.settled().await;
    bench.put("b", json!({"size": 2})).await;
    assert_eq!(bench.condition("b", "Ready")["status"], "True");
    tokio::time::sleep(Duration::from_secs(2)).await;
    bench.settled().await;
    assert_eq!(bench.condition("a", "Ready")["status"], "True");
}

#[tokio::test]
async fn deleted_objects_are_forgotten_also_across_a_broken_watch() {
    let bench = Bench::start(with_widget("a", json!({"size": 4})));
    bench.settled().await;
    bench.put("b", json!({"size": 2})).await;
    bench.api.close_watches();
    bench.api.delete(&format!("{PATH}/a"));
    bench.put("b", json!({"size": 4})).await;
    assert_eq!(*bench.doubler.forgotten.lock(), ["a"]);
}

#[tokio::test]
async fn shutdown_ends_the_controller_and_later_triggers_are_ignored() {
    let bench = Bench::start(with_widget("a", json!({"size": 4})));
    bench.settled().await;
    bench.stop.cancel();
    bench.controller.await.unwrap();
    bench.triggers.trigger(ObjectKey::namespaced("shop", "a"));
    bench.activity.settled().await;
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_comes_late_is_waited_for() {
    let api = with_widget("a", json!({"size": 4}));
    api.set_fault(fake_api::Fault::Status(500));
    let bench = Bench::start(api);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!bench.activity.pending().is_settled());
    assert_eq!(bench.passes(), 0);
    bench.api.set_fault(fake_api::Fault::None);
    bench.settled().await;
    assert_eq!(bench.condition("a", "Ready")["status"], "True");
}

#[tokio::test(start_paused = true)]
async fn a_status_that_cannot_be_written_is_tried_again() {
    let api = with_widget("a", json!({"size": 4}));
    api.before_next_put(|api| api.set_fault(fake_api::Fault::Status(503)));
    let bench = Bench::start(api);
    bench.settled().await;
    assert_eq!(bench.condition("a", "Ready")["status"], "True", "the first write was on its way");
    bench.api.put(&format!("{PATH}/a"), widget(json!({"size": 6})));
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(bench.api.get(&format!("{PATH}/a"))["status"]["doubled"], 8);
    bench.api.set_fault(fake_api::Fault::None);
    tokio::time::sleep(Duration::from_secs(600)).await;
    bench.settled().await;
    assert_eq!(bench.api.get(&format!("{PATH}/a"))["status"]["doubled"], 12);
    assert_eq!(check_conditions(&bench.api.get(&format!("{PATH}/a"))), []);
}

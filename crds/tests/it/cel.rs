//! For every CEL rule something that it accepts and something that it refuses.

use serde_json::{Value, json};

use crate::examples::{check, example};

/// The example of a page with changes: a value to set, or null to take the field away.
fn changed(page: &str, changes: &[(&str, Value)]) -> Value {
    let mut object = example(page);
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = object.pointer_mut(parent).unwrap_or_else(|| panic!("{page}: no {parent}"));
        match parent {
            Value::Array(items) => items[key.parse::<usize>().unwrap()] = value.clone(),
            Value::Object(map) if value.is_null() => {
                map.remove(key);
            }
            Value::Object(map) => {
                map.insert(key.to_owned(), value.clone());
            }
            _ => panic!("{page}: {pointer}"),
        }
    }
    object
}

#[track_caller]
fn accepts(page: &str, changes: &[(&str, Value)]) {
    assert_eq!(check(&changed(page, changes), None), Ok(()));
}

#[track_caller]
fn refuses(page: &str, changes: &[(&str, Value)], message: &str) {
    let error = check(&changed(page, changes), None).expect_err("was accepted");
    assert!(error.contains(message), "{error}");
}

const UNION: &str = "exactly the member named by type must be set";

#[test]
fn unions_hold_exactly_the_member_named_by_type() {
    let auth = json!({"auth": {"tokenSecretRef": {"name": "a", "key": "b"}}});
    refuses("log-source.md", &[("/spec/otlp", Value::Null)], UNION);
    refuses("log-source.md", &[("/spec/fluentBit", auth.clone())], UNION);
    refuses("log-source.md", &[("/spec/type", json!("FluentBit"))], UNION);
    accepts(
        "log-source.md",
        &[("/spec/type", json!("FluentBit")), ("/spec/otlp", Value::Null), ("/spec/fluentBit", auth)],
    );
    refuses("log-source.md", &[("/spec/steps/0/drop", json!({}))], "exactly when type is Drop");
    refuses("log-source.md", &[("/spec/steps/1/drop", Value::Null)], "exactly when type is Drop");
    refuses("log-source.md", &[("/spec/steps/1/match", Value::Null)], "needs a match");
    refuses("baseline.md", &[("/spec/series/type", json!("Metric"))], UNION);
    refuses("baseline.md", &[("/spec/series/metric", json!({"name": "x"}))], UNION);
    refuses("baseline.md", &[("/spec/series/type", json!("LogQuery"))], UNION);
    refuses("baseline.md", &[("/spec/series/query", json!({"sql": "SELECT 1"}))], UNION);
    let of = |series: Value| [("/spec/series", series)];
    accepts("baseline.md", &of(json!({"type": "LogQuery", "logQuery": {"query": "status >= 500"}})));
    accepts("baseline.md", &of(json!({"type": "Query", "query": {"sql": "SELECT 1", "values": "Counts"}})));
    refuses("slo.md", &[("/spec/indicator/type", json!("Threshold"))], UNION);
    let threshold =
        |threshold: Value| [("/spec/indicator", json!({"type": "Threshold", "threshold": threshold}))];
    accepts("slo.md", &threshold(json!({"metric": {"name": "queue"}, "below": "90"})));
    accepts("slo.md", &threshold(json!({"logs": {"query": "has(ms)", "value": "ms"}, "below": "90"})));
    let both = json!({"signal": "Latency", "metric": {"name": "queue"}, "below": "90"});
    refuses("slo.md", &threshold(both), "exactly one of signal, metric and logs");
    refuses("slo.md", &threshold(json!({"below": "90"})), "exactly one of signal, metric and logs");
    refuses(
        "slo.md",
        &[("/spec/indicator/ratio/total", json!({"type": "Logs", "signal": "Traffic"}))],
        UNION,
    );
    refuses("notification-target.md", &[("/spec/type", json!("Webhook"))], UNION);
    refuses("runbook.md", &[("/spec/steps/0/scale", json!({"factor": "2", "max": 4}))], UNION);
    refuses("runbook.md", &[("/spec/steps/0/setHPABounds", Value::Null)], UNION);
    refuses("remediation.md", &[("/spec/mutations/0/type", json!("Scale"))], UNION);
    refuses("remediation.md", &[("/spec/inverse/type", json!("NotNeeded"))], UNION);
}

#[test]
fn pull_requests_need_somebody_who_takes_them() {
    let page = "remediation-policy.md";
    let without = ("/spec/gitOps/provider", Value::Null);
    refuses(page, std::slice::from_ref(&without), "mode PullRequest needs provider");
    refuses(page, &[without.clone(), ("/spec/gitOps/mode", Value::Null)], "mode PullRequest needs provider");
    for mode in ["Commit", "SuspendPatchResume"] {
        accepts(page, &[without.clone(), ("/spec/gitOps/mode", json!(mode))]);
    }
    accepts(page, &[("/spec/gitOps/mode", Value::Null)]);
    let policy = changed(page, &[without]);
    server_refuses("RemediationPolicy", &policy, "mode PullRequest needs provider");
}

/// What an API server says, which knows the rules but not the Rust types.
#[track_caller]
fn server_refuses(kind: &str, object: &Value, message: &str) {
    let crd = causeway_crds::all_crds().into_iter().find(|crd| crd.spec.names.kind == kind).unwrap();
    let crd = serde_json::to_value(crd).unwrap();
    let schema = crd.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap();
    let error = kube::core::cel::Validator::new().validate(schema, object, None).expect_err("was accepted");
    assert!(format!("{error:?}").contains(message), "{error:?}");
}

#[test]
fn unions_of_actions_hold_on_the_server_too() {
    let runbook = |changes: &[(&str, Value)]| changed("runbook.md", changes);
    server_refuses("Runbook", &runbook(&[("/spec/steps/0/setHPABounds", Value::Null)]), UNION);
    server_refuses("Runbook", &runbook(&[("/spec/steps/0/rolloutUndo", json!({}))]), UNION);
    let remediation = |changes: &[(&str, Value)]| changed("remediation.md", changes);
    server_refuses("Remediation", &remediation(&[("/spec/mutations/0/type", json!("Webhook"))]), UNION);
    server_refuses("Remediation", &remediation(&[("/spec/inverse/mutations/0/type", json!("Scale"))]), UNION);
    server_refuses("Remediation", &remediation(&[("/spec/inverse/mutations", Value::Null)]), "only then");
}

#[test]
fn unknown_words_are_refused() {
    refuses("runbook.md", &[("/spec/steps/0/type", json!("RunShell"))], "unknown variant");
    refuses("runbook.md", &[("/spec/appliesTo/causes", json!(["Badrelease"]))], "unknown variant");
    refuses("slo.md", &[("/spec/target", json!("almost always"))], "not a decimal number");
    refuses("baseline.md", &[("/spec/window/size", json!("5 minutes"))], "not a duration");
}

#[test]
fn specs_of_plans_and_decisions_never_change() {
    for (page, pointer) in [("remediation.md", "/spec/summary"), ("approval.md", "/spec/comment")] {
        let old = example(page);
        assert_eq!(check(&old, Some(&old)), Ok(()));
        let error = check(&changed(page, &[(pointer, json!("another"))]), Some(&old)).unwrap_err();
        assert!(error.contains("can't change"), "{error}");
    }
    let old = example("incident.md");
    let acknowledged = changed("incident.md", &[("/spec/acknowledge", json!({"by": "ben"}))]);
    assert_eq!(check(&acknowledged, Some(&old)), Ok(()));
    let moved = changed("incident.md", &[("/spec/openedFor", json!({"service": "cart"}))]);
    assert!(check(&moved, Some(&old)).unwrap_err().contains("can't change"));
}

#[test]
fn baselines_fit_their_windows() {
    let window = |size, violating| json!({"size": size, "resolution": "1m", "violating": violating});
    accepts("baseline.md", &[("/spec/window", window("5m", 5))]);
    refuses("baseline.md", &[("/spec/window", window("5m", 6))], "do not fit");
    refuses("baseline.md", &[("/spec/model", json!({"type": "Static"}))], "needs upper or lower");
    accepts("baseline.md", &[("/spec/model", json!({"type": "Static", "lower": "1"}))]);
    refuses(
        "baseline.md",
        &[("/spec/model", json!({"type": "Static", "lower": "5", "upper": "5"}))],
        "below upper",
    );
    refuses("baseline.md", &[("/spec/forecast/raiseIf/leadTime", json!("2h"))], "shorter than");
    refuses("baseline.md", &[("/spec/forecast/raiseIf/below", json!("1"))], "exactly one of above and below");
    refuses("baseline.md", &[("/spec/forecast/raiseIf/probability", json!("1"))], "between 0 and 1");
}

#[test]
fn objectives_make_sense() {
    for target in ["0", "100", "-1", "150"] {
        refuses("slo.md", &[("/spec/target", json!(target))], "between 0 and 100");
    }
    accepts("slo.md", &[("/spec/target", json!("99.999"))]);
    refuses(
        "slo.md",
        &[("/spec/indicator/ratio/good", json!({"type": "Metric", "metric": {"name": "ok"}}))],
        "good and bad",
    );
    refuses("slo.md", &[("/spec/timeslices", json!({"size": "1m", "target": "95"}))], "belongs to budgeting");
    refuses("slo.md", &[("/spec/budgeting", json!("Timeslices"))], "belongs to budgeting");
    let burn = |long: &str, short: &str, rate: &str| json!({"rate": rate, "long": long, "short": short});
    refuses("slo.md", &[("/spec/burn/0", burn("5m", "1h", "14.4"))], "longer than short");
    refuses("slo.md", &[("/spec/burn/0", burn("1h", "1h", "14.4"))], "longer than short");
    refuses("slo.md", &[("/spec/burn/0", burn("3d", "6h", "1"))], "longer than short");
    refuses("slo.md", &[("/spec/burn/0", burn("1h", "5m", "0"))], "above 0");
}

#[test]
fn runbooks_can_be_taken_back_or_say_so() {
    let step = json!({"name": "raise", "type": "RolloutRestart", "rolloutRestart": {}});
    refuses("runbook.md", &[("/spec/steps", json!([step, step]))], "unique");
    refuses("runbook.md", &[("/spec/rollback", json!("None"))], "risk Medium or High");
    accepts("runbook.md", &[("/spec/rollback", json!("None")), ("/spec/risk", json!("Medium"))]);
    let call = json!([{"name": "call", "type": "CallWebhook", "callWebhook": {"urlSecretRef": {"name": "a", "key": "b"}}}]);
    refuses("runbook.md", &[("/spec/steps", call.clone())], "can't be taken back");
    accepts(
        "runbook.md",
        &[("/spec/steps", call), ("/spec/rollback", json!("None")), ("/spec/risk", json!("High"))],
    );
    let job = json!([{"name": "run", "type": "RunJob", "runJob": {"template": "clean"}}]);
    refuses("runbook.md", &[("/spec/steps", job)], "can't be taken back");
    refuses("runbook.md", &[("/spec/parameters/0/maximum", json!("1.2"))], "in this order");
    let twice = json!([{"name": "a", "default": "1", "minimum": "1", "maximum": "1"}, {"name": "a", "default": "2", "minimum": "1", "maximum": "2"}]);
    refuses("runbook.md", &[("/spec/parameters", twice)], "unique");
    let test = |expect: Value| {
        let digest = format!("sha256:{}", "0".repeat(64));
        json!([{"name": "a", "bundle": {"digest": digest}, "expect": expect}])
    };
    accepts("runbook.md", &[("/spec/tests", test(json!({"selected": true, "diffContains": ["x"]})))]);
    accepts("runbook.md", &[("/spec/tests", test(json!({"selected": false, "reason": "OtherCause"})))]);
    refuses(
        "runbook.md",
        &[("/spec/tests", test(json!({"selected": true, "reason": "x"})))],
        "reason is for",
    );
    refuses(
        "runbook.md",
        &[("/spec/tests", test(json!({"selected": false, "diffContains": ["x"]})))],
        "reason is for",
    );
    let mut same = test(json!({"selected": true}));
    let one = same[0].clone();
    same.as_array_mut().unwrap().push(one);
    refuses("runbook.md", &[("/spec/tests", same)], "unique");
    refuses("runbook.md", &[("/spec/verify/within", json!("0s"))], "must be above 0");
    refuses("runbook.md", &[("/spec/verify/hold", json!("0s"))], "must be above 0");
    refuses("runbook.md", &[("/spec/verify/within", json!("1d"))], "must be above 0");
}

#[test]
fn auto_needs_limits() {
    let page = "remediation-policy.md";
    refuses(page, &[("/spec/limits", Value::Null)], "Auto needs limits");
    let manual = json!([{"name": "rollback-release"}]);
    accepts(page, &[("/spec/limits", Value::Null), ("/spec/runbooks", manual.clone())]);
    refuses(
        page,
        &[("/spec/limits", Value::Null), ("/spec/runbooks", manual), ("/spec/autonomy", json!("Auto"))],
        "Auto needs limits",
    );
    refuses(page, &[("/spec/require/minConfidence", json!("1.2"))], "between 0 and 1");
    let plain = json!([{"name": "rollback-release"}]);
    let window = json!([{"name": "night", "schedule": "Mon-Fri 22:00-06:00", "timeZone": "Europe/Amsterdam", "autonomy": "Auto"}]);
    accepts(page, &[("/spec/windows", window.clone())]);
    refuses(
        page,
        &[("/spec/windows", window), ("/spec/limits", Value::Null), ("/spec/runbooks", plain.clone())],
        "Auto needs limits",
    );
    let earn = |to: &str| json!({"to": to, "verifiedRuns": 3});
    accepts(page, &[("/spec/earn", earn("Auto"))]);
    refuses(page, &[("/spec/earn", earn("Approve"))], "must be Auto");
    refuses(
        page,
        &[("/spec/earn", earn("Auto")), ("/spec/limits", Value::Null), ("/spec/runbooks", plain)],
        "Auto needs limits",
    );
}

#[test]
fn credentials_stay_in_secrets() {
    let webhook = |url: &str| json!({"url": url});
    let to = |url: &str| {
        [("/spec/type", json!("Webhook")), ("/spec/slack", Value::Null), ("/spec/webhook", webhook(url))]
    };
    accepts("notification-target.md", &to("https://itsm.example.com/hooks/a"));
    for url in [
        "https://user:pass@example.com/",
        "https://example.com/?token=x",
        "ftp://example.com",
        "example.com",
        "https://",
    ] {
        refuses("notification-target.md", &to(url), "without credentials");
    }
    refuses(
        "notification-target.md",
        &[("/spec/slack/webhookSecretRef", json!({"name": "a", "key": "b"}))],
        "exactly one of",
    );
    refuses("notification-target.md", &[("/spec/slack/channel", Value::Null)], "needs a channel");
    refuses(
        "notification-target.md",
        &[("/spec/slack/apiUrl", json!("https://a:b@example.com"))],
        "without credentials",
    );
    accepts("notification-target.md", &[("/spec/slack/apiUrl", json!("http://127.0.0.1:9999/api"))]);
}

#[test]
fn small_rules() {
    refuses("monitored-service.md", &[("/spec/dependencies/0/external", json!("s3"))], "exactly one of");
    refuses(
        "monitored-service.md",
        &[("/spec/dependencies/0", json!({"criticality": "Soft"}))],
        "exactly one of",
    );
    refuses("approval.md", &[("/spec/dryRunDigest", Value::Null)], "needs dryRunDigest");
    accepts("approval.md", &[("/spec/dryRunDigest", Value::Null), ("/spec/decision", json!("Reject"))]);
    refuses("remediation.md", &[("/spec/targets/0/uid", json!("another"))], "one of the targets");
    refuses("remediation.md", &[("/spec/inverse", json!({"type": "Mutations"}))], "named by type");
    accepts("remediation.md", &[("/spec/inverse", json!({"type": "NotNeeded"}))]);
}

#[test]
fn a_flag_is_in_one_place_and_pinned_over_http() {
    let page = "runbook.md";
    let server = |more: Value| {
        let mut server = json!({"urlSecretRef": {"name": "flags", "key": "url"}});
        server.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server
    };
    let (pinned, open) = (server(json!({"from": "on"})), server(json!({})));
    let of = |action: Value| {
        [("/spec/steps/0", json!({"name": "flag", "type": "SetFeatureFlag", "setFeatureFlag": action}))]
    };
    accepts(page, &of(json!({"flag": "cart", "variant": "off", "http": pinned})));
    accepts(page, &of(json!({"flag": "cart", "state": "Disabled", "http": open})));
    accepts(page, &of(json!({"flag": "cart", "state": "Disabled", "variant": "off", "configMap": "flags"})));
    refuses(
        page,
        &of(json!({"flag": "cart", "variant": "off", "http": pinned, "configMap": "flags"})),
        "not both",
    );
    refuses(page, &of(json!({"flag": "cart", "http": open})), "either variant or state");
    refuses(
        page,
        &of(json!({"flag": "cart", "state": "Disabled", "variant": "off", "http": pinned})),
        "either variant or state",
    );
    refuses(page, &of(json!({"flag": "cart", "variant": "off", "http": open})), "the variant from before");
    refuses(
        page,
        &of(json!({"flag": "cart", "state": "Disabled", "http": pinned})),
        "the variant from before",
    );
}

#[test]
fn peak_events_are_times_that_can_be() {
    let page = "peak-event.md";
    let window = |start: &str, end: &str| json!({"start": start, "end": end, "timeZone": "Europe/Amsterdam"});
    let at = |start: &str, end: &str| ("/spec/window", window(start, end));
    accepts(page, &[at("2026-11-01T00:00:00", "2026-12-01T00:00:00")]);
    refuses(page, &[at("2026-11-01T00:00:00", "2026-12-01T00:00:01")], "at most 30 days");
    refuses(page, &[at("2026-11-27T06:00:00", "2026-11-27T06:00:00")], "end must be after start");
    accepts(page, &[at("2026-11-27T00:00:00", "2026-11-27T23:59:59"), ("/spec/repeat", json!("Daily"))]);
    refuses(page, &[("/spec/repeat", json!("Daily"))], "shorter than a day");
    accepts(page, &[("/spec/repeat", json!("Weekly"))]);
    refuses(
        page,
        &[at("2026-11-27T00:00:00", "2026-12-04T00:00:00"), ("/spec/repeat", json!("Weekly"))],
        "shorter than a week",
    );
    accepts(page, &[("/spec/warmUp", json!("168h"))]);
    refuses(page, &[("/spec/warmUp", json!("169h"))], "at most 168h");
    refuses(page, &[("/spec/coolDown", json!("200h"))], "at most 168h");
    for (multiplier, fine) in [("100", true), ("0.01", true), ("0", false), ("-1", false), ("100.1", false)] {
        let change = [("/spec/expected/0/multiplier", json!(multiplier))];
        if fine {
            accepts(page, &change);
        } else {
            refuses(page, &change, "above 0 and at most 100");
        }
    }
    refuses(page, &[("/spec/expected/0/signal", json!("Metric"))], "exactly when signal is Metric");
    refuses(page, &[("/spec/expected/0/metric", json!("orders"))], "exactly when signal is Metric");
    refuses(page, &[("/spec/business/revenuePerHour", json!("-1"))], "must not be negative");
    refuses(page, &[("/spec/business/curve/0/revenuePerHour", json!("-1"))], "must not be negative");
}

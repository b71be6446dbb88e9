//! Targets against a local HTTP server.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use causeway_notify::{
    Delivery, DirectoryDeadLetters, FloodLimits, IncidentNotice, IncidentState, NotifyError, NotifyMetrics,
    Outcome, Pause, RetryPolicy, Secret, SendFilter, Severity, Slack, SlackAccess, Target, TargetState,
    Times, Webhook, WebhookFormat, verify,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wiremock::matchers::{body_partial_json, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const TOKEN: &str = "xoxb-very-secret";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn notice(id: &str, state: IncidentState) -> IncidentNotice {
    IncidentNotice {
        id: id.to_owned(),
        name: format!("checkout-{id}"),
        namespace: "shop".to_owned(),
        severity: Severity::Critical,
        state,
        title: "checkout fails".to_owned(),
        service: "shop/checkout".to_owned(),
        cause: None,
        confidence: None,
        evidence: Vec::new(),
        impact: None,
        remediation: None,
        escalated: None,
        links: Vec::new(),
        predicted: None,
        times: Times { opened: at(0), updated: at(0), resolved: None },
    }
}

/// Delays that were asked for, without waiting.
type Delays = Arc<Mutex<Vec<Duration>>>;

fn delivery(policy: RetryPolicy) -> (Delivery, Delays) {
    let delays = Delays::default();
    let pause = Pause::custom({
        let delays = Arc::clone(&delays);
        move |delay| {
            delays.lock().unwrap().push(delay);
            Box::pin(async {})
        }
    });
    (Delivery::new(policy, pause).unwrap(), delays)
}

fn target(notifier: impl causeway_notify::Notifier + 'static, letters: &Path) -> Target {
    Target::new("shop/test", notifier, Arc::new(DirectoryDeadLetters::new(letters)), NotifyMetrics::default())
}

fn bot(server: &MockServer) -> (Slack, Delays) {
    let (delivery, delays) = delivery(RetryPolicy::default());
    let access = SlackAccess::Bot { token: Secret::new(TOKEN), channel: "#payments".to_owned() };
    (Slack::new(access, delivery).unwrap().with_api(&format!("{}/api/", server.uri())), delays)
}

fn webhook(server: &MockServer, policy: RetryPolicy) -> (Webhook, Delays) {
    let (delivery, delays) = delivery(policy);
    let url = format!("{}/hook", server.uri());
    (Webhook::new(&url, Some(Secret::new("hmac key")), WebhookFormat::CloudEvents, delivery).unwrap(), delays)
}

fn letters(folder: &Path) -> Vec<Value> {
    let Ok(files) = fs::read_dir(folder) else { return Vec::new() };
    files.map(|file| serde_json::from_slice(&fs::read(file.unwrap().path()).unwrap()).unwrap()).collect()
}

async fn answer(server: &MockServer, at: &str, template: ResponseTemplate) {
    Mock::given(method("POST")).and(path(at)).respond_with(template).mount(server).await;
}

async fn bodies(server: &MockServer) -> Vec<(String, Value)> {
    let requests = server.received_requests().await.unwrap();
    requests.iter().map(|r| (r.url.path().to_owned(), serde_json::from_slice(&r.body).unwrap())).collect()
}

#[tokio::test]
async fn slack_has_one_message_per_incident_that_is_edited_also_after_a_restart() {
    let server = MockServer::start().await;
    let posted = json!({"ok": true, "channel": "C1", "ts": "17.5"});
    Mock::given(path("/api/chat.postMessage"))
        .and(header("authorization", format!("Bearer {TOKEN}").as_str()))
        .and(body_partial_json(json!({"channel": "#payments"})))
        .respond_with(ResponseTemplate::new(200).set_body_json(&posted))
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(path("/api/chat.update"))
        .and(body_partial_json(json!({"channel": "C1", "ts": "17.5"})))
        .respond_with(ResponseTemplate::new(200).set_body_json(&posted))
        .expect(2)
        .mount(&server)
        .await;
    let folder = tempfile::tempdir().unwrap();
    let mut state = TargetState::default();
    let deliver = async |notice: &IncidentNotice, state: &mut TargetState| {
        let stored = serde_json::to_vec(&*state).unwrap();
        *state = serde_json::from_slice(&stored).unwrap();
        target(bot(&server).0, folder.path()).deliver(notice, state, at(1)).await.unwrap()
    };
    assert_eq!(deliver(&notice("a", IncidentState::Open), &mut state).await, Outcome::Sent);
    let mut same = notice("a", IncidentState::Open);
    same.times.updated = at(50);
    assert_eq!(deliver(&same, &mut state).await, Outcome::Unchanged);
    assert_eq!(deliver(&notice("a", IncidentState::Mitigating), &mut state).await, Outcome::Edited);
    assert_eq!(deliver(&notice("a", IncidentState::Resolved), &mut state).await, Outcome::Edited);
    assert_eq!(state.messages["a"].place.message.as_deref(), Some("17.5"));
}

#[tokio::test]
async fn a_message_that_was_deleted_is_posted_again() {
    let server = MockServer::start().await;
    let gone = json!({"ok": false, "error": "message_not_found"});
    answer(&server, "/api/chat.update", ResponseTemplate::new(200).set_body_json(gone)).await;
    let posted = json!({"ok": true, "channel": "C1", "ts": "18"});
    answer(&server, "/api/chat.postMessage", ResponseTemplate::new(200).set_body_json(posted)).await;
    let folder = tempfile::tempdir().unwrap();
    let (target, mut state) = (target(bot(&server).0, folder.path()), TargetState::default());
    target.deliver(&notice("a", IncidentState::Open), &mut state, at(1)).await.unwrap();
    target.deliver(&notice("a", IncidentState::Resolved), &mut state, at(2)).await.unwrap();
    let paths: Vec<String> = bodies(&server).await.into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["/api/chat.postMessage", "/api/chat.update", "/api/chat.postMessage"]);
}

#[tokio::test]
async fn an_escalation_is_a_message_of_its_own_past_filter_and_limit() {
    let server = MockServer::start().await;
    for at in ["/api/chat.update", "/api/chat.postMessage"] {
        let posted = json!({"ok": true, "channel": "C1", "ts": "18"});
        answer(&server, at, ResponseTemplate::new(200).set_body_json(posted)).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let limits = FloodLimits { max_messages_per_hour: 1, ..FloodLimits::default() };
    let target = target(bot(&server).0, folder.path()).with_flood(limits);
    let mut state = TargetState::default();
    let mut open = notice("a", IncidentState::Open);
    assert_eq!(target.deliver(&open, &mut state, at(1)).await.unwrap(), Outcome::Sent);
    open.escalated = Some("nobody has acknowledged it".to_owned());
    assert_eq!(target.deliver(&open, &mut state, at(2)).await.unwrap(), Outcome::Sent);
    assert_eq!(target.deliver(&open, &mut state, at(3)).await.unwrap(), Outcome::Unchanged);
    open.state = IncidentState::Monitoring;
    assert_eq!(target.deliver(&open, &mut state, at(4)).await.unwrap(), Outcome::Edited);
    let sent = bodies(&server).await;
    let paths: Vec<&str> = sent.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["/api/chat.postMessage", "/api/chat.postMessage", "/api/chat.update"]);
    assert!(sent[1].1["text"].as_str().unwrap().contains("Escalated, Open: checkout fails"), "{sent:?}");

    // Severity and flood keep others out, not what is escalated; who is asked second hears of nothing else.
    let filter =
        SendFilter { min_severity: Severity::Critical, only_escalated: true, ..SendFilter::default() };
    let target = target.with_filter(filter);
    let mut other = notice("b", IncidentState::Open);
    assert_eq!(target.deliver(&other, &mut state, at(5)).await.unwrap(), Outcome::Filtered);
    other.severity = Severity::Info;
    other.escalated = open.escalated;
    assert_eq!(target.deliver(&other, &mut state, at(6)).await.unwrap(), Outcome::Sent);
    // The end of what was never told is no news, escalated or not.
    let mut over = notice("c", IncidentState::Resolved);
    over.escalated = other.escalated;
    assert_eq!(target.deliver(&over, &mut state, at(7)).await.unwrap(), Outcome::Filtered);
}

#[tokio::test]
async fn an_incoming_webhook_tells_transitions_only() {
    let server = MockServer::start().await;
    answer(&server, "/services/T/B/x", ResponseTemplate::new(200).set_body_string("ok")).await;
    let folder = tempfile::tempdir().unwrap();
    let access =
        SlackAccess::IncomingWebhook { url: Secret::new(&format!("{}/services/T/B/x\n", server.uri())) };
    let slack = Slack::new(access, delivery(RetryPolicy::default()).0).unwrap();
    let (target, mut state) = (target(slack, folder.path()), TargetState::default());
    let mut open = notice("a", IncidentState::Open);
    assert_eq!(target.deliver(&open, &mut state, at(1)).await.unwrap(), Outcome::Sent);
    open.cause = Some("a bad release".to_owned());
    assert_eq!(target.deliver(&open, &mut state, at(2)).await.unwrap(), Outcome::Unchanged);
    open.state = IncidentState::Resolved;
    assert_eq!(target.deliver(&open, &mut state, at(3)).await.unwrap(), Outcome::Sent);
    assert_eq!(bodies(&server).await.len(), 2);
}

#[tokio::test]
async fn failures_are_retried_and_retry_after_is_honoured() {
    let server = MockServer::start().await;
    let limited = ResponseTemplate::new(429).insert_header("retry-after", "42");
    for template in [ResponseTemplate::new(503), limited, ResponseTemplate::new(500)] {
        Mock::given(path("/hook")).respond_with(template).up_to_n_times(1).mount(&server).await;
    }
    answer(&server, "/hook", ResponseTemplate::new(202)).await;
    let folder = tempfile::tempdir().unwrap();
    let (webhook, delays) = webhook(&server, RetryPolicy::default());
    let target = target(webhook, folder.path());
    let mut state = TargetState::default();
    let outcome = target.deliver(&notice("a", IncidentState::Open), &mut state, at(1)).await.unwrap();
    assert_eq!(outcome, Outcome::Sent);
    let delays = delays.lock().unwrap().clone();
    assert_eq!(delays.len(), 3);
    assert!(delays[0] >= Duration::from_millis(500) && delays[0] <= Duration::from_secs(1));
    assert_eq!(delays[1], Duration::from_secs(42));
    let ids: Vec<Value> = bodies(&server).await.into_iter().map(|(_, body)| body["id"].clone()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "a repetition has the same id");
}

#[tokio::test]
async fn what_is_given_up_becomes_a_dead_letter_once() {
    let server = MockServer::start().await;
    answer(&server, "/hook", ResponseTemplate::new(503)).await;
    let folder = tempfile::tempdir().unwrap();
    let (webhook, delays) = webhook(&server, RetryPolicy { attempts: 3, ..RetryPolicy::default() });
    let (target, mut state) = (target(webhook, folder.path()), TargetState::default());
    let open = notice("a", IncidentState::Open);
    let error = target.deliver(&open, &mut state, at(1)).await.unwrap_err();
    assert_eq!(error.to_string(), "gave up after 3 tries: receiver answered 503");
    assert_eq!(delays.lock().unwrap().len(), 2);
    let kept = letters(folder.path());
    assert_eq!(kept.len(), 1);
    assert_eq!(
        (&kept[0]["subject"], &kept[0]["payload"]["data"]["title"]),
        (&json!("a"), &json!("checkout fails"))
    );
    // The outage is tried again later, without another letter, and ends.
    assert_eq!(target.deliver(&open, &mut state, at(2)).await.unwrap(), Outcome::Unchanged);
    assert_eq!(state.next_retry(), Some(at(901)));
    assert!(target.deliver(&open, &mut state, at(901)).await.is_err());
    assert_eq!(letters(folder.path()).len(), 1);
    assert_eq!(state.next_retry(), Some(at(1801)));
    server.reset().await;
    answer(&server, "/hook", ResponseTemplate::new(200)).await;
    assert_eq!(target.deliver(&open, &mut state, at(1801)).await.unwrap(), Outcome::Sent);
    assert_eq!((state.next_retry(), state.messages["a"].failure), (None, None));
}

#[tokio::test]
async fn old_messages_and_refusals_are_not_retried() {
    let server = MockServer::start().await;
    let busy = ResponseTemplate::new(429).insert_header("retry-after", "7200");
    Mock::given(path("/hook")).respond_with(busy).up_to_n_times(1).mount(&server).await;
    answer(&server, "/hook", ResponseTemplate::new(400)).await;
    let folder = tempfile::tempdir().unwrap();
    let policy = RetryPolicy { max_age: Duration::from_secs(3600), ..RetryPolicy::default() };
    let (webhook, delays) = webhook(&server, policy);
    let (target, mut state) = (target(webhook, folder.path()), TargetState::default());
    let error = target.deliver(&notice("a", IncidentState::Open), &mut state, at(1)).await.unwrap_err();
    assert!(matches!(error, NotifyError::Exhausted { attempts: 1, .. }), "{error}");
    let error = target.deliver(&notice("b", IncidentState::Open), &mut state, at(1)).await.unwrap_err();
    assert!(matches!(error, NotifyError::Status { status: 400 }), "{error}");
    assert!(delays.lock().unwrap().is_empty());
    assert_eq!(letters(folder.path()).len(), 2);
    // A refusal is final until somebody changes the target.
    let refused = notice("b", IncidentState::Open);
    assert_eq!(target.deliver(&refused, &mut state, at(80_000)).await.unwrap(), Outcome::Unchanged);
    state.forget_failures();
    assert!(target.deliver(&refused, &mut state, at(80_001)).await.is_err());
}

#[tokio::test]
async fn a_message_that_cannot_even_be_kept_says_so() {
    let server = MockServer::start().await;
    answer(&server, "/hook", ResponseTemplate::new(404)).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("not-a-folder");
    fs::write(&file, "").unwrap();
    let target = target(webhook(&server, RetryPolicy::default()).0, &file);
    let error = target
        .deliver(&notice("a", IncidentState::Open), &mut TargetState::default(), at(1))
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(text.contains("receiver answered 404") && text.contains("not-a-folder"), "{text}");
}

#[tokio::test]
async fn webhooks_are_signed_cloud_events() {
    let server = MockServer::start().await;
    answer(&server, "/hook", ResponseTemplate::new(200)).await;
    let folder = tempfile::tempdir().unwrap();
    let target = target(webhook(&server, RetryPolicy::default()).0, folder.path());
    target.deliver(&notice("a", IncidentState::Open), &mut TargetState::default(), at(1)).await.unwrap();
    let request = server.received_requests().await.unwrap().remove(0);
    let get = |name: &str| request.headers.get(name).unwrap().to_str().unwrap().to_owned();
    assert!(get("content-type").starts_with("application/cloudevents+json"));
    let (id, time, signature) = (get("webhook-id"), get("webhook-timestamp"), get("webhook-signature"));
    let check = |body: &[u8]| {
        let tolerance = SignedDuration::from_mins(5);
        verify(&Secret::new("hmac key"), &id, &time, &signature, body, Timestamp::now(), tolerance)
    };
    assert_eq!(check(&request.body), Ok(()));
    assert!(check(b"{}").is_err());
    let event: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!((&event["specversion"], &event["id"]), (&json!("1.0"), &json!(id)));
    assert_eq!(event["type"], "dev.causeway.incident.opened");
}

#[tokio::test]
async fn a_flood_becomes_a_digest() {
    let server = MockServer::start().await;
    let posted = json!({"ok": true, "channel": "C1", "ts": "1"});
    answer(&server, "/api/chat.postMessage", ResponseTemplate::new(200).set_body_json(&posted)).await;
    answer(&server, "/api/chat.update", ResponseTemplate::new(200).set_body_json(&posted)).await;
    let folder = tempfile::tempdir().unwrap();
    let flood = FloodLimits { max_messages_per_hour: 2, digest_every: SignedDuration::from_mins(30) };
    let target = target(bot(&server).0, folder.path()).with_flood(flood);
    let mut state = TargetState::default();
    let mut outcomes = Vec::new();
    for id in ["a", "b", "c", "d"] {
        outcomes.push(target.deliver(&notice(id, IncidentState::Open), &mut state, at(0)).await.unwrap());
    }
    assert_eq!(outcomes, [Outcome::Sent, Outcome::Sent, Outcome::HeldBack, Outcome::HeldBack]);
    // Edits go on.
    let edited = target.deliver(&notice("a", IncidentState::Mitigating), &mut state, at(1)).await.unwrap();
    assert_eq!(edited, Outcome::Edited);
    assert_eq!(target.next_digest(&state), Some(at(1800)));
    assert_eq!(target.flush_digest(&mut state, at(1799)).await.unwrap(), 0);
    assert_eq!(target.flush_digest(&mut state, at(1800)).await.unwrap(), 2);
    assert_eq!(target.next_digest(&state), None);
    let (_, digest) = bodies(&server).await.pop().unwrap();
    assert!(
        digest["blocks"][1]["text"]["text"].as_str().unwrap().contains("shop/checkout-c: checkout fails")
    );
    assert_eq!(
        target.deliver(&notice("c", IncidentState::Open), &mut state, at(3700)).await.unwrap(),
        Outcome::Unchanged
    );
    assert_eq!(
        target.deliver(&notice("c", IncidentState::Mitigating), &mut state, at(3700)).await.unwrap(),
        Outcome::Sent
    );
}

#[tokio::test]
async fn the_filter_decides_about_first_messages() {
    let server = MockServer::start().await;
    answer(&server, "/hook", ResponseTemplate::new(200)).await;
    let folder = tempfile::tempdir().unwrap();
    let filter = SendFilter {
        min_severity: Severity::Warning,
        predicted: false,
        resolved: false,
        only_escalated: false,
    };
    let target = target(webhook(&server, RetryPolicy::default()).0, folder.path()).with_filter(filter);
    let mut state = TargetState::default();
    let mut mild = notice("a", IncidentState::Open);
    mild.severity = Severity::Info;
    for unwanted in [mild, notice("b", IncidentState::Predicted), notice("c", IncidentState::Resolved)] {
        assert_eq!(target.deliver(&unwanted, &mut state, at(0)).await.unwrap(), Outcome::Filtered);
    }
    assert_eq!(
        target.deliver(&notice("d", IncidentState::Open), &mut state, at(0)).await.unwrap(),
        Outcome::Sent
    );
    assert_eq!(
        target.deliver(&notice("d", IncidentState::Resolved), &mut state, at(0)).await.unwrap(),
        Outcome::Filtered
    );
}

#[tokio::test]
async fn secrets_are_in_no_error_letter_or_debug_text() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody listens on the port of a server that has gone.
    let gone = MockServer::start().await.uri();
    let policy = RetryPolicy { attempts: 2, ..RetryPolicy::default() };
    let access = SlackAccess::IncomingWebhook { url: Secret::new(&format!("{gone}/services/very-secret")) };
    let incoming = Slack::new(access, delivery(policy).0).unwrap();
    let server = MockServer::start().await;
    let leak = json!({"ok": false, "error": format!("invalid {TOKEN}")});
    answer(&server, "/api/chat.postMessage", ResponseTemplate::new(200).set_body_json(leak)).await;
    let access = SlackAccess::Bot { token: Secret::new(TOKEN), channel: "#c".to_owned() };
    let bot = Slack::new(access, delivery(policy).0).unwrap().with_api(&format!("{}/api", server.uri()));
    for slack in [incoming, bot] {
        let debug = format!("{slack:?}");
        let target = target(slack, folder.path());
        let mut state = TargetState::default();
        let error = target.deliver(&notice("a", IncidentState::Open), &mut state, at(0)).await.unwrap_err();
        let letters = format!("{:?}", letters(folder.path()));
        let stored = serde_json::to_string(&state).unwrap();
        for text in [debug, format!("{error} {error:?} {target:?}"), letters, stored] {
            assert!(!text.contains("very-secret"), "{text}");
        }
    }
    assert_eq!(letters(folder.path()).len(), 2);
}

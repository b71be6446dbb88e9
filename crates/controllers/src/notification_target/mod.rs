//! NotificationTarget: makes its notifier when its Secrets are there, and shows whether messages arrive.

mod courier;
mod notice;

use std::sync::Arc;

use causeway_actions::{SecretKeyRef, canonical_json, sha256_hex};
use causeway_crds::notification_target::{DeliveryState, NotificationTargetStatus, NotificationType};
use causeway_crds::{ConditionType, NotificationTarget, Reason};
use causeway_kubekit::{ObjectKey, Progress, Report, Requeue, Statement, Truth};
use causeway_notify::{
    Delivery, DirectoryDeadLetters, FloodLimits, NotifyError, RetryPolicy, Secret, SendFilter, Slack,
    SlackAccess, Target, Webhook, WebhookFormat,
};
use jiff::Timestamp;
use kube::ResourceExt;

pub(crate) use self::courier::Couriers;
use self::courier::Lane;
use crate::log_source::secret_value;
use crate::mirrors::Mirrors;
use crate::observing::Observer;
use crate::text::bounded;

pub(crate) struct NotificationTargets {
    pub(crate) mirrors: Mirrors,
    pub(crate) couriers: Couriers,
}

/// Values of the Secrets that a target names.
#[derive(Default)]
struct Secrets {
    token: Option<String>,
    webhook: Option<String>,
    signing: Option<String>,
}

impl Observer for NotificationTargets {
    type Kind = NotificationTarget;
    const NAME: &'static str = "notification-target";

    async fn prepare(&self, object: &NotificationTarget) {
        let names =
            references(object).into_iter().flatten().map(|reference| reference.name.clone()).collect();
        self.mirrors.secrets.hold(object, &names).await;
    }

    fn report(&self, object: &NotificationTarget, _now: Timestamp) -> Report<NotificationTargetStatus> {
        let key = ObjectKey::of(object);
        if object.spec.suspend {
            self.couriers.dismiss(&key);
            return stated(
                DeliveryState::Suspended,
                Progress::ready(Reason::Suspended.as_str(), "Suspended: nothing is sent"),
                (Truth::Unknown, Reason::Suspended, "Suspended".to_owned()),
            );
        }
        let secrets = match self.secrets(object) {
            Ok(secrets) => secrets,
            Err(message) => {
                self.couriers.dismiss(&key);
                let reason = Reason::SecretMissing;
                let progress =
                    Progress::Retrying { reason: reason.as_str().to_owned(), message: message.clone() };
                return stated(DeliveryState::Failing, progress, (Truth::False, reason, message));
            }
        };
        let made_of = fingerprint(object, &secrets);
        let settings = self.couriers.settings().clone();
        let health = self.couriers.configure(&key, &made_of, |lane| {
            let dead = Arc::new(DirectoryDeadLetters::new(settings.dead_letters.clone()));
            make(object, &key, secrets, lane, settings.retry, dead, settings.metrics.clone())
        });
        match health {
            Err(error) => {
                let message = error.to_string();
                let progress = Progress::stalled(Reason::InvalidSpec.as_str(), message.clone());
                stated(DeliveryState::Failing, progress, (Truth::False, Reason::InvalidSpec, message))
            }
            Ok(health) => {
                let ready =
                    Progress::ready(Reason::Reconciled.as_str(), "Messages are sent as incidents come");
                let requeue = health.next_look.map_or(Requeue::OnChange, Requeue::At);
                let mut report = match health.last_error {
                    Some(error) => {
                        let error = bounded(&error, 512);
                        let mut report = stated(
                            DeliveryState::Failing,
                            ready,
                            (Truth::False, Reason::DeliveryFailed, error.clone()),
                        );
                        report.status.last_error = Some(error);
                        report
                    }
                    None => stated(
                        DeliveryState::Idle,
                        ready,
                        (
                            Truth::True,
                            Reason::Available,
                            "Secrets are there, and no message failed".to_owned(),
                        ),
                    ),
                };
                report.requeue = requeue;
                report
            }
        }
    }

    fn forget(&self, object: &NotificationTarget) {
        self.couriers.dismiss(&ObjectKey::of(object));
        self.mirrors.secrets.release(object);
    }
}

fn stated(
    state: DeliveryState,
    progress: Progress,
    deliverable: (Truth, Reason, String),
) -> Report<NotificationTargetStatus> {
    let (truth, reason, message) = deliverable;
    let status = NotificationTargetStatus { state, ..NotificationTargetStatus::default() };
    Report::new(status, progress).condition(Statement::new(
        ConditionType::Deliverable.as_str(),
        truth,
        reason.as_str(),
        message,
    ))
}

impl NotificationTargets {
    fn secrets(&self, object: &NotificationTarget) -> Result<Secrets, String> {
        let namespace = object.namespace().unwrap_or_default();
        let read = |reference: Option<&SecretKeyRef>| {
            reference
                .map(|reference| secret_value(&self.mirrors, &namespace, &reference.name, &reference.key))
                .transpose()
        };
        let [token, webhook, signing] = references(object);
        Ok(Secrets { token: read(token)?, webhook: read(webhook)?, signing: read(signing)? })
    }
}

/// What a target names: the bot's token, the incoming webhook's URL, the signing key.
fn references(object: &NotificationTarget) -> [Option<&SecretKeyRef>; 3] {
    let (slack, webhook) = (object.spec.slack.as_ref(), object.spec.webhook.as_ref());
    [
        slack.and_then(|slack| slack.token_secret_ref.as_ref()),
        slack.and_then(|slack| slack.webhook_secret_ref.as_ref()),
        webhook.and_then(|webhook| webhook.signing_secret_ref.as_ref()),
    ]
}

fn fingerprint(object: &NotificationTarget, secrets: &Secrets) -> String {
    let spec = serde_json::to_value(&object.spec).map(|spec| canonical_json(&spec)).unwrap_or_default();
    let parts = [Some(spec), secrets.token.clone(), secrets.webhook.clone(), secrets.signing.clone()];
    let text: Vec<String> = parts.into_iter().map(Option::unwrap_or_default).collect();
    sha256_hex(text.join("\u{0}").as_bytes())
}

fn make(
    object: &NotificationTarget,
    key: &ObjectKey,
    secrets: Secrets,
    lane: &Lane,
    retry: RetryPolicy,
    dead_letters: Arc<DirectoryDeadLetters>,
    metrics: causeway_notify::NotifyMetrics,
) -> Result<Target, NotifyError> {
    let spec = &object.spec;
    let name = key.to_string();
    let target = match (spec.r#type, &spec.slack, &spec.webhook) {
        (NotificationType::Slack, Some(slack), _) => {
            let access = match (secrets.token, secrets.webhook) {
                (Some(token), _) => SlackAccess::Bot {
                    token: Secret::new(&token),
                    channel: slack.channel.clone().unwrap_or_default(),
                },
                (None, Some(url)) => SlackAccess::IncomingWebhook { url: Secret::new(&url) },
                (None, None) => return Err(NotifyError::Config("no Secret is named")),
            };
            let notifier = Slack::new(access, Delivery::new(retry, lane.pause())?)?;
            let notifier = match &slack.api_url {
                Some(url) => notifier.with_api(url),
                None => notifier,
            };
            Target::new(name, notifier, dead_letters, metrics)
        }
        (NotificationType::Webhook, _, Some(webhook)) => {
            let policy = RetryPolicy {
                attempts: u32::try_from(webhook.retry.attempts).unwrap_or(1).max(1),
                max_age: webhook.retry.max_age.get(),
                ..retry
            };
            let delivery = Delivery::new(policy, lane.pause())?;
            let signing = secrets.signing.as_deref().map(Secret::new);
            let notifier = Webhook::new(&webhook.url, signing, WebhookFormat::CloudEvents, delivery)?;
            Target::new(name, notifier, dead_letters, metrics)
        }
        _ => return Err(NotifyError::Config("the member named by type is not set")),
    };
    let flood = FloodLimits {
        max_messages_per_hour: u32::try_from(spec.flood.max_messages_per_hour).unwrap_or(1).max(1),
        ..FloodLimits::default()
    };
    let filter = SendFilter {
        min_severity: notice::level(spec.send.min_severity),
        predicted: spec.send.predicted,
        resolved: spec.send.resolved,
        only_escalated: spec.send.only_escalated,
    };
    Ok(target.with_filter(filter).with_flood(flood))
}

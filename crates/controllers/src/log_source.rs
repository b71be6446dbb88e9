//! LogSource: gives the gateway its credential, steps and limits, and shows whether records come.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use causeway_crds::log_source::{LogSourceStatus, LogSourceType, SourceLoss, SourceState};
use causeway_crds::{ConditionType, LogSource, Reason};
use causeway_kubekit::{Lookup, ObjectKey, Progress, Report, Requeue, Statement, Truth};
use causeway_model::SourceRef;
use causeway_steps::Pipeline;
use ipnet::IpNet;
use jiff::Timestamp;
use kube::ResourceExt;
use parking_lot::Mutex;

use crate::mirrors::Mirrors;
use crate::observing::Observer;
use crate::ports::{Gateway, Protocol, SourceLimits, SourceObservation, SourceSettings};

/// How often the gateway is asked.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

pub(crate) struct LogSources {
    mirrors: Mirrors,
    gateway: Arc<dyn Gateway>,
    /// What the gateway was given.
    given: Mutex<HashMap<ObjectKey, Given>>,
}

/// Version of a source's settings.
#[derive(PartialEq, Eq)]
struct Given {
    generation: Option<i64>,
    token: Option<String>,
}

/// What keeps a source from receiving.
enum Obstacle {
    Secret(String),
    Spec(String),
}

impl LogSources {
    pub(crate) fn new(mirrors: Mirrors, gateway: Arc<dyn Gateway>) -> Self {
        Self { mirrors, gateway, given: Mutex::default() }
    }

    /// Gives the gateway what it needs, unless it has it, without telling anybody how the source stands.
    pub(crate) async fn configure(&self, object: &LogSource) {
        self.prepare(object).await;
        let source = source_of(object);
        if let Err(Obstacle::Secret(message) | Obstacle::Spec(message)) = self.give(object, &source) {
            // The operator says the same in the status.
            tracing::debug!(?source, message, "LogSource not received");
            self.take(object, &source);
        }
    }

    /// Gives the gateway what it needs, unless it has it.
    fn give(&self, object: &LogSource, source: &SourceRef) -> Result<(), Obstacle> {
        let token = self.token(object, &source.namespace).map_err(Obstacle::Secret)?;
        let key = ObjectKey::of(object);
        let version = Given { generation: object.metadata.generation, token: token.clone() };
        if self.given.lock().get(&key) == Some(&version) {
            return Ok(());
        }
        let steps = Pipeline::compile(&object.spec.steps)
            .map_err(|error| Obstacle::Spec(format!("spec.steps do not compile: {error}")))?;
        let networks = networks(object.spec.trusted_networks()).map_err(Obstacle::Spec)?;
        let limits = object.spec.limits.clone().unwrap_or_default();
        let settings = SourceSettings {
            token,
            trusted_networks: networks,
            protocol: match object.spec.r#type {
                LogSourceType::OTLP => Protocol::Otlp,
                LogSourceType::FluentBit => Protocol::Forward,
            },
            steps,
            limits: SourceLimits {
                max_lines_per_second: limits.max_lines_per_second.and_then(|n| u64::try_from(n).ok()),
                max_request_bytes: limits.max_request_bytes.and_then(|n| u64::try_from(n).ok()),
            },
            suspended: object.spec.suspend,
        };
        self.gateway.set_source(source.clone(), settings);
        self.given.lock().insert(key, version);
        Ok(())
    }

    fn take(&self, object: &LogSource, source: &SourceRef) {
        if self.given.lock().remove(&ObjectKey::of(object)).is_some() {
            self.gateway.remove_source(source);
        }
    }

    fn token(&self, object: &LogSource, namespace: &str) -> Result<Option<String>, String> {
        match object.spec.credential() {
            Some(wanted) => secret_value(&self.mirrors, namespace, &wanted.name, &wanted.key).map(Some),
            None if object.spec.trusted_networks().is_empty() => {
                Err("the spec names neither a Secret with a token nor trusted networks".to_owned())
            }
            None => Ok(None),
        }
    }
}

fn source_of(object: &LogSource) -> SourceRef {
    SourceRef { namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
}

/// A value of a Secret.
///
/// # Errors
/// What is missing and what to do, for people.
pub(crate) fn secret_value(
    mirrors: &Mirrors,
    namespace: &str,
    name: &str,
    key: &str,
) -> Result<String, String> {
    let create =
        format!("kubectl create secret generic {name} --namespace {namespace} --from-literal={key}=VALUE");
    let secret = match mirrors.secrets.get(&ObjectKey::namespaced(namespace, name)) {
        Lookup::Present(secret) => secret,
        Lookup::Absent => return Err(format!("Secret {namespace}/{name} does not exist: {create}")),
        Lookup::Unknown => return Err(format!("Secret {namespace}/{name} was not read yet")),
        Lookup::Refused(message) => {
            return Err(format!(
                "Secret {namespace}/{name} can't be read: a Role in {namespace} must grant list and watch on secrets \
                 with the resource name {name}: {message}"
            ));
        }
    };
    let value = secret.data.as_ref().and_then(|data| data.get(key));
    let value = value
        .ok_or_else(|| format!("Secret {namespace}/{name} has no key {key}: add it, such as by {create}"))?;
    let text = String::from_utf8(value.0.clone())
        .map_err(|_| format!("Secret {namespace}/{name}, key {key}, is not UTF-8 text"))?;
    let text = text.trim();
    if text.is_empty() {
        return Err(format!("Secret {namespace}/{name}, key {key}, is empty: put the value there"));
    }
    Ok(text.to_owned())
}

impl Observer for LogSources {
    type Kind = LogSource;
    const NAME: &'static str = "log-source";

    async fn prepare(&self, object: &LogSource) {
        let names = object.spec.credential().map(|wanted| wanted.name.clone()).into_iter().collect();
        self.mirrors.secrets.hold(object, &names).await;
    }

    fn report(&self, object: &LogSource, now: Timestamp) -> Report<LogSourceStatus> {
        let source = source_of(object);
        let connected = ConditionType::Connected.as_str();
        match self.give(object, &source) {
            Ok(()) => self.listening(object, &source, now),
            Err(Obstacle::Secret(message)) => {
                self.take(object, &source);
                let reason = Reason::SecretMissing.as_str();
                let progress = Progress::Retrying { reason: reason.to_owned(), message: message.clone() };
                Report::new(LogSourceStatus::default(), progress)
                    .condition(Statement::new(connected, false, reason, message))
            }
            Err(Obstacle::Spec(message)) => {
                self.take(object, &source);
                let reason = Reason::InvalidSpec.as_str();
                Report::new(LogSourceStatus::default(), Progress::stalled(reason, message.clone()))
                    .condition(Statement::new(connected, false, reason, message))
            }
        }
    }

    fn forget(&self, object: &LogSource) {
        let source = source_of(object);
        self.take(object, &source);
        self.mirrors.secrets.release(object);
    }
}

impl LogSources {
    fn listening(&self, object: &LogSource, source: &SourceRef, now: Timestamp) -> Report<LogSourceStatus> {
        let seen = self.gateway.observed(source);
        let state = state(object, seen, now);
        let loss = match seen {
            SourceObservation { rejected: true, .. } => SourceLoss::Dropped,
            SourceObservation { limited: true, .. } => SourceLoss::Rejected,
            _ => SourceLoss::None,
        };
        let status = LogSourceStatus {
            state,
            loss,
            services: i32::try_from(seen.services).unwrap_or(i32::MAX),
            ..LogSourceStatus::default()
        };
        let (flowing, reason, message) = match state {
            SourceState::Waiting => (Truth::Unknown, Reason::Waiting, "No record has come yet"),
            SourceState::Silent => {
                (Truth::False, Reason::Silent, "No record for longer than spec.silence.after")
            }
            SourceState::Suspended => (Truth::False, Reason::Suspended, "Suspended: records are refused"),
            SourceState::Flowing | SourceState::Limited => (Truth::True, Reason::Flowing, "Records come"),
        };
        let ready = match state {
            SourceState::Suspended => Progress::ready(Reason::Suspended.as_str(), message),
            _ => Progress::ready(
                Reason::Listening.as_str(),
                if object.spec.credential().is_some() {
                    "The token is accepted"
                } else {
                    "Senders of the trusted networks are accepted"
                },
            ),
        };
        let limits = if seen.limited {
            (false, Reason::LimitExceeded, "A limit was reached: records were refused")
        } else {
            (true, Reason::WithinLimits, "No limit was reached lately")
        };
        let report = Report::new(status, ready)
            .condition(Statement::new(ConditionType::Ingesting.as_str(), flowing, reason.as_str(), message))
            .condition(Statement::new(
                ConditionType::WithinLimits.as_str(),
                limits.0,
                limits.1.as_str(),
                limits.2,
            ));
        report.requeue(now.checked_add(LOOK_AGAIN).map_or(Requeue::OnChange, Requeue::At))
    }
}

/// Networks in CIDR notation.
fn networks(texts: &[String]) -> Result<Vec<IpNet>, String> {
    let parse = |text: &String| {
        let field = "spec.fluentBit.trustedNetworks";
        let network: IpNet = text.parse().map_err(|_| {
            format!("{field}: \"{text}\" is not a network: write it as 10.0.0.0/8 or fd00::/8")
        })?;
        if network.prefix_len() == 0 {
            return Err(format!(
                "{field}: {text} is every address there is: name the networks of the senders"
            ));
        }
        Ok(network)
    };
    texts.iter().map(parse).collect()
}

fn state(object: &LogSource, seen: SourceObservation, now: Timestamp) -> SourceState {
    if object.spec.suspend {
        return SourceState::Suspended;
    }
    let Some(last) = seen.last_record_us else { return SourceState::Waiting };
    let quiet = u64::try_from(now.as_microsecond().saturating_sub(last)).unwrap_or(0);
    let silence = object.spec.silence.as_ref().map(|silence| silence.after.get());
    if silence.is_some_and(|after| Duration::from_micros(quiet) > after) {
        SourceState::Silent
    } else if seen.limited {
        SourceState::Limited
    } else {
        SourceState::Flowing
    }
}

//! Whether the services of an event can grow as far as it is expected to need them to.

use std::sync::Arc;

use causeway_crds::peak_event::PeakPhase;
use causeway_crds::{ConditionType, MonitoredService, PeakEvent, Reason};
use causeway_kubekit::{Statement, Truth};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::ResourceExt;

use crate::mirrors::Mirrors;
use crate::services::{target_of, telemetry_name};
use crate::target_view::Target;
use crate::text::bounded;

/// Sentences that a status holds, and characters of each.
const SENTENCES: usize = 16;
const LONGEST: usize = 256;

/// What of an event's services is short, and what can't be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Capacity {
    /// Services that end before the expected load, a sentence each.
    pub(crate) short: Vec<String>,
    /// Services of which nobody knows how far they go.
    unknown: Vec<String>,
    /// Services that go far enough.
    enough: usize,
}

/// Looks at the autoscalers of `services`. Before the event the replicas of now carry an ordinary load, and `factor` times
/// as many are needed; while it is on, an autoscaler at its maximum is short. O(services · autoscalers).
pub(crate) fn capacity(
    services: &[Arc<MonitoredService>],
    mirrors: &Mirrors,
    phase: PeakPhase,
    factor: f64,
    headroom_percent: i32,
) -> Capacity {
    let needed = factor * (1.0 + f64::from(headroom_percent) / 100.0);
    let scalers = mirrors.horizontal_scalers.list();
    let mut found = Capacity::default();
    for service in services {
        let name = service.name_any();
        let namespace = service.namespace().unwrap_or_default();
        let target = target_of(mirrors, &telemetry_name(service), &namespace);
        let scaler = target.and_then(|target| scalers.iter().find(|scaler| scales(scaler, &target)).cloned());
        let most = scaler.as_ref().and_then(|scaler| Some(scaler.spec.as_ref()?.max_replicas));
        let (Some(scaler), Some(most)) = (scaler, most) else {
            found.unknown.push(name);
            continue;
        };
        let now = scaler.status.as_ref().and_then(|status| status.current_replicas).unwrap_or(0);
        let scaler = format!("HorizontalPodAutoscaler {namespace}/{}", scaler.name_any());
        match phase {
            PeakPhase::Planned | PeakPhase::Armed if now < 1 => found.unknown.push(name),
            PeakPhase::Planned | PeakPhase::Armed => {
                let grows = f64::from(most) / f64::from(now);
                if grows < needed {
                    let least = (f64::from(now) * needed).ceil();
                    found.short.push(bounded(
                        &format!(
                            "{name} grows {}x: {scaler} ends at {most} replicas, and {now} run now; {}x is needed: \
                             raise maxReplicas to {least}",
                            times(grows),
                            times(needed)
                        ),
                        LONGEST,
                    ));
                } else {
                    found.enough += 1;
                }
            }
            _ if now >= most => {
                found.short.push(bounded(&format!("{name}: {scaler} is at its maximum of {most}"), LONGEST));
            }
            _ => found.enough += 1,
        }
    }
    found.short.truncate(SENTENCES);
    found
}

/// How many times an ordinary day's requests an event is expected to bring, as declared or as remembered.
pub(crate) fn expected_load(event: &PeakEvent, remembered: Option<f64>) -> Option<f64> {
    use causeway_crds::peak_event::PeakSignal::RequestRate;
    let declared = event.spec.expected.iter().find(|expected| expected.signal == RequestRate);
    declared.map(|expected| expected.multiplier.to_f64()).or(remembered).filter(|factor| *factor > 0.0)
}

impl Capacity {
    /// The condition that says it.
    pub(crate) fn statement(&self) -> Statement {
        let name = ConditionType::CapacitySufficient.as_str();
        if !self.short.is_empty() {
            return Statement::new(name, false, Reason::CapacityShort.as_str(), self.short.join("; "));
        }
        if self.enough == 0 {
            let message = "No service has a HorizontalPodAutoscaler, so that nobody knows how far they grow";
            return Statement::new(name, Truth::Unknown, Reason::CapacityUnknown.as_str(), message);
        }
        let mut message = match self.enough {
            1 => "One service grows far enough".to_owned(),
            n => format!("{n} services grow far enough"),
        };
        if !self.unknown.is_empty() {
            let names = self.unknown.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
            let more = if self.unknown.len() > 5 { " and others" } else { "" };
            message.push_str(&format!("; without a HorizontalPodAutoscaler nobody knows of {names}{more}"));
        }
        Statement::new(name, true, Reason::CapacityEnough.as_str(), bounded(&message, 1024))
    }
}

fn scales(scaler: &HorizontalPodAutoscaler, target: &Target) -> bool {
    let reference = scaler.spec.as_ref().map(|spec| &spec.scale_target_ref);
    scaler.namespace().as_deref() == Some(target.namespace.as_str())
        && reference.is_some_and(|to| to.kind == target.kind && to.name == target.name)
}

/// One decimal, none where it is a whole number.
fn times(factor: f64) -> String {
    let text = format!("{factor:.1}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

//! Whether the services of an event can grow as far as it is expected to need them to.

use std::sync::Arc;

use causeway_crds::peak_event::PeakPhase;
use causeway_crds::{ConditionType, MonitoredService, PeakEvent, Reason};
use causeway_kubekit::{Statement, Truth};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::ResourceExt;

use crate::mirrors::Mirrors;
use crate::ports::Engine;
use crate::room::{self, Size};
use crate::services::{entities, target_of, telemetry_name};
use crate::target_view::Target;
use crate::text::bounded;

/// Sentences that a status holds, and characters of each.
const SENTENCES: usize = 16;
const LONGEST: usize = 256;
/// Share of a CPU limit above which queues grow and requests are throttled.
const USED_UP: f64 = 0.85;

/// What of an event's services is short, and what can't be told.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Capacity {
    /// Services that end before the expected load, a sentence each.
    pub(crate) short: Vec<String>,
    /// Services of which nobody knows how far they go, each with the reason.
    unknown: Vec<(String, &'static str)>,
    /// Services that go far enough.
    enough: usize,
    /// CPUs that autoscalers will ask for, and those that the nodes have left, if that is less.
    room: Option<(f64, f64)>,
}

/// How far one service goes.
enum Reach {
    Enough,
    Short(String),
    Unknown(&'static str),
}

/// What is asked of every service.
struct Question<'a> {
    engine: &'a dyn Engine,
    scalers: Vec<Arc<HorizontalPodAutoscaler>>,
    /// Whether the load of now is an ordinary one, to be multiplied.
    is_ahead: bool,
    /// How many times the ordinary load a service must carry.
    needed: f64,
}

/// Looks at the autoscalers of `services`, and at the CPU use of those that have none. Before the event the load of now is an
/// ordinary one, and a service must carry `factor` times as much; while it is on, an autoscaler at its maximum and a CPU
/// that is used up are short. O(services · autoscalers + pods).
pub(crate) fn capacity(
    services: &[Arc<MonitoredService>],
    mirrors: &Mirrors,
    engine: &dyn Engine,
    phase: PeakPhase,
    factor: f64,
    headroom_percent: i32,
) -> Capacity {
    let question = Question {
        engine,
        scalers: mirrors.horizontal_scalers.list(),
        is_ahead: matches!(phase, PeakPhase::Planned | PeakPhase::Armed),
        needed: factor * (1.0 + f64::from(headroom_percent) / 100.0),
    };
    let mut found = Capacity::default();
    let mut more_cpu = 0.0;
    for service in services {
        let name = service.name_any();
        let target = target_of(mirrors, &telemetry_name(service), &service.namespace().unwrap_or_default());
        let size = target.as_ref().and_then(|target| room::size(mirrors, target));
        let scaler =
            target.and_then(|target| question.scalers.iter().find(|scaler| scales(scaler, &target)).cloned());
        let reach = match &scaler {
            Some(scaler) => {
                more_cpu += question.growth(scaler, size.as_ref());
                question.scaled(&name, scaler)
            }
            None => question.fixed(service, size.as_ref()),
        };
        match reach {
            Reach::Enough => found.enough += 1,
            Reach::Short(sentence) => found.short.push(bounded(&sentence, LONGEST)),
            Reach::Unknown(why) => found.unknown.push((name, why)),
        }
    }
    found.short.truncate(SENTENCES);
    found.room = room::left(mirrors).filter(|left| more_cpu > *left).map(|left| (more_cpu, left));
    found
}

impl Question<'_> {
    /// A service that an autoscaler grows.
    fn scaled(&self, name: &str, scaler: &HorizontalPodAutoscaler) -> Reach {
        let Some(most) = scaler.spec.as_ref().map(|spec| spec.max_replicas) else {
            return Reach::Unknown("its HorizontalPodAutoscaler has no maximum");
        };
        let now = replicas_now(scaler);
        let scaler = format!(
            "HorizontalPodAutoscaler {}/{}",
            scaler.namespace().unwrap_or_default(),
            scaler.name_any()
        );
        if !self.is_ahead {
            return if now >= most {
                Reach::Short(format!("{name}: {scaler} is at its maximum of {most}"))
            } else {
                Reach::Enough
            };
        }
        if now < 1 {
            return Reach::Unknown("no replica runs");
        }
        let grows = f64::from(most) / f64::from(now);
        if grows >= self.needed {
            return Reach::Enough;
        }
        let least = (f64::from(now) * self.needed).ceil();
        Reach::Short(format!(
            "{name} grows {}x: {scaler} ends at {most} replicas, and {now} run now; {}x is needed: \
             raise maxReplicas to {least}",
            times(grows),
            times(self.needed)
        ))
    }

    /// CPUs that an autoscaler will request beyond those of now.
    fn growth(&self, scaler: &HorizontalPodAutoscaler, size: Option<&Size>) -> f64 {
        let most = scaler.spec.as_ref().map_or(0, |spec| spec.max_replicas);
        let now = replicas_now(scaler);
        let request = size.and_then(|size| size.request).filter(|_| self.is_ahead).unwrap_or(0.0);
        let wanted = (f64::from(now) * self.needed).ceil().min(f64::from(most));
        (wanted - f64::from(now)).max(0.0) * request
    }

    /// A service whose replicas stay as they are: it has what is left of its CPU. CPU grows with requests.
    fn fixed(&self, service: &MonitoredService, size: Option<&Size>) -> Reach {
        let name = service.name_any();
        let Some(size) = size else { return Reach::Unknown("no workload of it is known") };
        let measured = self.engine.cpu_use(&entities(service)).unwrap_or_default();
        let limit = size.limit.zip(size.replicas).map(|(limit, replicas)| limit * f64::from(replicas));
        let of_cores = measured.cores.zip(limit).filter(|(_, limit)| *limit > 0.0);
        let share = measured.of_limit.or(of_cores.map(|(cores, limit)| cores / limit));
        let Some(share) = share.filter(|share| share.is_finite() && *share > 0.0) else {
            return Reach::Unknown(
                "it has no HorizontalPodAutoscaler, and no CPU use against a limit is measured",
            );
        };
        let what = match size.replicas {
            Some(1) => "1 replica without a HorizontalPodAutoscaler uses".to_owned(),
            Some(n) => format!("{n} replicas without a HorizontalPodAutoscaler use"),
            None => "its replicas use".to_owned(),
        };
        let percent = (share * 100.0).round();
        let remedy = size.replicas.map_or("raise its CPU limit".to_owned(), |replicas| {
            let load = if self.is_ahead { self.needed } else { 1.0 };
            format!("raise spec.replicas to {}", (f64::from(replicas) * load * share / USED_UP).ceil())
        });
        if !self.is_ahead {
            return if share >= USED_UP {
                Reach::Short(format!("{name}: {what} {percent} % of their CPU limit: {remedy}"))
            } else {
                Reach::Enough
            };
        }
        let grows = USED_UP / share;
        if grows >= self.needed {
            return Reach::Enough;
        }
        Reach::Short(format!(
            "{name} carries {}x: {what} {percent} % of the CPU limit in the busiest minute of the last hour; {}x is \
             needed: {remedy}",
            times(grows),
            times(self.needed)
        ))
    }
}

fn replicas_now(scaler: &HorizontalPodAutoscaler) -> i32 {
    scaler.status.as_ref().and_then(|status| status.current_replicas).unwrap_or(0)
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
        let mut message = match (self.enough, self.unknown.len()) {
            (0, 0) => "No service is meant".to_owned(),
            (0, _) => "Nobody knows how far the services grow".to_owned(),
            (1, _) => "One service grows far enough".to_owned(),
            (n, _) => format!("{n} services grow far enough"),
        };
        if let Some((first, why)) = self.unknown.first() {
            let others = match self.unknown.len() - 1 {
                0 => String::new(),
                1 => " (and one other)".to_owned(),
                n => format!(" (and {n} others)"),
            };
            message.push_str(&format!("; unknown of {first}{others}: {why}"));
        }
        if let Some((asked, left)) = self.room {
            message.push_str(&format!(
                "; the nodes of now have {} CPUs left, and autoscalers will ask for {}",
                times(left),
                times(asked)
            ));
        }
        if self.enough == 0 {
            let message = bounded(&message, 1024);
            return Statement::new(name, Truth::Unknown, Reason::CapacityUnknown.as_str(), message);
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

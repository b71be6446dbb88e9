//! SLO: the engine counts its events; the status says how the budget stands, coarsely.

use std::sync::Arc;
use std::time::Duration;

use causeway_crds::slo::{SLOState, SLOStatus};
use causeway_crds::{ConditionType, Reason, SLO};
use causeway_engine::{ObjectiveReport, ObjectiveState};
use causeway_kubekit::{ObjectKey, Occurrence, Progress, Report, Requeue, Statement, Truth};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use crate::baseline::{query_failed, service_progress};
use crate::declarations::Declarations;
use crate::mirrors::Mirrors;
use crate::objective::objective;
use crate::observing::Observer;
use crate::ports::Engine;
use crate::text::stamp_us;

/// How often the engine is asked.
const LOOK_AGAIN: Duration = Duration::from_secs(20);

pub(crate) struct Slos {
    pub(crate) mirrors: Mirrors,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) declarations: Arc<Declarations>,
}

impl Observer for Slos {
    type Kind = SLO;
    const NAME: &'static str = "slo";

    fn report(&self, object: &SLO, now: Timestamp) -> Report<SLOStatus> {
        self.declarations.tell();
        let (namespace, service) = (object.namespace().unwrap_or_default(), &object.spec.service_ref.name);
        let refused = |progress| Report::new(SLOStatus::default(), progress);
        let Some(found) = self.mirrors.services.get(&ObjectKey::namespaced(&namespace, service)) else {
            return refused(service_progress(&self.mirrors, &namespace, service));
        };
        if let Err((reason, message)) = objective(object, &found) {
            return refused(Progress::stalled(reason.as_str(), message));
        }
        let known = self.engine.objective(&namespace, &object.name_any()).unwrap_or_default();
        if let Some(metric) = &known.not_a_counter {
            let message =
                format!("The metric {metric} is a level, which has no events: name a counter or a histogram");
            return refused(Progress::stalled(Reason::InvalidSpec.as_str(), message)).requeue(again(now));
        }
        if let Some(problem) = &known.unanswered {
            return refused(query_failed(problem)).requeue(again(now));
        }
        evaluated(object, &known, now)
    }

    fn forget(&self, _object: &SLO) {
        self.declarations.tell();
    }
}

fn again(now: Timestamp) -> Requeue {
    now.checked_add(LOOK_AGAIN).map_or(Requeue::OnChange, Requeue::At)
}

fn evaluated(object: &SLO, known: &ObjectiveReport, now: Timestamp) -> Report<SLOStatus> {
    let before = object.status.as_ref();
    if object.spec.suspend {
        let status = SLOStatus { state: SLOState::Suspended, ..SLOStatus::default() };
        let message = "Events are counted, and nothing is concluded, while spec.suspend is true";
        return Report::new(status, Progress::ready(Reason::Suspended.as_str(), message));
    }
    let state = match known.state {
        ObjectiveState::Learning => SLOState::Learning,
        ObjectiveState::Healthy => SLOState::Healthy,
        ObjectiveState::Burning => SLOState::Burning,
        ObjectiveState::BurningFast => SLOState::BurningFast,
        ObjectiveState::Exhausted => SLOState::Exhausted,
    };
    let burns = matches!(state, SLOState::Burning | SLOState::BurningFast);
    let learned = state != SLOState::Learning;
    let percent = learned
        .then(|| steady_percent(known.remaining, before.and_then(|status| status.budget_remaining_percent)));
    let exhausts = known.exhausted_us.filter(|_| object.spec.predict_exhaustion && burns);
    let status = SLOStatus {
        state,
        budget_remaining_percent: percent,
        exhausts_at: exhausts
            .map(|at| steady_time(at, now, before.and_then(|status| status.exhausts_at.as_ref()))),
        ..SLOStatus::default()
    };
    let burning = known.burn.clone().unwrap_or_else(|| "A Ticket window burns".to_owned());
    let progress = if object.spec.health_gate && (burns || state == SLOState::Exhausted) {
        let message = if burns { burning.clone() } else { "No budget is left".to_owned() };
        Progress::Retrying { reason: Reason::BudgetBurning.as_str().to_owned(), message }
    } else {
        Progress::ready(Reason::Evaluated.as_str(), "Evaluated as its data comes")
    };
    let mut report = Report::new(status, progress)
        .condition(history(object, known))
        .condition(budget(state, percent))
        .condition(burn_rate(known, state, &burning, now))
        .requeue(again(now));
    if before.is_some_and(|status| status.state != state) && learned {
        let text = if burns { burning } else { format!("{} % of the budget is left", percent.unwrap_or(0)) };
        report = report.occurrence(Occurrence::normal(format!("{state:?}"), text));
    }
    report
}

/// How much of the period the data covers, in steps of a tenth.
fn history(object: &SLO, known: &ObjectiveReport) -> Statement {
    let name = ConditionType::HistorySufficient.as_str();
    if known.last_us.is_none() {
        let message = "No event of it has come yet: it is evaluated from the first one on";
        return Statement::new(name, false, Reason::NoData.as_str(), message);
    }
    let period = &object.spec.window.duration;
    let share = known.covered_us as f64 / 1e6 / period.get().as_secs_f64().max(1.0);
    if share >= 1.0 {
        let message = format!("Data covers {}", period.as_str());
        return Statement::new(name, true, Reason::Evaluated.as_str(), message);
    }
    let tenths = (share * 10.0).floor() * 10.0;
    let message = format!(
        "Data covers {tenths:.0} % of {}; the time before it counts as free of bad events",
        period.as_str()
    );
    Statement::new(name, false, Reason::Learning.as_str(), message)
}

fn budget(state: SLOState, percent: Option<i32>) -> Statement {
    let name = ConditionType::BudgetHealthy.as_str();
    let Some(percent) = percent else { return learning(name) };
    let left = format!("{percent} % of the budget is left");
    match state {
        SLOState::Exhausted => Statement::new(name, false, Reason::Exhausted.as_str(), "No budget is left"),
        _ if percent <= 0 => Statement::new(name, false, Reason::Exhausted.as_str(), left),
        _ => Statement::new(name, true, Reason::Healthy.as_str(), left),
    }
}

fn burn_rate(known: &ObjectiveReport, state: SLOState, burning: &str, now: Timestamp) -> Statement {
    let name = ConditionType::BurnRateHealthy.as_str();
    let silent = known.last_us.is_none_or(|last| last + known.quiet_us < now.as_microsecond());
    match state {
        SLOState::Learning => learning(name),
        _ if silent => {
            let message = "No event has come lately: nothing can be said";
            Statement::new(name, Truth::Unknown, Reason::NoData.as_str(), message)
        }
        SLOState::BurningFast => Statement::new(name, false, Reason::BurningFast.as_str(), burning),
        _ if known.ticket => Statement::new(name, false, Reason::Burning.as_str(), burning),
        _ => Statement::new(name, true, Reason::Healthy.as_str(), "No burn window burns"),
    }
}

fn learning(name: &'static str) -> Statement {
    let message = "There is less history than the shortest long window of spec.burn";
    Statement::new(name, Truth::Unknown, Reason::Learning.as_str(), message)
}

/// Whole percent, rounded down; the value before as long as it is off by less than a whole one, so that a budget at a
/// boundary causes no writes.
fn steady_percent(remaining: f64, before: Option<i32>) -> i32 {
    let exact = (remaining * 100.0).clamp(0.0, 100.0);
    let down = exact.floor() as i32;
    match before {
        // At 0 and 100 there is nothing to smooth: "gone" and "touched" are told at once.
        Some(before)
            if down > 0 && (1..100).contains(&before) && (exact - f64::from(before) - 0.5).abs() < 1.0 =>
        {
            before
        }
        _ => down,
    }
}

/// The time, rounded down to ten minutes; the one before as long as it is off by less than a tenth of what is left, or by
/// ten minutes.
fn steady_time(at_us: i64, now: Timestamp, before: Option<&Time>) -> Time {
    const STEP_US: i64 = 600_000_000;
    let left = (at_us - now.as_microsecond()).max(0);
    let known =
        before.filter(|before| (before.0.as_microsecond() - at_us).abs() <= (left / 10).max(2 * STEP_US));
    known.cloned().unwrap_or_else(|| stamp_us(at_us.div_euclid(STEP_US) * STEP_US))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_a_status_are_steady() {
        for (remaining, before, shown) in [
            (0.995, None, 99),
            (0.980_1, Some(97), 97),
            (0.979_9, Some(98), 98),
            (0.965, Some(98), 96),
            (1.0, None, 100),
            (0.998, Some(100), 99),
            (0.004, Some(1), 0),
            (-3.0, Some(50), 0),
        ] {
            assert_eq!(steady_percent(remaining, before), shown, "{remaining}");
        }
        let now = Timestamp::from_second(1_000_000).unwrap();
        let at = |seconds: i64| (1_000_000 + seconds) * 1_000_000;
        let first = steady_time(at(36_100), now, None);
        assert_eq!(first.0.as_second() % 600, 0);
        assert_eq!(steady_time(at(38_000), now, Some(&first)), first);
        assert_ne!(steady_time(at(60_000), now, Some(&first)), first);
    }
}

//! Baseline: the engine follows its series; the status says what they do, coarsely.

use std::sync::Arc;
use std::time::Duration;

use causeway_crds::baseline::{BaselineState, BaselineStatus, ForecastSummary, ModelSummary, ModelType};
use causeway_crds::{Baseline, ConditionType, Decimal, Reason};
use causeway_engine::{BaselineReport, BaselineState as EngineState, OutlookReport};
use causeway_kubekit::{ObjectKey, Occurrence, Progress, Report, Requeue, Statement, Truth};
use jiff::Timestamp;
use kube::ResourceExt;

use crate::declarations::Declarations;
use crate::mirrors::Mirrors;
use crate::observing::Observer;
use crate::ports::Engine;
use crate::series::series;
use crate::text::bounded;

/// How often the engine is asked.
const LOOK_AGAIN: Duration = Duration::from_secs(20);

pub(crate) struct Baselines {
    pub(crate) mirrors: Mirrors,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) declarations: Arc<Declarations>,
}

impl Observer for Baselines {
    type Kind = Baseline;
    const NAME: &'static str = "baseline";

    fn report(&self, object: &Baseline, now: Timestamp) -> Report<BaselineStatus> {
        self.declarations.tell();
        let (namespace, service) = (object.namespace().unwrap_or_default(), &object.spec.service_ref.name);
        let refused = |progress| Report::new(BaselineStatus::default(), progress);
        let Some(found) = self.mirrors.services.get(&ObjectKey::namespaced(&namespace, service)) else {
            return refused(service_progress(&self.mirrors, &namespace, service));
        };
        if let Err((reason, message)) = series(object, &found) {
            return refused(Progress::stalled(reason.as_str(), message));
        }
        if object.spec.suspend {
            let status = BaselineStatus { state: BaselineState::Suspended, ..BaselineStatus::default() };
            let message = "Nothing is followed while spec.suspend is true";
            return Report::new(status, Progress::ready(Reason::Suspended.as_str(), message));
        }
        let known = self.engine.baseline(&namespace, &object.name_any()).unwrap_or_default();
        followed(object, &known, now)
    }

    fn forget(&self, _object: &Baseline) {
        self.declarations.tell();
    }
}

fn followed(object: &Baseline, known: &BaselineReport, now: Timestamp) -> Report<BaselineStatus> {
    let silent = known.last_us.is_some_and(|last| last + known.quiet_us < now.as_microsecond());
    let state = match known.state {
        EngineState::Learning => BaselineState::Learning,
        EngineState::Deviating => BaselineState::Deviating,
        EngineState::NoData => BaselineState::NoData,
        EngineState::WithinBand if silent => BaselineState::NoData,
        EngineState::WithinBand => BaselineState::WithinBand,
    };
    let learned = state != BaselineState::Learning;
    let status = BaselineStatus {
        model: learned.then(|| ModelSummary {
            r#type: object.spec.model.r#type,
            periods: Vec::new(),
            trained_at: None,
            history_used: None,
        }),
        learned_percent: (known.learned * 100.0).clamp(0.0, 100.0) as i32,
        series_tracked: i32::try_from(known.tracked).unwrap_or(i32::MAX),
        state,
        forecast: known.outlook.as_ref().map(forecast_summary),
        ..BaselineStatus::default()
    };
    let message = match known.tracked {
        0 => "No series of it has come yet".to_owned(),
        1 => "1 series".to_owned(),
        n => format!("{n} series"),
    };
    let percent = status.learned_percent;
    let progress = match &known.unanswered {
        Some(problem) => query_failed(problem),
        None => Progress::ready(Reason::Evaluating.as_str(), message),
    };
    let mut report = Report::new(status, progress)
        .condition(flowing(known, silent))
        .condition(model_ready(object, learned, percent))
        .condition(within(known, state))
        .condition(within_limits(object, known))
        .requeue(now.checked_add(LOOK_AGAIN).map_or(Requeue::OnChange, Requeue::At));
    if object.spec.forecast.is_some() {
        let outlook = known.outlook.clone().unwrap_or_default();
        report = report.condition(forecast_healthy(&outlook));
        let before = object.status.as_ref().and_then(|before| before.forecast.as_ref()?.crosses_by.as_ref());
        if let (None, Some((_, words))) = (before, &outlook.next) {
            report = report.occurrence(Occurrence::normal("Predicted", words.clone()));
        }
    }
    if object.status.as_ref().is_some_and(|before| before.state != state) && state == BaselineState::Deviating
    {
        report = report.occurrence(Occurrence::normal("Deviating", known.deviating.join("; ")));
    }
    report
}

fn forecast_healthy(outlook: &OutlookReport) -> Statement {
    let name = ConditionType::ForecastHealthy.as_str();
    match &outlook.next {
        Some((_, words)) => Statement::new(name, false, Reason::CrossingAhead.as_str(), words.clone()),
        None if outlook.ready => {
            let message = "No crossing is probable enough within the horizon";
            Statement::new(name, true, Reason::NoCrossing.as_str(), message)
        }
        None => {
            let message = "There is too little history to look ahead";
            Statement::new(name, Truth::Unknown, Reason::Learning.as_str(), message)
        }
    }
}

fn forecast_summary(outlook: &OutlookReport) -> ForecastSummary {
    let count = |n: u64| i32::try_from(n).unwrap_or(i32::MAX);
    let next = outlook.next.as_ref().map(|(foretold, _)| foretold);
    ForecastSummary {
        series: next
            .map(|foretold| bounded(&format!("{}/{}", foretold.series.entity, foretold.series.signal), 512)),
        crosses_by: next
            .and_then(|foretold| Timestamp::from_microsecond(foretold.deadline_us).ok())
            .map(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time),
        probability: next.map(|foretold| Decimal::from_f64(foretold.probability, 2)),
        hits: count(outlook.graded.hits),
        misses: count(outlook.graded.misses),
        prevented: count(outlook.graded.prevented),
        unknown: count(outlook.graded.unknown),
        unforeseen: count(outlook.graded.unforeseen),
        brier: outlook.brier.map(|brier| Decimal::from_f64(brier, 2)),
    }
}

fn flowing(known: &BaselineReport, silent: bool) -> Statement {
    let name = ConditionType::DataFlowing.as_str();
    if known.last_us.is_none() {
        let message = "No series of it has come yet: is it sent, under that name, by that service?";
        return Statement::new(name, Truth::Unknown, Reason::Waiting.as_str(), message);
    }
    if silent || known.state == EngineState::NoData {
        let message = "Values came, and come no longer";
        return Statement::new(name, false, Reason::NoData.as_str(), message);
    }
    Statement::new(name, true, Reason::Flowing.as_str(), "Values come")
}

/// What is asked of the lake is asked again, so that this may pass; what people wrote may also be wrong.
pub(crate) fn query_failed(problem: &str) -> Progress {
    Progress::Retrying {
        reason: Reason::QueryFailed.as_str().to_owned(),
        message: bounded(&format!("The lake can't answer: {problem}"), 1024),
    }
}

/// Whether every series is followed. Coarse, so that series that come and go make no news.
fn within_limits(object: &Baseline, known: &BaselineReport) -> Statement {
    let name = ConditionType::WithinLimits.as_str();
    let series = &object.spec.series;
    let limit = [
        series.log_pattern.as_ref().map(|pattern| pattern.max_series),
        series.metric.as_ref().map(|metric| metric.max_series),
        series.log_query.as_ref().map(|query| query.max_series),
        series.query.as_ref().map(|query| query.max_series),
    ];
    let Some(limit) = limit.into_iter().flatten().next() else {
        return Statement::new(name, true, Reason::WithinLimits.as_str(), "Every series is followed");
    };
    if known.left_out == 0 {
        let message = format!("Every series is followed, of at most {limit}");
        return Statement::new(name, true, Reason::WithinLimits.as_str(), message);
    }
    let message = format!(
        "More than {limit} series came within a day: those that came first are followed, the others are not: raise \
         maxSeries, or group by fewer attributes"
    );
    Statement::new(name, false, Reason::LimitExceeded.as_str(), message)
}

fn model_ready(object: &Baseline, learned: bool, percent: i32) -> Statement {
    let name = ConditionType::ModelReady.as_str();
    match (learned, object.spec.model.r#type) {
        (false, _) => {
            let message = format!("{percent} % of the minimum history is there: nothing is raised yet");
            Statement::new(name, false, Reason::Learning.as_str(), message)
        }
        (true, ModelType::Static) => {
            Statement::new(name, true, Reason::Trained.as_str(), "The bounds are given: nothing is learned")
        }
        (true, _) => Statement::new(name, true, Reason::Trained.as_str(), "The band follows what it learned"),
    }
}

fn within(known: &BaselineReport, state: BaselineState) -> Statement {
    let name = ConditionType::WithinBand.as_str();
    let unknown = |reason: Reason, message| Statement::new(name, Truth::Unknown, reason.as_str(), message);
    match state {
        BaselineState::Learning => unknown(Reason::Learning, "There is no band yet"),
        BaselineState::NoData => unknown(Reason::NoData, "Data is missing: nothing can be said"),
        BaselineState::Deviating => {
            Statement::new(name, false, Reason::Deviating.as_str(), known.deviating.join("; "))
        }
        _ => {
            let message = match (known.tracked, &known.band) {
                (0 | 1, Some(band)) => format!("Normal is {band}"),
                (0 | 1, None) => "Within the band".to_owned(),
                (n, _) => format!("All of {n} series are within their bands"),
            };
            Statement::new(name, true, Reason::WithinBand.as_str(), message)
        }
    }
}

/// Ready when the MonitoredService that a spec names exists.
pub(crate) fn service_progress(mirrors: &Mirrors, namespace: &str, service: &str) -> Progress {
    if mirrors.services.get(&ObjectKey::namespaced(namespace, service)).is_some() {
        return Progress::ready(
            Reason::Reconciled.as_str(),
            format!("Valid, for MonitoredService {namespace}/{service}"),
        );
    }
    Progress::Retrying {
        reason: Reason::DependencyMissing.as_str().to_owned(),
        message: format!(
            "MonitoredService {namespace}/{service} does not exist: create it, or correct spec.serviceRef.name"
        ),
    }
}

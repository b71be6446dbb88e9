//! From the spec of an SLO to what the engine follows.

use causeway_crds::baseline::GoldenSignal;
use causeway_crds::slo::{
    BurnSeverity, EventSource as SourceSpec, RatioIndicator, ThresholdIndicator, Timeslices as TimeslicesSpec,
};
use causeway_crds::{MonitoredService, Reason, SLO};
use causeway_engine::burn::{BurnRule, Objective, Severity};
use causeway_engine::{EventSource, Indicator, Labels, ObjectiveConfig, Question, Timeslices};
use kube::ResourceExt;

use crate::question;
use crate::services::entities;

/// Length of the engine's windows, seconds: a stretch of time is made of whole ones.
const WINDOW: f64 = 10.0;
const HOUR: f64 = 3_600.0;
const DAY: f64 = 86_400.0;

/// Why a spec can't be followed: reason and message.
pub(crate) type Refusal = (Reason, String);

/// What the engine follows for `slo` of `service`.
///
/// # Errors
/// What this version does not evaluate, or what can't be meant, and what to write instead.
pub(crate) fn objective(slo: &SLO, service: &MonitoredService) -> Result<ObjectiveConfig, Refusal> {
    let spec = &slo.spec;
    let window = spec.window.duration.get().as_secs_f64();
    if !(HOUR..=366.0 * DAY).contains(&window) {
        return invalid("spec.window.duration must be 1h to 366d".to_owned());
    }
    let target = Objective::new(spec.target.to_f64(), window)
        .map_err(|error| (Reason::InvalidSpec, format!("spec.target: {error}")))?;
    let indicator = match (&spec.indicator.ratio, &spec.indicator.threshold) {
        (Some(ratio), _) => of_ratio(ratio)?,
        (None, Some(threshold)) => of_threshold(threshold, service)?,
        (None, None) => return invalid("spec.indicator names neither a ratio nor a threshold".to_owned()),
    };
    Ok(ObjectiveConfig {
        namespace: slo.namespace().unwrap_or_default(),
        name: slo.name_any(),
        entities: entities(service),
        indicator,
        timeslices: spec.timeslices.as_ref().map(of_timeslices).transpose()?,
        rules: rules(slo, &target)?,
        target,
        minimum_bad: f64::from(spec.minimum_bad_events),
        suspended: spec.suspend,
    })
}

fn invalid<T>(message: String) -> Result<T, Refusal> {
    Err((Reason::InvalidSpec, message))
}

fn not_supported<T>(message: &str) -> Result<T, Refusal> {
    Err((Reason::NotSupported, message.to_owned()))
}

fn of_ratio(ratio: &RatioIndicator) -> Result<Indicator, Refusal> {
    let total = source(&ratio.total, "total")?;
    match (&ratio.bad, &ratio.good) {
        (Some(bad), _) => Ok(Indicator::BadRatio { bad: source(bad, "bad")?, total }),
        (None, Some(good)) => Ok(Indicator::GoodRatio { good: source(good, "good")?, total }),
        (None, None) => invalid("spec.indicator.ratio names neither good nor bad".to_owned()),
    }
}

fn source(spec: &SourceSpec, field: &str) -> Result<EventSource, Refusal> {
    match (&spec.signal, &spec.metric, &spec.logs) {
        (Some(GoldenSignal::Traffic), _, _) => Ok(EventSource::Requests),
        (Some(GoldenSignal::Errors), _, _) => Ok(EventSource::Errors),
        (Some(GoldenSignal::Latency | GoldenSignal::Saturation), _, _) => invalid(format!(
            "spec.indicator.ratio.{field}: Latency and Saturation are no events: name Traffic or Errors, or use a \
             Threshold of Latency"
        )),
        (None, Some(metric), _) => {
            let labels = Labels::parse(metric.labels.as_deref().unwrap_or_default()).map_err(|error| {
                (Reason::InvalidSpec, format!("spec.indicator.ratio.{field}.metric.labels: {error}"))
            })?;
            Ok(EventSource::Metric { name: metric.name.clone(), labels })
        }
        (None, None, Some(logs)) => {
            let path = format!("spec.indicator.ratio.{field}.logs.query");
            Ok(EventSource::Query(question::events(&logs.query, &path)?))
        }
        (None, None, None) => invalid(format!("spec.indicator.ratio.{field} names nothing to count")),
    }
}

fn of_threshold(threshold: &ThresholdIndicator, service: &MonitoredService) -> Result<Indicator, Refusal> {
    let below = threshold.below.to_f64();
    let counted = |[bad, total]: [Question; 2]| Indicator::BadRatio {
        bad: EventSource::Query(bad),
        total: EventSource::Query(total),
    };
    if let Some(metric) = &threshold.metric {
        let labels = Labels::parse(metric.labels.as_deref().unwrap_or_default()).map_err(|error| {
            (Reason::InvalidSpec, format!("spec.indicator.threshold.metric.labels: {error}"))
        })?;
        return Ok(counted(question::levels(&metric.name, &labels, below, service)));
    }
    if let Some(logs) = &threshold.logs {
        let path = "spec.indicator.threshold.logs.query";
        return Ok(counted(question::log_numbers(&logs.query, &logs.value, below, path)?));
    }
    match threshold.signal {
        Some(GoldenSignal::Latency) if below > 0.0 => Ok(Indicator::SlowerThan { seconds: below / 1e3 }),
        Some(GoldenSignal::Latency) => {
            invalid("spec.indicator.threshold.below is in milliseconds, and must be above 0".to_owned())
        }
        Some(GoldenSignal::Errors) => not_supported(
            "spec.indicator.threshold: of the signals Latency has a value an event: write a Ratio of bad Errors to \
             total Traffic, with budgeting Timeslices if stretches of time are meant",
        ),
        Some(GoldenSignal::Traffic | GoldenSignal::Saturation) => not_supported(
            "spec.indicator.threshold: of the signals Latency has a value an event: name the metric, write a Ratio \
             of two Metric counters, or a Baseline with Static bounds",
        ),
        None => invalid("spec.indicator.threshold names neither signal, metric nor logs".to_owned()),
    }
}

fn of_timeslices(spec: &TimeslicesSpec) -> Result<Timeslices, Refusal> {
    let (size, target) = (spec.size.get().as_secs_f64(), spec.target.to_f64());
    if !(WINDOW..=DAY).contains(&size) || size % WINDOW != 0.0 {
        return invalid("spec.timeslices.size must be a multiple of 10s, at most 24h".to_owned());
    }
    if !(target > 0.0 && target <= 100.0) {
        return invalid("spec.timeslices.target must be a percentage above 0, at most 100".to_owned());
    }
    Ok(Timeslices { size_us: (size * 1e6) as i64, target })
}

fn rules(slo: &SLO, target: &Objective) -> Result<Vec<BurnRule>, Refusal> {
    let written = slo.spec.burn.iter().map(|burn| BurnRule {
        severity: match burn.severity {
            BurnSeverity::Page => Severity::Page,
            BurnSeverity::Ticket => Severity::Ticket,
        },
        rate: burn.rate.to_f64(),
        long: burn.long.get().as_secs_f64(),
        short: burn.short.get().as_secs_f64(),
    });
    let mut rules: Vec<BurnRule> = written.collect();
    let own = !rules.is_empty();
    if !own {
        rules = BurnRule::workbook().to_vec();
        // Of a short period the pairs that fit it.
        rules.retain(|rule| rule.long <= target.window());
    }
    for (index, rule) in rules.iter().enumerate() {
        let field = if own { format!("spec.burn[{index}]") } else { "spec.burn (by default)".to_owned() };
        if rule.short < 60.0 || rule.long > target.window() {
            return invalid(format!("{field}: short must be at least 1m, long at most spec.window.duration"));
        }
        let needed = rule.rate * target.budget();
        if needed > 1.0 {
            return invalid(format!(
                "{field} never holds: a rate of {} at a target of {} % wants {:.0} % of all events to be bad: lower \
                 the rate",
                rule.rate,
                slo.spec.target,
                needed * 100.0
            ));
        }
    }
    Ok(rules)
}

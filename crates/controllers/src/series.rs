//! From the spec of a Baseline to what the engine follows.

use causeway_crds::baseline::{
    BaselineSpec, Direction as DirectionSpec, GoldenSignal, MissingData as MissingSpec, ModelType, RaiseIf,
    Sensitivity as SensitivitySpec,
};
use causeway_crds::{Baseline, DurationText, MonitoredService, Reason};
use causeway_engine::{
    BaselineConfig, Direction, MissingData, ModelKind, OutlookConfig, Selector, Sensitivity, WindowRule,
};
use kube::ResourceExt;

use crate::objective::Refusal;
use crate::question;
use crate::services::entities;

/// Length of the engine's windows, seconds: a point is made of whole ones.
const WINDOW: f64 = 10.0;
/// Probability that a crossing must have where none is asked for.
const LIKELY: f64 = 0.8;
/// Longest point, seconds.
const LONGEST: f64 = 3_600.0;
/// How much of the past is learned from at most, seconds.
const FARTHEST: f64 = 92.0 * 86_400.0;

/// What the engine follows for `baseline` of `service`.
///
/// # Errors
/// What this version does not evaluate, or what can't be meant, and what to write instead.
pub(crate) fn series(baseline: &Baseline, service: &MonitoredService) -> Result<BaselineConfig, Refusal> {
    let spec = &baseline.spec;
    let (selector, max_series, group_by) = selector(baseline, service)?;
    let resolution = spec.window.resolution.get().as_secs_f64();
    if !(WINDOW..=LONGEST).contains(&resolution) || resolution % WINDOW != 0.0 {
        return invalid("spec.window.resolution must be a multiple of 10s, at most 1h");
    }
    let size = (spec.window.size.get().as_secs_f64() / resolution).floor();
    if !(1.0..=1000.0).contains(&size) {
        return invalid("spec.window.size must hold 1 to 1000 points of spec.window.resolution");
    }
    let violating = u16::try_from(spec.window.violating).unwrap_or(u16::MAX);
    let clearing = u16::try_from(spec.window.clearing).unwrap_or(u16::MAX);
    let rule = WindowRule { violating, clearing, size: size as u16 }
        .validate()
        .map_err(|error| (Reason::InvalidSpec, format!("spec.window: {error}")))?;
    let delay = spec.window.delay.get().as_secs_f64();
    if delay > LONGEST {
        return invalid("spec.window.delay must be at most 1h");
    }
    let history = spec.training.as_ref().map_or(0.0, |training| training.history.get().as_secs_f64());
    if history > FARTHEST {
        return invalid("spec.training.history must be at most 92d");
    }
    let minimum = spec.training.as_ref().map_or(0.0, |training| training.minimum.get().as_secs_f64());
    Ok(BaselineConfig {
        namespace: baseline.namespace().unwrap_or_default(),
        name: baseline.name_any(),
        entities: entities(service),
        model: model(spec, &selector)?,
        selector,
        max_series,
        direction: match spec.model.direction {
            DirectionSpec::Above => Direction::Above,
            DirectionSpec::Below => Direction::Below,
            DirectionSpec::Both => Direction::Both,
        },
        sensitivity: match spec.model.sensitivity {
            SensitivitySpec::Low => Sensitivity::Low,
            SensitivitySpec::Medium => Sensitivity::Medium,
            SensitivitySpec::High => Sensitivity::High,
        },
        resolution_us: (resolution * 1e6) as i64,
        rule,
        missing: match spec.missing_data {
            MissingSpec::Ignore => MissingData::Ignore,
            MissingSpec::Violate => MissingData::Violate,
        },
        minimum_events: f64::from(spec.minimum_events),
        minimum_history_us: (minimum * 1e6) as i64,
        suspended: spec.suspend,
        outlook: outlook(spec)?,
        group_by,
        delay_us: (delay * 1e6) as i64,
        history_us: (history * 1e6) as i64,
    })
}

/// What of the future is worth telling: what `raiseIf` says, else the crossing of a Static bound.
fn outlook(spec: &BaselineSpec) -> Result<Option<OutlookConfig>, Refusal> {
    let Some(forecast) = &spec.forecast else { return Ok(None) };
    let number = causeway_actions::Decimal::to_f64;
    let model = &spec.model;
    let (threshold, direction) = match &forecast.raise_if {
        Some(RaiseIf { above: Some(above), .. }) => (above, Direction::Above),
        Some(RaiseIf { below: Some(below), .. }) => (below, Direction::Below),
        _ => match (model.r#type, &model.upper, &model.lower, model.direction) {
            (ModelType::Static, Some(upper), _, DirectionSpec::Above | DirectionSpec::Both) => {
                (upper, Direction::Above)
            }
            (ModelType::Static, _, Some(lower), DirectionSpec::Below | DirectionSpec::Both) => {
                (lower, Direction::Below)
            }
            _ => {
                return invalid(
                    "spec.forecast needs raiseIf, with above or below: a learned model has no bound",
                );
            }
        },
    };
    let latency = spec.series.trace.as_ref().is_some_and(|trace| trace.signal == GoldenSignal::Latency);
    let unit = if latency { 1e-3 } else { 1.0 };
    let raise_if = forecast.raise_if.as_ref();
    let microseconds = |text: &DurationText| (text.get().as_secs_f64() * 1e6) as i64;
    Ok(Some(OutlookConfig {
        horizon_us: microseconds(&forecast.horizon),
        threshold: number(threshold) * unit,
        direction,
        probability: raise_if.map_or(LIKELY, |raise_if| number(&raise_if.probability)),
        lead_us: raise_if.map_or(0, |raise_if| microseconds(&raise_if.lead_time)),
    }))
}

fn invalid<T>(message: &str) -> Result<T, Refusal> {
    Err((Reason::InvalidSpec, message.to_owned()))
}

/// Which series, how many at most, and the attributes of a metric that make one each.
fn selector(
    baseline: &Baseline,
    service: &MonitoredService,
) -> Result<(Selector, usize, Vec<String>), Refusal> {
    let limit = |given: i32| usize::try_from(given).unwrap_or(1).clamp(1, 500);
    let series = &baseline.spec.series;
    if let Some(trace) = &series.trace {
        let selector = match trace.signal {
            GoldenSignal::Latency => Selector::Latency,
            GoldenSignal::Errors => Selector::Errors,
            GoldenSignal::Traffic => Selector::Traffic,
            GoldenSignal::Saturation => {
                return Err((
                    Reason::NotSupported,
                    "spec.series.trace: traces do not show Saturation: name the Metric that shows how full the \
                     service is"
                        .to_owned(),
                ));
            }
        };
        // One entity by each of its two names.
        return Ok((selector, 2, Vec::new()));
    }
    if let Some(metric) = &series.metric {
        return Ok((
            Selector::Metric(metric.name.clone()),
            limit(metric.max_series),
            metric.group_by.clone(),
        ));
    }
    let (selector, max_series) = if let Some(pattern) = &series.log_pattern {
        let is_plain = pattern.group_by.is_empty() && pattern.number.is_none();
        let selector = if is_plain {
            Selector::LogPattern(pattern.contains.clone())
        } else {
            Selector::Query(question::of_pattern(pattern, service)?)
        };
        (selector, pattern.max_series)
    } else if let Some(query) = &series.log_query {
        (Selector::Query(question::of_logs(query)?), query.max_series)
    } else if let Some(query) = &series.query {
        (Selector::Query(question::of_sql(query, &baseline.name_any())?), query.max_series)
    } else {
        return invalid("spec.series names no series");
    };
    Ok((selector, limit(max_series), Vec::new()))
}

fn model(spec: &BaselineSpec, selector: &Selector) -> Result<ModelKind, Refusal> {
    let bound = |given: &Option<causeway_actions::Decimal>| {
        let given = given.as_ref().map(causeway_actions::Decimal::to_f64);
        // People write milliseconds.
        given.map(|bound| if *selector == Selector::Latency { bound / 1e3 } else { bound })
    };
    Ok(match spec.model.r#type {
        ModelType::Auto => ModelKind::Auto,
        ModelType::Adaptive => ModelKind::Adaptive,
        ModelType::Seasonal => ModelKind::Seasonal,
        ModelType::Static => {
            let (lower, upper) = (bound(&spec.model.lower), bound(&spec.model.upper));
            let idle = match spec.model.direction {
                DirectionSpec::Above => upper.is_none(),
                DirectionSpec::Below => lower.is_none(),
                DirectionSpec::Both => lower.is_none() && upper.is_none(),
            };
            if idle {
                return invalid(
                    "spec.model: no bound on the side that counts: Above needs upper, Below needs lower, Both either",
                );
            }
            ModelKind::Static { lower, upper }
        }
    })
}

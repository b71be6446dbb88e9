//! Rules of Prometheus: burn rates become objectives, simple bounds become Baselines.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use causeway_actions::Decimal;
use causeway_remediate::DurationText;
use regex::Regex;
use serde_json::Value;

use super::promql::{Counter, counter as understood, split};
use super::sloth::note_left_out;
use super::{
    Imported, Place, burn, counter, kubernetes_name, objective, plain, ratio, shifted, text, window,
};
use crate::baseline::{
    BaselineSpec, Direction, MetricSeries, MissingData, ModelSpec, ModelType, SeriesSpec, SeriesType,
    WindowSpec,
};
use crate::reference::LocalRef;
use crate::slo::{BurnSeverity, BurnWindow};
use crate::{Baseline, SLO};

/// `something > (14.4 * 0.001)`, in all the ways that it is written.
static BURN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^(.*?)\s*>=?\s*\(?\s*([0-9.]+)\s*\*\s*\(?\s*([0-9.]+)\s*(?:-\s*([0-9.]+))?\s*\)?\s*\)?$")
        .ok()
});
/// `something > 90`.
static BOUND: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^(.*?)\s*(>=|<=|>|<)\s*(-?[0-9][0-9.]*)$").ok());

/// Two counters of which one is divided by the other, and the range over which.
#[derive(Clone, Debug)]
struct Ratio {
    bad: Counter,
    total: Counter,
    range: String,
}

/// An objective while its rules are gathered.
struct Gathered {
    name: String,
    ratio: Ratio,
    target: Decimal,
    burn: Vec<BurnWindow>,
    service: Option<String>,
    summary: Option<String>,
}

/// Rules of rule files and of the custom resource; `None` when there are none.
pub(super) fn import(documents: &[Value], place: &Place) -> Option<Imported> {
    let mut imported = Imported::default();
    let mut any = false;
    for document in documents {
        let spec = if text(document, "/kind") == Some("PrometheusRule") {
            document.get("spec")
        } else {
            Some(document)
        };
        let Some(groups) = spec.and_then(|spec| spec.get("groups")).and_then(Value::as_array) else {
            continue;
        };
        any = true;
        let own = text(document, "/metadata/namespace").map(str::to_owned);
        let place = Place { namespace: place.namespace.clone().or(own), ..place.clone() };
        let rules = groups.iter().filter_map(|group| group.get("rules").and_then(Value::as_array)).flatten();
        let rules: Vec<&Value> = rules.collect();
        let records: BTreeMap<&str, Ratio> = rules
            .iter()
            .filter_map(|rule| Some((text(rule, "/record")?, divided(text(rule, "/expr")?)?)))
            .collect();
        let mut gathered: Vec<Gathered> = Vec::new();
        for rule in &rules {
            let (Some(name), Some(expr)) = (text(rule, "/alert"), text(rule, "/expr")) else { continue };
            match burning(expr, &records) {
                Some(found) => gather(rule, name, found, &mut gathered),
                None => match bound(rule, name, expr, &place, &mut imported) {
                    Ok(baseline) => imported.baselines.push(baseline),
                    Err(words) => imported.note(name, words),
                },
            }
        }
        gathered.into_iter().for_each(|one| made(one, &place, &mut imported));
    }
    any.then_some(imported)
}

/// `sum(rate(bad[1h])) / sum(rate(total[1h]))`.
fn divided(expr: &str) -> Option<Ratio> {
    let expr = expr.replace(['\n', '\r'], " ");
    let expr = outer(&expr);
    let [bad, total] = split(expr, "/")[..] else { return None };
    let (bad, total) = (understood(bad).ok()?, understood(total).ok()?);
    let range = bad.range.clone()?;
    (total.range.as_ref() == Some(&range)).then_some(Ratio { bad, total, range })
}

/// Without parentheses around the whole.
fn outer(expr: &str) -> &str {
    let mut expr = expr.trim();
    while let Some(inner) = expr.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        if !super::promql::is_balanced(inner) {
            break;
        }
        expr = inner.trim();
    }
    expr
}

/// A ratio with its rate, and the budget that this is a multiple of.
struct Burning {
    ratio: Ratio,
    /// Rate, long range, short range.
    pairs: Vec<(String, String, String)>,
    budget: String,
}

/// Pairs of long and short windows, joined by `and`, alternatives by `or`.
fn burning(expr: &str, records: &BTreeMap<&str, Ratio>) -> Option<Burning> {
    let expr = expr.replace(['\n', '\r'], " ");
    let mut found: Option<Burning> = None;
    for alternative in split(outer(&expr), "or") {
        let [long, short] = split(outer(alternative), "and")[..] else { return None };
        let (long, short) = (compared(long, records)?, compared(short, records)?);
        if long.1 != short.1 || long.2 != short.2 {
            return None;
        }
        let seconds = |range: &str| DurationText::parse(range).ok().map(|text| text.get());
        let (long, short) =
            if seconds(&long.0.range)? < seconds(&short.0.range)? { (short, long) } else { (long, short) };
        let pair = (long.1, long.0.range.clone(), short.0.range.clone());
        match &mut found {
            Some(known) => known.pairs.push(pair),
            None => found = Some(Burning { ratio: long.0, pairs: vec![pair], budget: long.2 }),
        }
    }
    found
}

/// A ratio, the rate and the budget of `ratio > (rate * budget)`.
fn compared(expr: &str, records: &BTreeMap<&str, Ratio>) -> Option<(Ratio, String, String)> {
    let found = BURN.as_ref()?.captures(outer(expr))?;
    let part = |index: usize| found.get(index).map(|part| part.as_str());
    let left = outer(part(1)?);
    let name = left.split('{').next().unwrap_or_default().trim();
    let ratio = records.get(name).cloned().or_else(|| divided(left))?;
    let budget = match part(4) {
        None => part(3)?.to_owned(),
        // `1 - 0.999`
        Some(target) => difference(part(3)?, target)?,
    };
    Some((ratio, part(2)?.to_owned(), budget))
}

/// `1 - 0.999` without the noise of binary fractions.
fn difference(from: &str, less: &str) -> Option<String> {
    let (from, less): (f64, f64) = (from.parse().ok()?, less.parse().ok()?);
    let text = format!("{:.9}", from - less);
    Some(text.trim_end_matches('0').trim_end_matches('.').to_owned())
}

fn gather(rule: &Value, name: &str, found: Burning, gathered: &mut Vec<Gathered>) {
    let severity = match text(rule, "/labels/severity").unwrap_or("page").to_lowercase().as_str() {
        "ticket" | "warning" | "info" | "low" => BurnSeverity::Ticket,
        _ => BurnSeverity::Page,
    };
    // What is left of a hundred percent.
    let share = difference("1", &found.budget).unwrap_or_default();
    let Some(target) = shifted(&plain(&share), 2) else { return };
    let windows = found.pairs.iter().filter_map(|(rate, long, short)| burn(severity, rate, long, short));
    let windows: Vec<BurnWindow> = windows.collect();
    let same = |known: &&mut Gathered| {
        known.ratio.bad.name == found.ratio.bad.name
            && known.ratio.bad.labels == found.ratio.bad.labels
            && known.ratio.total.name == found.ratio.total.name
            && known.target == target
    };
    if let Some(known) = gathered.iter_mut().find(same) {
        known.burn.extend(windows);
        return;
    }
    let label = |key: &str| text(rule, &format!("/labels/{key}")).map(str::to_owned);
    let own = found.ratio.total.service.clone();
    gathered.push(Gathered {
        name: name.to_owned(),
        service: label("service").or_else(|| label("job")).or(own),
        summary: text(rule, "/annotations/summary")
            .or_else(|| text(rule, "/annotations/description"))
            .map(str::to_owned),
        ratio: found.ratio,
        target,
        burn: windows,
    });
}

fn made(one: Gathered, place: &Place, imported: &mut Imported) {
    let Gathered { name, ratio: Ratio { bad, total, .. }, target, burn, service, summary } = one;
    let Some(service) = place.service.clone().or(service) else {
        imported.note(&name, "it names no service: say which with --service. Not made");
        return;
    };
    note_left_out(&name, &service, &[&bad, &total], imported);
    imported.note(&name, "rules have no period: 28d is assumed");
    let mut spec = objective(&service, target, ratio(None, Some(counter(bad)), counter(total)));
    spec.window = window(DurationText::from_secs(28 * 86_400));
    spec.description = summary;
    // Windows that the objective could not hold are refused by the API server, so they are told here.
    spec.burn = burn.into_iter().take(8).collect();
    let mut slo = SLO::new(&kubernetes_name(&name), spec);
    slo.metadata.namespace.clone_from(&place.namespace);
    imported.slos.push(slo);
}

/// A Baseline of `metric > bound`.
fn bound(
    rule: &Value,
    name: &str,
    expr: &str,
    place: &Place,
    imported: &mut Imported,
) -> Result<Baseline, String> {
    let flat = expr.replace(['\n', '\r'], " ");
    let unknown = || {
        "its expression is neither a burn rate nor a metric with a bound: write a Baseline or an SLO of what it means. \
         Not made"
            .to_owned()
    };
    let found = BOUND.as_ref().and_then(|bound| bound.captures(outer(&flat))).ok_or_else(unknown)?;
    let part = |index: usize| found.get(index).map(|part| part.as_str()).unwrap_or_default();
    let counted = part(1).contains('(');
    let metric = understood(part(1)).map_err(|_| unknown())?;
    if counted {
        return Err(format!(
            "it bounds the rate of {}: write a Baseline of that Metric with a bound for the increase in a point. Not made",
            metric.name
        ));
    }
    let label = |key: &str| text(rule, &format!("/labels/{key}")).map(str::to_owned);
    let service = place.service.clone().or_else(|| metric.service.clone()).or_else(|| label("service"));
    let service = service.ok_or("it names no service: say which with --service. Not made")?;
    if let Some(labels) = &metric.labels {
        let words = format!("{{{labels}}} is not carried over: every series of {} is followed", metric.name);
        imported.note(name, words);
    }
    note_left_out(name, &service, &[&metric], imported);
    let limit = Decimal::parse(part(3)).map_err(|error| format!("{error}: not made"))?;
    let above = part(2).starts_with('>');
    let mut spec_window = WindowSpec::default();
    if let Some(waits) = text(rule, "/for").and_then(|text| DurationText::parse(text).ok()) {
        let minutes = (waits.get().as_secs() / 60).clamp(1, 1000);
        spec_window.size = DurationText::from_secs(minutes * 60);
        spec_window.violating = i32::try_from(minutes).unwrap_or(1);
    } else {
        spec_window.size = DurationText::from_secs(60);
        spec_window.violating = 1;
    }
    let spec = BaselineSpec {
        service_ref: LocalRef { name: kubernetes_name(&service) },
        series: SeriesSpec {
            r#type: SeriesType::Metric,
            log_pattern: None,
            metric: Some(MetricSeries { name: metric.name, group_by: Vec::new(), max_series: 50 }),
            trace: None,
            log_query: None,
            query: None,
        },
        model: ModelSpec {
            r#type: ModelType::Static,
            direction: if above { Direction::Above } else { Direction::Below },
            upper: above.then(|| limit.clone()),
            lower: (!above).then_some(limit),
            ..ModelSpec::default()
        },
        window: spec_window,
        missing_data: MissingData::Ignore,
        minimum_events: 0,
        training: None,
        forecast: None,
        suspend: false,
    };
    let mut baseline = Baseline::new(&kubernetes_name(name), spec);
    baseline.metadata.namespace.clone_from(&place.namespace);
    Ok(baseline)
}

#[cfg(test)]
mod tests {
    use super::super::{Format, import};
    use super::*;

    const RULES: &str = r#"
groups:
  - name: checkout
    rules:
      - record: job:errors:ratio_rate1h
        expr: sum(rate(http_requests_total{job="checkout",code=~"5.."}[1h])) / sum(rate(http_requests_total{job="checkout"}[1h]))
      - record: job:errors:ratio_rate5m
        expr: sum(rate(http_requests_total{job="checkout",code=~"5.."}[5m])) / sum(rate(http_requests_total{job="checkout"}[5m]))
      - record: job:errors:ratio_rate6h
        expr: sum(rate(http_requests_total{job="checkout",code=~"5.."}[6h])) / sum(rate(http_requests_total{job="checkout"}[6h]))
      - record: job:errors:ratio_rate30m
        expr: sum(rate(http_requests_total{job="checkout",code=~"5.."}[30m])) / sum(rate(http_requests_total{job="checkout"}[30m]))
      - record: job:errors:ratio_rate3d
        expr: sum(rate(http_requests_total{job="checkout",code=~"5.."}[3d])) / sum(rate(http_requests_total{job="checkout"}[3d]))
      - alert: CheckoutBudgetBurn
        expr: |
          (job:errors:ratio_rate1h{job="checkout"} > (14.4*0.001)
           and job:errors:ratio_rate5m{job="checkout"} > (14.4*0.001))
          or
          (job:errors:ratio_rate6h{job="checkout"} > (6*0.001)
           and job:errors:ratio_rate30m{job="checkout"} > (6*0.001))
        labels: {severity: page}
        annotations: {summary: Checkout burns its budget}
      - alert: CheckoutBudgetBurnSlow
        expr: job:errors:ratio_rate3d > (1 * (1 - 0.999)) and job:errors:ratio_rate6h > (1 * (1 - 0.999))
        labels: {severity: ticket}
      - alert: PoolFull
        expr: db_pool_in_use{job="checkout",pool="main"} > 90
        for: 10m
      - alert: Slow
        expr: histogram_quantile(0.99, sum(rate(d_bucket[5m])) by (le)) > 1
      - alert: ManyErrors
        expr: rate(errors_total[5m]) > 3
"#;

    #[test]
    fn burn_rates_become_one_objective_and_bounds_a_baseline() {
        let imported = import(Format::PrometheusRules, RULES, &Place::default()).unwrap();
        let [slo] = &imported.slos[..] else { panic!("one: {:?} {:?}", imported.slos, imported.notes) };
        assert_eq!((slo.spec.target.as_str(), slo.spec.service_ref.name.as_str()), ("99.9", "checkout"));
        let burn: Vec<String> = slo
            .spec
            .burn
            .iter()
            .map(|b| format!("{:?} {} {} {}", b.severity, b.rate, b.long, b.short))
            .collect();
        assert_eq!(burn, ["Page 14.4 1h 5m", "Page 6 6h 30m", "Ticket 1 72h 6h"]);
        assert_eq!(slo.spec.description.as_deref(), Some("Checkout burns its budget"));
        assert_eq!(slo.validate_cel(), Ok(()));
        let [pool] = &imported.baselines[..] else { panic!("one: {:?}", imported.baselines) };
        assert_eq!(pool.metadata.name.as_deref(), Some("poolfull"));
        assert_eq!(pool.spec.model.upper.as_ref().unwrap().as_str(), "90");
        assert_eq!((pool.spec.window.violating, pool.spec.window.size.as_str()), (10, "10m"));
        assert_eq!(pool.validate_cel(), Ok(()));
        let notes = imported.notes.join("\n");
        for words in [
            "28d is assumed",
            "PoolFull: {pool=\"main\"}",
            "Slow: its expression",
            "ManyErrors: it bounds the rate",
        ] {
            assert!(notes.contains(words), "{words}: {notes}");
        }
    }

    #[test]
    fn a_ratio_may_stand_in_the_alert_itself() {
        let rules = "kind: PrometheusRule\nmetadata: {namespace: shop}\nspec:\n  groups:\n    - rules:\n        - alert: Burn\n          \
            expr: sum(rate(bad[1h])) / sum(rate(all[1h])) > 14.4 * 0.01 and sum(rate(bad[5m])) / sum(rate(all[5m])) > 14.4 * 0.01\n";
        let imported = import(
            Format::PrometheusRules,
            rules,
            &Place { service: Some("web".into()), ..Place::default() },
        )
        .unwrap();
        let slo = &imported.slos[0];
        assert_eq!((slo.spec.target.as_str(), slo.metadata.namespace.as_deref()), ("99", Some("shop")));
        let imported = import(Format::PrometheusRules, rules, &Place::default()).unwrap();
        assert!(imported.notes[0].contains("--service"), "{:?}", imported.notes);
    }
}

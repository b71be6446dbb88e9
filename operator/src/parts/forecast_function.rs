//! `forecast('SELECT time, value …', '2h')` in SQL: every query that yields a series can be forecast.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Float64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use causeway_lake::SeriesFunction;
use causeway_model::{Micros, parse_duration_us};
use causeway_predict::{ForecastOptions, forecast, usual_step};

const SECOND: Micros = 1_000_000;

/// Column and the quantile in it: the ends of the 95 % and 80 % intervals, and the middle.
const QUANTILES: [(&str, f64); 5] =
    [("lower_95", 0.025), ("lower_80", 0.1), ("median", 0.5), ("upper_80", 0.9), ("upper_95", 0.975)];

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let values = QUANTILES.map(|(name, _)| name).into_iter().chain(["mean"]);
    let values = values.map(|name| Field::new(name, DataType::Float64, false));
    let fields: Vec<Field> = std::iter::once(Field::new("time", time, false)).chain(values).collect();
    Arc::new(Schema::new(fields))
});

/// The function; its second argument is how far ahead, the third the distance between points.
pub(crate) struct ForecastFunction;

impl SeriesFunction for ForecastFunction {
    fn name(&self) -> &'static str {
        "forecast"
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&SCHEMA)
    }

    fn call(&self, series: &[(Micros, f64)], arguments: &[String]) -> Result<RecordBatch, String> {
        let seconds = |text: &String| {
            let duration = parse_duration_us(text).filter(|us| *us >= SECOND);
            duration.map(|us| us / SECOND).ok_or(format!("'{text}' is no duration such as 2h, 30m or 90s"))
        };
        let (ahead, step) = match arguments {
            [ahead] => (seconds(ahead)?, None),
            [ahead, step] => (seconds(ahead)?, Some(seconds(step)?)),
            _ => {
                return Err(
                    "how far ahead comes second, such as '2h'; the distance of points may follow".to_owned()
                );
            }
        };
        let history: Vec<(i64, f64)> =
            series.iter().map(|&(time, value)| (time.div_euclid(SECOND), value)).collect();
        let step = step.unwrap_or_else(|| usual_step(&history));
        let points = usize::try_from(ahead / step).unwrap_or(usize::MAX);
        if points == 0 {
            return Err(format!("the points are {step} s apart: look at least that far ahead"));
        }
        let options = ForecastOptions { step: Some(step), ..ForecastOptions::default() };
        let found = forecast(&history, points, &options).map_err(|error| error.to_string())?;
        let times = (0..).map(|n| (found.start + n * found.step) * SECOND).take(points);
        let mut columns: Vec<ArrayRef> =
            vec![Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))];
        for (name, level) in QUANTILES {
            let values = found.quantiles.iter().find(|(of, _)| *of == level);
            let (_, values) = values.ok_or_else(|| format!("the forecast has no {name}"))?;
            columns.push(Arc::new(Float64Array::from_iter_values(values.iter().copied())));
        }
        columns.push(Arc::new(Float64Array::from_iter_values(found.mean)));
        RecordBatch::try_new(self.schema(), columns).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::cast::AsArray as _;
    use arrow::datatypes::Float64Type;

    use super::*;

    #[test]
    fn a_straight_line_goes_on_and_mistakes_are_explained() {
        let line: Vec<(Micros, f64)> = (0..300).map(|n| (n * 60 * SECOND, 100.0 + n as f64)).collect();
        let call = |arguments: &[&str]| {
            ForecastFunction.call(&line, &arguments.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>())
        };
        let rows = call(&["10m"]).unwrap();
        assert_eq!(rows.num_rows(), 10);
        let of = |name: &str| rows.column_by_name(name).unwrap().as_primitive::<Float64Type>().value(9);
        assert!((of("median") - 409.0).abs() < 5.0, "{rows:?}");
        assert!(of("lower_95") <= of("lower_80") && of("upper_80") <= of("upper_95"));
        assert_eq!(call(&["10m", "5m"]).unwrap().num_rows(), 2);
        for (arguments, message) in [
            (&["soon"][..], "no duration"),
            (&[], "comes second"),
            (&["5s"], "60 s apart"),
            (&["365d"], "10000 points"),
        ] {
            assert!(call(arguments).unwrap_err().contains(message), "{arguments:?}");
        }
        assert!(ForecastFunction.call(&[], &["1h".to_owned()]).unwrap_err().contains("no values"));
    }
}

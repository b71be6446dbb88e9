//! Metrics.

use causeway_model::{Batch, MetricBuilder, MetricKind, MetricRow};
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, DataPointFlags, ExponentialHistogramDataPoint, HistogramDataPoint,
    NumberDataPoint, SummaryDataPoint,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use serde_json::{Map, Value};

use super::histogram::{self, Explicit};
use super::value::attributes;
use super::{Assemble, json, protobuf};
use crate::assemble::{Assembly, borrow};
use crate::{DecodeContext, DecodeError, Decoded};

/// Quantiles kept of a summary.
const MAX_QUANTILES: usize = 32;

/// Field numbers of `Metric`.
const NAME: u32 = 1;
const UNIT: u32 = 3;
/// Field numbers of `Sum` and the histograms.
const POINTS: u32 = 1;
const TEMPORALITY: u32 = 2;
const MONOTONIC: u32 = 3;

/// Which kind of points a metric has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PointKind {
    Gauge,
    Sum,
    Histogram,
    Exponential,
    Summary,
}

impl PointKind {
    /// By field number of `Metric` and name in JSON.
    pub(super) const ALL: [(u32, &'static str, Self); 5] = [
        (5, "gauge", Self::Gauge),
        (7, "sum", Self::Sum),
        (9, "histogram", Self::Histogram),
        (10, "exponentialHistogram", Self::Exponential),
        (11, "summary", Self::Summary),
    ];

    fn column(self) -> MetricKind {
        match self {
            Self::Gauge => MetricKind::Gauge,
            Self::Sum => MetricKind::Sum,
            Self::Histogram | Self::Exponential => MetricKind::Histogram,
            Self::Summary => MetricKind::Summary,
        }
    }
}

/// What the points of a metric have in common.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) name: String,
    pub(super) unit: String,
    pub(super) kind: PointKind,
    pub(super) delta: bool,
    pub(super) monotonic: bool,
}

/// A point of any kind.
#[derive(Debug)]
pub(super) enum Point {
    Number(NumberDataPoint),
    Histogram(HistogramDataPoint),
    Exponential(ExponentialHistogramDataPoint),
    Summary(SummaryDataPoint),
}

/// The numbers of a row.
#[derive(Debug, Default)]
struct Numbers {
    value: Option<f64>,
    count: Option<i64>,
    sum: Option<f64>,
    buckets: Explicit,
    quantiles: Vec<(f64, f64)>,
}

impl Numbers {
    /// Of a histogram or summary; the value is the mean.
    fn distribution(count: u64, sum: Option<f64>, buckets: Explicit) -> Self {
        let sum = sum.filter(|s| s.is_finite());
        Self {
            value: sum.filter(|_| count > 0).map(|s| s / count as f64),
            count: Some(i64::try_from(count).unwrap_or(i64::MAX)),
            sum,
            buckets,
            quantiles: Vec::new(),
        }
    }
}

struct Parts {
    flags: u32,
    time_unix_nano: u64,
    attributes: Vec<KeyValue>,
    /// `None` when the point contradicts itself.
    numbers: Option<Numbers>,
}

fn parts(point: Point) -> Parts {
    match point {
        Point::Number(p) => {
            let value = p.value.map(|v| match v {
                Number::AsDouble(v) => v,
                Number::AsInt(v) => v as f64,
            });
            let numbers = Numbers { value: value.filter(|v| v.is_finite()), ..Numbers::default() };
            Parts {
                flags: p.flags,
                time_unix_nano: p.time_unix_nano,
                attributes: p.attributes,
                numbers: Some(numbers),
            }
        }
        Point::Histogram(p) => Parts {
            flags: p.flags,
            time_unix_nano: p.time_unix_nano,
            attributes: p.attributes,
            numbers: histogram::explicit(p.explicit_bounds, &p.bucket_counts)
                .map(|buckets| Numbers::distribution(p.count, p.sum, buckets)),
        },
        Point::Exponential(mut p) => Parts {
            flags: p.flags,
            time_unix_nano: p.time_unix_nano,
            attributes: std::mem::take(&mut p.attributes),
            numbers: histogram::exponential(&mut p)
                .map(|buckets| Numbers::distribution(p.count, p.sum, buckets)),
        },
        Point::Summary(p) => {
            let mut numbers = Numbers::distribution(p.count, Some(p.sum), Explicit::default());
            let finite = p.quantile_values.iter().filter(|q| q.value.is_finite());
            numbers.quantiles = finite.take(MAX_QUANTILES).map(|q| (q.quantile, q.value)).collect();
            Parts {
                flags: p.flags,
                time_unix_nano: p.time_unix_nano,
                attributes: p.attributes,
                numbers: Some(numbers),
            }
        }
    }
}

pub(super) struct MetricAssembler<'a> {
    assembly: Assembly<'a>,
    builder: MetricBuilder,
}

impl<'a> MetricAssembler<'a> {
    pub(super) fn new(context: &'a DecodeContext) -> Self {
        Self { assembly: Assembly::new(context), builder: MetricBuilder::default() }
    }

    /// Appends a point. One without a recorded value (a series that ended, NaN) is no record and no error.
    fn append(&mut self, header: &Header, point: Point) -> Result<(), DecodeError> {
        let a = &mut self.assembly;
        let parts = parts(point);
        if parts.flags & DataPointFlags::NoRecordedValueMask as u32 != 0 {
            return Ok(());
        }
        let Some(numbers) = parts.numbers else {
            a.reject(format!("metric {}: buckets contradict themselves", shown(&header.name)));
            return Ok(());
        };
        if numbers.value.is_none() && numbers.count.is_none() {
            return Ok(());
        }
        if header.name.is_empty() {
            a.reject("a metric has no name");
            return Ok(());
        }
        let mut own = attributes(a, parts.attributes);
        for (quantile, value) in &numbers.quantiles {
            a.push(&mut own, format!("quantile.{quantile}"), value.to_string());
        }
        let other = header.name.len() + header.unit.len() + numbers.buckets.counts.len() * 16;
        if !a.admit(&own, other) {
            return Ok(());
        }
        self.builder.append(&MetricRow {
            time_us: a.event_time(&[parts.time_unix_nano]),
            namespace: &a.context.source.namespace,
            source: &a.context.source.name,
            service: &a.service,
            name: &header.name,
            unit: &header.unit,
            kind: header.kind.column(),
            delta: header.delta,
            monotonic: header.monotonic,
            value: numbers.value,
            count: numbers.count,
            sum: numbers.sum,
            bounds: &numbers.buckets.bounds,
            bucket_counts: &numbers.buckets.counts,
            resource: &borrow(&a.resource),
            attributes: &borrow(&own),
        })?;
        Ok(())
    }

    fn header(&mut self, name: String, unit: String, kind: PointKind) -> Header {
        let limit = self.assembly.context.limits.max_key_bytes;
        Header {
            name: self.assembly.cut_to(name, limit),
            unit: self.assembly.cut_to(unit, limit),
            kind,
            delta: false,
            monotonic: false,
        }
    }

    fn protobuf_points(&mut self, header: &Header, data: &[u8]) -> Result<(), DecodeError> {
        let limits = self.assembly.context.limits;
        protobuf::each_field(data, |number, bytes| {
            if number != POINTS {
                return Ok(());
            }
            if bytes.len() > limits.max_record_bytes {
                self.reject(format!("a metric point exceeds {} bytes", limits.max_record_bytes));
                return Ok(());
            }
            let point = match header.kind {
                PointKind::Gauge | PointKind::Sum => NumberDataPoint::decode(bytes).map(Point::Number),
                PointKind::Histogram => HistogramDataPoint::decode(bytes).map(Point::Histogram),
                PointKind::Exponential => {
                    ExponentialHistogramDataPoint::decode(bytes).map(Point::Exponential)
                }
                PointKind::Summary => SummaryDataPoint::decode(bytes).map(Point::Summary),
            };
            self.append(header, point.map_err(protobuf::malformed)?)
        })
    }
}

/// A name for a message.
fn shown(name: &str) -> &str {
    &name[..name.floor_char_boundary(64)]
}

pub(super) fn is_delta(temporality: i64) -> bool {
    temporality == AggregationTemporality::Delta as i64
}

impl Assemble for MetricAssembler<'_> {
    const JSON_LISTS: [&'static str; 3] = ["resourceMetrics", "scopeMetrics", "metrics"];

    fn resource(&mut self, resource: Resource) {
        let pairs = attributes(&mut self.assembly, resource.attributes);
        self.assembly.set_resource(pairs);
    }

    fn scope(&mut self, _: InstrumentationScope) {}

    fn protobuf_record(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned).map_err(protobuf::malformed);
        let (mut name, mut unit, mut data) = (String::new(), String::new(), None);
        protobuf::each_field(bytes, |number, bytes| {
            match number {
                NAME => name = text(bytes)?,
                UNIT => unit = text(bytes)?,
                _ => {
                    let kind = PointKind::ALL.iter().find(|(field, _, _)| *field == number);
                    data = kind.map(|(_, _, kind)| (*kind, bytes)).or(data);
                }
            }
            Ok(())
        })?;
        let Some((kind, data)) = data else { return Ok(()) };
        let mut header = self.header(name, unit, kind);
        if matches!(kind, PointKind::Sum | PointKind::Histogram | PointKind::Exponential) {
            header.delta = is_delta(protobuf::varint(data, TEMPORALITY)? as i64);
        }
        if kind == PointKind::Sum {
            header.monotonic = protobuf::varint(data, MONOTONIC)? != 0;
        }
        self.protobuf_points(&header, data)
    }

    fn json_record(&mut self, metric: Map<String, Value>) -> Result<(), DecodeError> {
        let Some(metric) = json::metric(metric)? else { return Ok(()) };
        let mut header = self.header(metric.name, metric.unit, metric.kind);
        header.delta = metric.delta;
        header.monotonic = metric.monotonic;
        for point in metric.points {
            self.append(&header, json::point(header.kind, point)?)?;
        }
        Ok(())
    }

    fn reject(&mut self, reason: String) {
        self.assembly.reject(reason);
    }

    fn finish(self) -> Result<Decoded, DecodeError> {
        Ok(self.assembly.finish(Batch::Metrics(self.builder.finish()?)))
    }
}

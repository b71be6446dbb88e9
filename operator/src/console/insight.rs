//! What surfaces read, from the lake and the engine of this process.

use std::collections::BTreeMap;
use std::sync::Arc;

use causeway_engine::{Engine, Point};
use causeway_lake::{Lake, to_csv, to_ndjson, to_rows};
use causeway_model::{
    BandPoint, BoxFuture, CallEdge, Caller, Insight, Query as _, QueryError, Rows, SeriesId, ServiceView,
    SignalView, TextFormat,
};

use crate::parts::engine_host::EngineHost;
use crate::parts::persist::{bundle_path, objects_path};

/// Windows of a golden signal in a list of services.
const WINDOWS: usize = 60;

/// Lake and engine.
pub(crate) struct LocalInsight {
    pub(crate) lake: Lake,
    pub(crate) host: Arc<EngineHost>,
}

impl Insight for LocalInsight {
    fn rows<'a>(&'a self, caller: &'a Caller, sql: &'a str) -> BoxFuture<'a, Result<Rows, QueryError>> {
        Box::pin(async move {
            let answer = self.lake.sql(caller, sql).await?;
            let rows = to_rows(&answer.batches).map_err(|error| QueryError::Invalid(error.to_string()))?;
            Ok(Rows { rows, scanned_bytes: answer.scanned_bytes })
        })
    }

    fn text<'a>(
        &'a self,
        caller: &'a Caller,
        sql: &'a str,
        format: TextFormat,
    ) -> BoxFuture<'a, Result<String, QueryError>> {
        Box::pin(async move {
            let answer = self.lake.sql(caller, sql).await?;
            let text = match format {
                TextFormat::Json => to_ndjson(&answer.batches),
                TextFormat::Csv => to_csv(&answer.batches),
            };
            text.map_err(|error| QueryError::Invalid(error.to_string()))
        })
    }

    fn series<'a>(
        &'a self,
        caller: &'a Caller,
        entity: &'a str,
        signal: &'a str,
    ) -> BoxFuture<'a, Result<Vec<BandPoint>, QueryError>> {
        let id = SeriesId { entity: entity.into(), signal: signal.into(), group: "".into() };
        let points = self.host.read(|engine| match may_see(engine, caller, entity) {
            true => engine.points(&id),
            false => Vec::new(),
        });
        Box::pin(async move { Ok(points.iter().map(band_point).collect()) })
    }

    fn topology<'a>(
        &'a self,
        caller: &'a Caller,
        at_us: Option<i64>,
    ) -> BoxFuture<'a, Result<Vec<CallEdge>, QueryError>> {
        let edges = self.host.read(|engine| {
            let at_us = at_us.unwrap_or_else(|| engine.watermark_us().unwrap_or_default());
            let edges = engine.topology().edges_at(at_us).into_iter().map(|edge| CallEdge {
                from: edge.from.key(),
                to: edge.to.key(),
                calls: edge.count,
                inferred: edge.inferred,
                confidence: edge.confidence,
            });
            let seen = |e: &CallEdge| may_see(engine, caller, &e.from) || may_see(engine, caller, &e.to);
            edges.filter(seen).collect()
        });
        Box::pin(async move { Ok(edges) })
    }

    fn services<'a>(&'a self, caller: &'a Caller) -> BoxFuture<'a, Result<Vec<ServiceView>, QueryError>> {
        let services = self.host.read(|engine| {
            let mut services: BTreeMap<String, ServiceView> = BTreeMap::new();
            for golden in engine.golden_signals(WINDOWS) {
                if !covers(caller, golden.tenant) {
                    continue;
                }
                let name = golden.series.entity.to_string();
                let service = services.entry(name.clone()).or_insert_with(|| ServiceView {
                    service: name,
                    namespace: golden.tenant.to_owned(),
                    signals: Vec::new(),
                });
                service.signals.push(SignalView {
                    signal: golden.series.signal.to_string(),
                    open_since: golden.open_since_us,
                    points: golden.points.iter().map(band_point).collect(),
                });
            }
            services.into_values().collect()
        });
        Box::pin(async move { Ok(services) })
    }

    fn bundle<'a>(
        &'a self,
        caller: &'a Caller,
        fingerprint: &'a str,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, QueryError>> {
        Box::pin(async move {
            if caller.namespaces.is_some() {
                return Err(QueryError::Forbidden("a bundle holds evidence of all namespaces".to_owned()));
            }
            let read = self.lake.file(&bundle_path(fingerprint)).await;
            let bytes = read.map_err(|error| QueryError::Storage(error.to_string()))?;
            let Some(bytes) = bytes else { return Ok(None) };
            let read = self.lake.file(&objects_path(fingerprint)).await;
            let objects = read.map_err(|error| QueryError::Storage(error.to_string()))?;
            let Some(objects) = objects.and_then(|objects| String::from_utf8(objects.to_vec()).ok()) else {
                return Ok(Some(bytes.to_vec()));
            };
            let whole = causeway_engine::with_objects(&bytes, objects);
            whole.map(Some).map_err(|error| QueryError::Storage(error.to_string()))
        })
    }

    fn namespaces(&self) -> BoxFuture<'_, Result<Vec<String>, QueryError>> {
        let names = self.host.read(|engine| engine.tenants().into_iter().map(str::to_owned).collect());
        Box::pin(async move { Ok(names) })
    }
}

/// Whether an entity is of a namespace that the caller may read. Whose it is not known is for callers without bounds.
fn may_see(engine: &Engine, caller: &Caller, entity: &str) -> bool {
    covers(caller, engine.tenant(entity).unwrap_or_default())
}

fn covers(caller: &Caller, namespace: &str) -> bool {
    caller.namespaces.as_ref().is_none_or(|names| names.iter().any(|name| name == namespace))
}

/// NaN stands for what is not there.
fn band_point(point: &Point) -> BandPoint {
    let number = |value: f64| value.is_finite().then_some(value);
    BandPoint {
        at: point.at_us,
        value: number(point.value),
        expected: number(point.expected),
        lower: number(point.lower),
        upper: number(point.upper),
    }
}

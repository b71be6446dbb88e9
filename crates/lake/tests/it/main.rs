//! The lake through its public interface.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as the tests do")]

mod durability;
mod maintenance;
mod queries;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arrow_array::RecordBatch;
use causeway_lake::{Lake, LakeError, LakeOptions, LockError, to_rows};
use causeway_model::{Caller, Clock, LogBuilder, LogRow, Micros, Query, QueryError, Table};

/// 2026-11-22T19:14:56Z
const NOW: Micros = 1_795_374_896_000_000;
const DAY: Micros = 86_400_000_000;

struct Stepped(AtomicI64);

impl Clock for Stepped {
    fn now_us(&self) -> Micros {
        self.0.load(Ordering::SeqCst)
    }
}

fn options(folder: &Path) -> LakeOptions {
    let mut options = LakeOptions::new(folder, Arc::new(Stepped(NOW.into())));
    options.limits.group_commit_delay = Duration::ZERO;
    options.limits.seal_age = Duration::from_secs(3600);
    options
}

/// Opens; the former owner's background task may hold the folder for a moment.
async fn try_open(options: LakeOptions) -> Result<Lake, LakeError> {
    loop {
        match Lake::open(options.clone()).await {
            Err(LakeError::Lock(LockError::Held { .. })) => tokio::task::yield_now().await,
            other => return other,
        }
    }
}

async fn open(folder: &Path) -> Lake {
    try_open(options(folder)).await.unwrap()
}

/// One log record each: time, namespace, body.
fn logs(rows: &[(Micros, &str, &str)]) -> RecordBatch {
    let mut logs = LogBuilder::default();
    for (time_us, namespace, body) in rows {
        logs.append(&LogRow {
            time_us: *time_us,
            observed_us: *time_us,
            namespace,
            body,
            service: "shop/cart",
            trace_id: Some(body),
            attributes: &[("k", body), ("other", "x")],
            ..LogRow::default()
        })
        .unwrap();
    }
    logs.finish().unwrap().record_batch().clone()
}

async fn append(lake: &Lake, rows: &[(Micros, &str, &str)]) {
    let accepted = lake.append(Table::Logs, logs(rows), None).await.unwrap();
    assert_eq!((accepted.rows, accepted.duplicate), (rows.len(), false));
}

fn caller(namespaces: Option<&[&str]>) -> Caller {
    Caller {
        user: "test".to_owned(),
        namespaces: namespaces.map(|n| n.iter().map(|n| (*n).to_owned()).collect()),
        byte_budget: 1 << 30,
    }
}

async fn ask(lake: &Lake, namespaces: Option<&[&str]>, sql: &str) -> Result<Vec<String>, QueryError> {
    let answer = lake.sql(&caller(namespaces), sql).await?;
    Ok(to_rows(&answer.batches).unwrap().into_iter().skip(1).map(|row| row.join("|")).collect())
}

async fn all(lake: &Lake, sql: &str) -> Vec<String> {
    ask(lake, None, sql).await.unwrap()
}

//! The lake is stopped after every single write, and opened again.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use causeway_model::{Accepted, Caller, Clock, Event, LogBuilder, LogRow, Query, Table, events_batch};

use crate::fault::Faults;
use crate::lock::LockError;
use crate::{Lake, LakeError, LakeOptions};

const ROWS: usize = 3;

struct Fixed;

impl Clock for Fixed {
    fn now_us(&self) -> i64 {
        1_795_374_896_000_000
    }
}

fn options(folder: &Path, faults: Faults) -> LakeOptions {
    let mut options = LakeOptions::new(folder, Arc::new(Fixed));
    options.limits.group_commit_delay = Duration::ZERO;
    options.limits.segment_bytes = 6_000;
    options.limits.seal_age = Duration::from_secs(3600);
    options.faults = faults;
    options
}

/// The former owner's background task may hold the lake for a moment after the last clone is dropped.
async fn open(folder: &Path, faults: Faults) -> Lake {
    loop {
        match Lake::open(options(folder, faults.clone())).await {
            Err(LakeError::Lock(LockError::Held { .. })) => tokio::task::yield_now().await,
            other => return other.unwrap(),
        }
    }
}

fn logs(request: usize) -> RecordBatch {
    let mut logs = LogBuilder::default();
    for row in 0..ROWS {
        let id = format!("{}", request * ROWS + row);
        logs.append(&LogRow { time_us: Fixed.now_us(), body: &id, service: "s", ..LogRow::default() })
            .unwrap();
    }
    logs.finish().unwrap().record_batch().clone()
}

fn event() -> Event {
    let text = || "x".to_owned();
    Event {
        time_us: Fixed.now_us(),
        namespace: text(),
        kind: text(),
        entity: text(),
        reason: text(),
        message: text(),
        attributes: Vec::new(),
    }
}

async fn send(lake: &Lake, request: usize) -> bool {
    matches!(
        lake.append(Table::Logs, logs(request), Some(request as u64)).await,
        Ok(Accepted { rows: ROWS, .. } | Accepted { duplicate: true, .. })
    )
}

/// Appends, seals and compacts until it is stopped; returns the acknowledged requests.
async fn work(lake: &Lake) -> Vec<usize> {
    let mut acknowledged = Vec::new();
    for request in 0..8 {
        if send(lake, request).await {
            acknowledged.push(request);
        }
        let done = match request {
            1 => lake.flush().await,
            3 => lake.flush().await,
            4 => lake.compact(Table::Logs).await.map(|_| ()),
            6 => lake
                .append(Table::Events, events_batch(&[event()]).unwrap(), None)
                .await
                .map(|_| ())
                .map_err(|e| LakeError::Thread(e.to_string())),
            7 => lake.flush().await,
            _ => Ok(()),
        };
        if done.is_err() {
            break;
        }
    }
    acknowledged
}

async fn counts(lake: &Lake) -> BTreeMap<String, i64> {
    let caller = Caller { user: "test".to_owned(), namespaces: None, byte_budget: u64::MAX };
    let answer = lake.sql(&caller, "SELECT body, count(*) FROM logs GROUP BY body").await.unwrap();
    let mut counts = BTreeMap::new();
    for batch in &answer.batches {
        let (ids, numbers) =
            (batch.column(0).as_string::<i32>(), batch.column(1).as_primitive::<Int64Type>());
        for row in 0..batch.num_rows() {
            counts.insert(ids.value(row).to_owned(), numbers.value(row));
        }
    }
    counts
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() { copy(&path, &target) } else { assert!(std::fs::copy(&path, &target).is_ok()) }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_row_is_there_once_wherever_it_stops() {
    let template = tempfile::tempdir().unwrap();
    drop(open(template.path(), Faults::default()).await);
    let mut places = 0;
    loop {
        let folder = tempfile::tempdir().unwrap();
        copy(template.path(), folder.path());
        let faults = Faults::stop_after(places);
        let lake = open(folder.path(), faults.clone()).await;
        let acknowledged = work(&lake).await;
        let finished = !faults.stopped();
        drop(lake);

        let lake = open(folder.path(), Faults::default()).await;
        let found = counts(&lake).await;
        for id in acknowledged.iter().flat_map(|r| r * ROWS..(r + 1) * ROWS) {
            assert_eq!(
                found.get(&id.to_string()),
                Some(&1),
                "row {id} of an acknowledged request, stopped at {places}"
            );
        }
        assert!(found.values().all(|n| *n == 1), "stopped at {places}: {found:?}");

        for request in 0..8 {
            assert!(send(&lake, request).await, "retry of {request}, stopped at {places}");
        }
        lake.flush().await.unwrap();
        let found = counts(&lake).await;
        assert_eq!(found.len(), 8 * ROWS, "stopped at {places}");
        assert!(found.values().all(|n| *n == 1), "after the retry, stopped at {places}: {found:?}");
        assert_eq!(lake.stats().wal_segments, 0, "everything is committed, so the log is empty");
        if finished {
            assert_eq!(acknowledged.len(), 8);
            assert!(places > 25, "only {places} places were passed");
            return;
        }
        places += 1;
    }
}

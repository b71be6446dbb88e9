use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use causeway_lake::{CompactionReport, Lake};
use causeway_model::Table;

use crate::{DAY, NOW, all, append, open, options, try_open};

fn files(lake: &Lake) -> (u64, u64) {
    let stats = lake.stats();
    let logs = stats.tables.iter().find(|t| t.table == Table::Logs).unwrap();
    (logs.files, logs.file_rows)
}

fn on_disk(folder: &std::path::Path) -> usize {
    let days = std::fs::read_dir(folder.join("lake/logs")).unwrap().map(|e| e.unwrap().path());
    days.filter(|p| p.to_string_lossy().contains("date="))
        .map(|p| std::fs::read_dir(p).unwrap().count())
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn small_files_are_joined_and_nothing_changes_for_readers() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = options(folder.path());
    settings.limits.vacuum_age = Duration::ZERO;
    let lake = try_open(settings).await.unwrap();
    for i in 0..20 {
        append(&lake, &[(NOW - i, "a", &i.to_string()), (NOW - DAY, "a", "old")]).await;
        lake.flush().await.unwrap();
    }
    assert_eq!(files(&lake), (40, 40));
    let before = all(&lake, "SELECT time, body, attributes FROM logs ORDER BY time, body").await;
    let report = lake.compact(Table::Logs).await.unwrap();
    assert_eq!(report, CompactionReport { before: 40, after: 2, rows: 40 });
    assert_eq!(files(&lake), (2, 40));
    assert_eq!(all(&lake, "SELECT time, body, attributes FROM logs ORDER BY time, body").await, before);
    assert_eq!(
        lake.compact(Table::Logs).await.unwrap(),
        CompactionReport::default(),
        "nothing is left to do"
    );

    assert_eq!(on_disk(folder.path()), 42, "replaced files stay for readers of older versions");
    let report = lake.retain(Table::Logs, NOW - DAY / 2).await.unwrap();
    assert_eq!((report.files, report.rows, report.vacuumed), (1, 20, 41));
    assert_eq!((files(&lake), on_disk(folder.path())), ((1, 20), 1));
    drop(lake);

    // More than one checkpoint was written by now; the state read back from it is the same.
    let lake = open(folder.path()).await;
    assert_eq!(files(&lake), (1, 20));
    assert_eq!(
        all(&lake, "SELECT count(*), min(time) > TIMESTAMP '2026-11-22T00:00:00Z' FROM logs").await,
        ["20|true"]
    );
    let recent = "SELECT count(*) FROM logs WHERE time > now() - interval '5 minutes'";
    assert_eq!(all(&lake, recent).await, ["20"]);
    let checkpoints = std::fs::read_dir(folder.path().join("lake/logs/_delta_log")).unwrap();
    assert!(
        checkpoints
            .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().contains("checkpoint"))
            .count()
            > 0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_never_misses_or_doubles_rows_while_they_are_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    let sent = AtomicUsize::new(0);
    let writer = async {
        for i in 0..30 {
            append(&lake, &[(NOW, "a", &i.to_string())]).await;
            sent.fetch_add(1, Ordering::SeqCst);
            if i % 5 == 4 {
                lake.flush().await.unwrap();
            }
        }
    };
    let reader = async {
        loop {
            let before = sent.load(Ordering::SeqCst);
            let row = all(&lake, "SELECT count(*), count(DISTINCT body) FROM logs").await;
            let after = sent.load(Ordering::SeqCst);
            let counts: Vec<usize> = row[0].split('|').map(|n| n.parse().unwrap()).collect();
            assert_eq!(counts[0], counts[1]);
            assert!((before..=after + 1).contains(&counts[0]), "{before} {counts:?} {after}");
            if before == 30 {
                return;
            }
        }
    };
    tokio::join!(writer, reader);
}

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use causeway_lake::{LakeError, Recovery, WalError};
use causeway_model::{Batch, Delivery, LogBatch, Sink, SinkError, SourceRef, Table};

use crate::{NOW, all, append, logs, open, options, try_open};

fn segments(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("wal")).unwrap().map(|e| e.unwrap().path());
    let mut found: Vec<PathBuf> = entries.filter(|p| p.extension().is_some_and(|e| e == "wal")).collect();
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_rows_survive_without_a_shutdown() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    append(&lake, &[(NOW, "a", "1"), (NOW, "a", "2")]).await;
    drop(lake);
    let lake = open(folder.path()).await;
    assert_eq!((lake.recovery().frames, lake.recovery().rows), (1, 2));
    assert_eq!(all(&lake, "SELECT body FROM logs ORDER BY body").await, ["1", "2"]);
    lake.shutdown().await.unwrap();
    let refused = lake.append(Table::Logs, logs(&[(NOW, "a", "3")]), None).await;
    assert!(matches!(refused, Err(SinkError::Unavailable(_))), "{refused:?}");
    drop(lake);
    let lake = open(folder.path()).await;
    assert_eq!(lake.recovery().rows, 0, "a shutdown commits");
    assert_eq!(all(&lake, "SELECT count(*) FROM logs").await, ["2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_is_dropped_even_after_the_log_was_trimmed() {
    let folder = tempfile::tempdir().unwrap();
    let delivery = || Delivery {
        source: SourceRef { namespace: "a".to_owned(), name: "s".to_owned() },
        batch: Batch::Logs(LogBatch::try_new(logs(&[(NOW, "a", "1")])).unwrap()),
        request_hash: 77,
    };
    let lake = open(folder.path()).await;
    assert!(!lake.accept(delivery()).await.unwrap().duplicate);
    let again = lake.accept(delivery()).await.unwrap();
    assert_eq!((again.rows, again.duplicate), (0, true));
    lake.shutdown().await.unwrap();
    drop(lake);
    assert!(segments(folder.path()).is_empty());
    let lake = open(folder.path()).await;
    assert!(lake.accept(delivery()).await.unwrap().duplicate);
    assert_eq!(all(&lake, "SELECT count(*) FROM logs").await, ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_appends_share_syncs_and_repeats_in_one_group_are_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    options.limits.group_commit_delay = Duration::from_millis(50);
    let lake = try_open(options).await.unwrap();
    let sends = (0..64u64).map(|i| lake.append(Table::Logs, logs(&[(NOW, "a", "x")]), Some(i % 32)));
    let answers = futures::future::join_all(sends).await;
    let stored: usize = answers.iter().map(|a| a.as_ref().unwrap().rows).sum();
    assert_eq!(stored, 32);
    let stats = lake.stats();
    assert!(stats.wal_syncs < 16, "{} syncs", stats.wal_syncs);
    assert_eq!((stats.rows_accepted, stats.duplicates), (32, 32));
    assert_eq!(all(&lake, "SELECT count(*) FROM logs").await, ["32"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    append(&lake, &[(NOW, "a", "1")]).await;
    append(&lake, &[(NOW, "a", "2")]).await;
    drop(lake);
    let file = segments(folder.path()).pop().unwrap();
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() - 5]).unwrap();
    let lake = open(folder.path()).await;
    assert!(lake.recovery().torn_bytes > 5);
    assert_eq!(all(&lake, "SELECT body FROM logs").await, ["1"]);
    append(&lake, &[(NOW, "a", "3")]).await;
    drop(lake);
    let lake = open(folder.path()).await;
    assert_eq!(lake.recovery().torn_bytes, 0);
    assert_eq!(all(&lake, "SELECT body FROM logs ORDER BY body").await, ["1", "3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_in_the_middle_is_named_and_the_rest_can_be_saved() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = options(folder.path());
    settings.limits.segment_bytes = 1;
    let lake = try_open(settings.clone()).await.unwrap();
    for body in ["1", "2", "3"] {
        append(&lake, &[(NOW, "a", body)]).await;
    }
    drop(lake);
    let file = segments(folder.path()).swap_remove(1);
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    match try_open(settings.clone()).await {
        Err(error @ LakeError::Wal(WalError::Damaged { .. })) => {
            assert!(error.to_string().contains(".wal is damaged at byte 36"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    std::fs::write(&file, &bytes).unwrap();
    settings.recovery = Recovery::Salvage;
    let lake = try_open(settings).await.unwrap();
    assert_eq!(lake.recovery().missing_frames, 1);
    assert_eq!(all(&lake, "SELECT body FROM logs ORDER BY body").await, ["1", "3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unwritable_log_acknowledges_nothing_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = options(folder.path());
    settings.limits.segment_bytes = 1;
    let lake = try_open(settings).await.unwrap();
    append(&lake, &[(NOW, "a", "1")]).await;
    let (wal, away) = (folder.path().join("wal"), folder.path().join("away"));
    std::fs::rename(&wal, &away).unwrap();
    let refused = lake.append(Table::Logs, logs(&[(NOW, "a", "2")]), Some(2)).await;
    assert!(matches!(&refused, Err(SinkError::Unavailable(text)) if text.contains(".wal")), "{refused:?}");
    assert_eq!(all(&lake, "SELECT count(*) FROM logs").await, ["1"]);
    std::fs::rename(&away, &wal).unwrap();
    let accepted = lake.append(Table::Logs, logs(&[(NOW, "a", "2")]), Some(2)).await.unwrap();
    assert!(!accepted.duplicate, "the refused request left no trace");
    drop(lake);
    let lake = open(folder.path()).await;
    assert_eq!(all(&lake, "SELECT body FROM logs ORDER BY body").await, ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_memory_refuses_before_it_acknowledges() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = options(folder.path());
    let batch = logs(&[(NOW, "a", "1")]);
    settings.limits.hot_max_bytes = batch.get_array_memory_size() * 3 / 2;
    settings.limits.hot_seal_bytes = usize::MAX;
    settings.limits.seal_bytes = usize::MAX;
    let lake = try_open(settings).await.unwrap();
    lake.append(Table::Logs, batch.clone(), None).await.unwrap();
    let refused = lake.append(Table::Logs, batch.clone(), None).await;
    assert!(matches!(refused, Err(SinkError::Overloaded { retry_after_ms: 1.. })), "{refused:?}");
    lake.flush().await.unwrap();
    lake.append(Table::Logs, batch, None).await.unwrap();
    let foreign = lake.append(Table::Spans, logs(&[(NOW, "a", "1")]), None).await;
    assert!(matches!(foreign, Err(SinkError::Invalid(_))), "{foreign:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn opaque_frames_stay_until_released() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    let first = lake.append_opaque(Bytes::from_static(b"one")).await.unwrap();
    append(&lake, &[(NOW, "a", "1")]).await;
    let second = lake.append_opaque(Bytes::from_static(b"two")).await.unwrap();
    lake.flush().await.unwrap();
    drop(lake);
    let lake = open(folder.path()).await;
    let bytes =
        |frames: Vec<causeway_lake::OpaqueFrame>| frames.into_iter().map(|f| f.bytes).collect::<Vec<_>>();
    assert_eq!(bytes(lake.opaque_since(0, usize::MAX).await.unwrap()), ["one", "two"]);
    assert_eq!(bytes(lake.opaque_since(first, usize::MAX).await.unwrap()), ["two"]);
    assert_eq!(bytes(lake.opaque_since(0, 4).await.unwrap()), ["one"]);
    assert_eq!(bytes(lake.opaque_since(0, 0).await.unwrap()), ["one"], "at least one");
    assert_eq!(lake.recovery().rows, 0, "the rows beside them were committed");
    lake.release_opaque(second);
    lake.flush().await.unwrap();
    assert!(lake.opaque_since(0, usize::MAX).await.unwrap().is_empty());
    assert!(segments(folder.path()).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_another_process_may_have_replaced_are_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    append(&lake, &[(NOW, "a", "committed")]).await;
    lake.flush().await.unwrap();
    append(&lake, &[(NOW, "a", "not committed")]).await;
    drop(lake);
    let mut settings = options(folder.path());
    settings.forget = vec![Table::Logs];
    let lake = try_open(settings).await.unwrap();
    append(&lake, &[(NOW, "a", "later")]).await;
    lake.flush().await.unwrap();
    assert_eq!(all(&lake, "SELECT body FROM logs ORDER BY body").await, ["committed", "later"]);
    assert_eq!(lake.stats().wal_segments, 0, "what was forgotten holds nothing back");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_claims_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    assert!(lake.claim_file("engine/1/owner", Vec::new()).await.unwrap());
    assert!(!lake.claim_file("engine/1/owner", Vec::new()).await.unwrap());
    lake.put_file("engine/2/owner", Vec::new()).await.unwrap();
    let mut files = lake.files("engine").await.unwrap();
    files.sort();
    assert_eq!(files, ["engine/1/owner", "engine/2/owner"]);
    for _ in 0..2 {
        lake.remove_file("engine/1/owner").await.unwrap();
    }
    assert_eq!(lake.files("engine").await.unwrap(), ["engine/2/owner"]);
    assert!(lake.files("nothing").await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_kept_beside_the_tables() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    assert_eq!(lake.file("bundles/1a2b").await.unwrap(), None);
    for text in ["first", "second"] {
        lake.put_file("bundles/1a2b", text.as_bytes().to_vec()).await.unwrap();
    }
    drop(lake);
    let lake = open(folder.path()).await;
    assert_eq!(lake.file("bundles/1a2b").await.unwrap().as_deref(), Some(&b"second"[..]));
    assert!(lake.file("bundles//..").await.is_err(), "no path");
}

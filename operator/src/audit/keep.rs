//! Keeps entries in the lake, in order, and signs what was kept.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use causeway_controllers::{Audit, AuditEntry};
use causeway_kubekit::{Activity, Busy};
use causeway_lake::{Lake, to_ndjson};
use causeway_model::{Caller, Query as _, Table};
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use super::checkpoint::Signer;
use super::entry::{Entry, Head, Said};
use super::verify::Verifier;
use crate::parts::clock::ProcessClock;

/// Entries of one query.
pub(crate) const PAGE: usize = 5000;
/// How long an entry that could not be stored waits for the next try.
const RETRY: Duration = Duration::from_secs(1);

/// How the log is kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuditSettings {
    /// File with the key that signs; one of this process's own in its data folder when absent.
    pub(crate) key: Option<PathBuf>,
    /// Whether entries are committed to the table at once, because another process may have to continue the chain.
    pub(crate) commits: bool,
}

/// The side that controllers write to.
pub(crate) struct AuditLog {
    entries: UnboundedSender<(AuditEntry, Busy)>,
    activity: Activity,
    /// Fingerprints of what earlier processes kept about Remediations.
    kept: HashSet<u64>,
}

impl Audit for AuditLog {
    fn record(&self, entry: AuditEntry) {
        // Nobody receives any more while the process shuts down.
        drop(self.entries.send((entry, self.activity.busy())));
    }

    fn was_kept(&self, entry: &AuditEntry) -> bool {
        let AuditEntry { time_us, namespace, action, subject, detail, .. } = entry;
        self.kept.contains(&fingerprint(*time_us, namespace, action, subject, detail))
    }
}

fn fingerprint(time_us: i64, namespace: &str, action: &str, subject: &str, detail: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    let message = detail.get("message").and_then(Value::as_str);
    (time_us, namespace, action, subject, message).hash(&mut hasher);
    hasher.finish()
}

/// The statement for the entries after `sequence`.
pub(crate) fn page_after(sequence: i64) -> String {
    format!("SELECT * FROM audit WHERE sequence > {sequence} ORDER BY sequence LIMIT {PAGE}")
}

/// Opens the log: reads and verifies what is there. A log that somebody tampered with is reported and continued: not to
/// keep what happens now would help nobody.
pub(crate) async fn open(
    lake: &Lake,
    data: &Path,
    settings: &AuditSettings,
    activity: Activity,
    clock: Arc<ProcessClock>,
) -> Result<(AuditLog, Keeper)> {
    let signer = Signer::open(data, settings.key.as_deref())?;
    let caller = Caller { user: "audit".into(), namespaces: None, byte_budget: u64::MAX };
    let (mut head, mut kept) = (Head::default(), HashSet::new());
    let mut verifier = Some(Verifier::new(signer.public_key()));
    loop {
        let answer = lake.sql(&caller, &page_after(head.sequence)).await.context("reading the audit log")?;
        let page = to_ndjson(&answer.batches)?;
        let mut count = 0;
        for line in page.lines() {
            let entry: Entry = serde_json::from_str(line).context("reading an entry of the audit log")?;
            count += 1;
            head = entry.head();
            let detail = serde_json::from_str(&entry.detail).unwrap_or_default();
            let Entry { time, namespace, action, subject, .. } = &entry;
            if subject.starts_with("Remediation/") {
                kept.insert(fingerprint(time.as_microsecond(), namespace, action, subject, &detail));
            }
            if let Some(Err(fault)) = verifier.as_mut().map(|verifier| verifier.see(&entry)) {
                tracing::error!(%fault, "the audit log was tampered with: run `causeway verify-audit`");
                verifier = None;
            }
        }
        if count < PAGE {
            break;
        }
    }
    let (sender, entries) = mpsc::unbounded_channel();
    let log = AuditLog { entries: sender, activity, kept };
    let commits = settings.commits;
    let mut keeper = Keeper { lake: lake.clone(), signer, clock, head, commits, entries };
    // A crash may have come before the checkpoint.
    if verifier.is_some_and(|verifier| !verifier.is_signed_to_the_end()) {
        keeper.sign().await;
    }
    Ok((log, keeper))
}

/// The side that stores.
pub(crate) struct Keeper {
    lake: Lake,
    signer: Signer,
    clock: Arc<ProcessClock>,
    head: Head,
    /// See [`AuditSettings::commits`].
    commits: bool,
    entries: UnboundedReceiver<(AuditEntry, Busy)>,
}

impl Keeper {
    /// Stores entries until the log is dropped, and a checkpoint whenever no more are waiting.
    pub(crate) async fn run(mut self) {
        while let Some((entry, busy)) = self.entries.recv().await {
            let next = self.head.next(Said {
                time: Timestamp::from_microsecond(entry.time_us).unwrap_or_default(),
                namespace: &entry.namespace,
                actor: &entry.actor,
                action: &entry.action,
                subject: &entry.subject,
                detail: entry.detail.to_string(),
            });
            self.store(next).await;
            if self.entries.is_empty() {
                self.sign().await;
                if self.commits
                    && let Err(error) = self.lake.flush().await
                {
                    tracing::error!(%error, "audit entries are on this machine only, until the next commit");
                }
            }
            drop(busy);
        }
    }

    async fn sign(&mut self) {
        let checkpoint = self.signer.checkpoint(&self.head, self.clock.timestamp());
        match checkpoint.entry(&self.head) {
            Ok(entry) => {
                self.store(entry).await;
                // A copy outside of the lake is what a cut-off end is found by.
                tracing::info!(
                    sequence = checkpoint.sequence,
                    hash = checkpoint.hash,
                    key = checkpoint.key_id,
                    signature = checkpoint.signature,
                    "audit checkpoint"
                );
            }
            Err(error) => tracing::error!(error = format!("{error:#}"), "audit log was not signed"),
        }
    }

    /// Stores an entry; tries until it is stored.
    async fn store(&mut self, entry: Entry) {
        loop {
            let stored = match entry.row() {
                Ok(row) => {
                    self.lake.append(Table::Audit, row, None).await.map(drop).map_err(|e| e.to_string())
                }
                Err(error) => Err(error.to_string()),
            };
            match stored {
                Ok(()) => break,
                Err(error) => {
                    tracing::error!(error, sequence = entry.sequence, "audit entry is not stored yet");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
        self.head = entry.head();
    }
}

//! Audit of repairs: what the executor and people did to a Remediation stands in its timeline, and is copied from there
//! into the audit log. So the executor needs no way to the lake, and the log says what the API server kept.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use causeway_crds::Remediation;
use causeway_crds::remediation::TimelineEntry;
use kube::ResourceExt;
use parking_lot::Mutex;
use serde_json::json;

use crate::ports::{Audit, AuditEntry};

/// Copies timelines.
pub(crate) struct Witness {
    audit: Arc<dyn Audit>,
    /// Entries that are told already, by uid of the Remediation.
    told: Mutex<HashMap<String, HashSet<u64>>>,
}

impl Witness {
    pub(crate) fn new(audit: Arc<dyn Audit>) -> Self {
        Self { audit, told: Mutex::default() }
    }

    /// Tells what is new.
    pub(crate) fn see(&self, object: &Remediation) {
        let Some(status) = &object.status else { return };
        let mut told = self.told.lock();
        let told = told.entry(object.uid().unwrap_or_default()).or_default();
        for entry in &status.timeline {
            // What nobody did, such as the passing of a deadline, is in the log by its cause.
            let Some(actor) = &entry.by else { continue };
            if !told.insert(fingerprint(entry)) {
                continue;
            }
            let entry = AuditEntry {
                time_us: entry.at.0.as_microsecond(),
                namespace: object.namespace().unwrap_or_default(),
                actor: actor.clone(),
                action: entry.event.clone(),
                subject: format!("Remediation/{}", object.name_any()),
                detail: json!({
                    "message": entry.message,
                    "planDigest": object.spec.plan_digest,
                    "dryRunDigest": status.dry_run.as_ref().map(|run| &run.digest),
                }),
            };
            if !self.audit.was_kept(&entry) {
                self.audit.record(entry);
            }
        }
    }
}

fn fingerprint(entry: &TimelineEntry) -> u64 {
    let mut hasher = DefaultHasher::new();
    (entry.at.0.as_microsecond(), &entry.event, &entry.by, &entry.message).hash(&mut hasher);
    hasher.finish()
}

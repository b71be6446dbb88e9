//! Whether an audit log is what was written.

use super::checkpoint::{CHECKPOINT, Checkpoint, PublicKey};
use super::entry::{Entry, Head};

/// What is wrong with a log; the number is that of the first entry that shows it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("entry {found} follows entry {after}: entries are missing, doubled or out of order")]
    Order { after: i64, found: i64 },
    #[error("entry {0} does not continue the entry before it: one of them was changed or replaced")]
    Link(i64),
    #[error("entry {0} was changed: its hash is not that of its content")]
    Content(i64),
    #[error("the checkpoint in entry {0} was not signed by {1}")]
    Signature(i64, String),
    #[error("no entry is signed by {0}: the log can't be told from a forged one")]
    Unsigned(String),
    #[error("entry {0} is not the one that was noted, or is missing: the log was cut off or written anew")]
    Noted(i64),
}

/// Sees the entries of a log from the first on, in order.
pub(crate) struct Verifier {
    key: PublicKey,
    head: Head,
    /// The last head that a checkpoint signs for.
    signed: Option<Head>,
    checkpoints: u64,
    last_is_checkpoint: bool,
    noted: Option<Head>,
}

/// A log that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// Entries, checkpoints among them.
    pub(crate) entries: i64,
    pub(crate) checkpoints: u64,
    /// Number of the last entry that a checkpoint signs for.
    pub(crate) signed_to: i64,
    pub(crate) key_id: String,
    /// The end, to be noted elsewhere and expected at the next verification.
    pub(crate) head: Head,
}

impl Verifier {
    pub(crate) fn new(key: PublicKey) -> Self {
        Self {
            key,
            head: Head::default(),
            signed: None,
            checkpoints: 0,
            last_is_checkpoint: true,
            noted: None,
        }
    }

    /// Also wants this entry to be in the log.
    pub(crate) fn expecting(mut self, noted: Option<Head>) -> Self {
        self.noted = noted;
        self
    }

    /// Takes the next entry.
    pub(crate) fn see(&mut self, entry: &Entry) -> Result<(), Fault> {
        let sequence = entry.sequence;
        if sequence != self.head.sequence + 1 {
            return Err(Fault::Order { after: self.head.sequence, found: sequence });
        }
        if entry.previous_hash != self.head.hash {
            return Err(Fault::Link(sequence));
        }
        if entry.hash != entry.computed_hash() {
            return Err(Fault::Content(sequence));
        }
        self.last_is_checkpoint = entry.action == CHECKPOINT;
        if self.last_is_checkpoint {
            let checkpoint: Option<Checkpoint> = serde_json::from_str(&entry.detail).ok();
            let checkpoint = checkpoint.filter(|checkpoint| {
                checkpoint.head() == self.head
                    && checkpoint.time == entry.time
                    && checkpoint.is_signed_by(&self.key)
            });
            if checkpoint.is_none() {
                return Err(Fault::Signature(sequence, self.key.id()));
            }
            self.checkpoints += 1;
            self.signed = Some(self.head.clone());
        }
        self.head = entry.head();
        if self.noted.as_ref() == Some(&self.head) {
            self.noted = None;
        }
        Ok(())
    }

    /// Whether nothing waits for a checkpoint.
    pub(crate) fn is_signed_to_the_end(&self) -> bool {
        self.last_is_checkpoint
    }

    /// After the last entry.
    pub(crate) fn finish(self) -> Result<Report, Fault> {
        let Self { key, head, signed, checkpoints, noted, .. } = self;
        if let Some(noted) = noted {
            return Err(Fault::Noted(noted.sequence));
        }
        let signed_to = signed.map_or(0, |signed| signed.sequence);
        if head.sequence > 0 && signed_to == 0 {
            return Err(Fault::Unsigned(key.id()));
        }
        Ok(Report { entries: head.sequence, checkpoints, signed_to, key_id: key.id(), head })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::audit::checkpoint::Signer;
    use crate::audit::entry::Said;

    fn log(signer: &Signer, count: i64) -> Vec<Entry> {
        let (mut head, mut entries) = (Head::default(), Vec::new());
        for n in 0..count {
            let time = Timestamp::from_second(1_790_000_000 + n).unwrap();
            let entry = if n % 4 == 3 {
                signer.checkpoint(&head, time).entry(&head).unwrap()
            } else {
                let (namespace, subject) = ("shop", format!("Remediation/r-{n}"));
                let (actor, action) = ("causeway-executor", "Applied");
                head.next(Said { time, namespace, actor, action, subject: &subject, detail: "{}".into() })
            };
            head = entry.head();
            entries.push(entry);
        }
        entries
    }

    fn verify(signer: &Signer, entries: &[Entry]) -> Result<Report, Fault> {
        let mut verifier = Verifier::new(signer.public_key());
        entries.iter().try_for_each(|entry| verifier.see(entry))?;
        verifier.finish()
    }

    #[test]
    fn a_whole_log_is_signed_up_to_its_last_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let signer = Signer::open(folder.path(), None).unwrap();
        let entries = log(&signer, 10);
        let report = verify(&signer, &entries).unwrap();
        assert_eq!((report.entries, report.checkpoints, report.signed_to), (10, 2, 7));
        assert_eq!(verify(&signer, &[]).unwrap().entries, 0);
        let again = Signer::open(folder.path(), None).unwrap();
        assert_eq!(verify(&again, &entries).unwrap(), report, "the key is kept");
        let read = PublicKey::read(&folder.path().join("audit.pub")).unwrap();
        assert_eq!(read, signer.public_key());
    }

    #[test]
    fn every_changed_byte_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let signer = Signer::open(folder.path(), None).unwrap();
        let lines: Vec<String> =
            log(&signer, 8).iter().map(|entry| serde_json::to_string(entry).unwrap()).collect();
        for (at, line) in lines.iter().enumerate() {
            for byte in 0..line.len() {
                let mut changed = line.clone().into_bytes();
                changed[byte] ^= 1;
                let Ok(changed) = String::from_utf8(changed) else { continue };
                let mut lines = lines.clone();
                lines[at] = changed;
                let entries: Result<Vec<Entry>, _> =
                    lines.iter().map(|line| serde_json::from_str(line)).collect();
                let Ok(entries) = entries else { continue };
                let told = verify(&signer, &entries);
                assert!(told.is_err(), "byte {byte} of {line}");
            }
        }
    }

    #[test]
    fn removing_moving_doubling_and_forging_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let signer = Signer::open(folder.path(), None).unwrap();
        let entries = log(&signer, 12);
        for at in 0..11 {
            let mut removed = entries.clone();
            removed.remove(at);
            assert!(verify(&signer, &removed).is_err(), "{at} removed");
            let mut swapped = entries.clone();
            swapped.swap(at, at + 1);
            assert!(verify(&signer, &swapped).is_err(), "{at} swapped");
            let mut doubled = entries.clone();
            doubled.insert(at, entries[at].clone());
            assert!(verify(&signer, &doubled).is_err(), "{at} doubled");
        }
        // Whoever writes a whole new log has no key.
        let other = tempfile::tempdir().unwrap();
        let forger = Signer::open(other.path(), None).unwrap();
        assert!(matches!(verify(&signer, &log(&forger, 12)), Err(Fault::Signature(4, _))));
        assert!(matches!(verify(&signer, &log(&forger, 3)), Err(Fault::Unsigned(_))));
    }

    #[test]
    fn a_cut_off_end_is_found_by_what_was_noted() {
        let folder = tempfile::tempdir().unwrap();
        let signer = Signer::open(folder.path(), None).unwrap();
        let entries = log(&signer, 12);
        let noted = entries[11].head();
        let verify = |entries: &[Entry]| {
            let mut verifier = Verifier::new(signer.public_key()).expecting(Some(noted.clone()));
            entries.iter().try_for_each(|entry| verifier.see(entry))?;
            verifier.finish()
        };
        assert!(verify(&entries).is_ok());
        assert_eq!(verify(&entries[..8]), Err(Fault::Noted(12)));
    }
}

//! Which secret belongs to which source. The table is replaced at run time; sockets see the new one at once.

use std::fmt;
use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;

use causeway_model::{Micros, SourceRef};
use causeway_wire::SharedKey;
use ipnet::IpNet;
use parking_lot::RwLock;
use sha2::{Digest, Sha256};

use crate::bucket::Bucket;
use crate::trouble::{Refusals, Trouble};

type Fingerprint = [u8; 32];

/// What proves that a sender is a source.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// Token in `Authorization: Bearer …` of HTTP and gRPC.
    Bearer(String),
    /// Shared key of Fluent Forward.
    SharedKey(String),
    /// The sender's address: every Forward connection from this network is this source, without a handshake. Where
    /// networks overlap, the narrowest holds.
    TrustedNetwork(IpNet),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bearer(_) => "Bearer(…)",
            Self::SharedKey(_) => "SharedKey(…)",
            Self::TrustedNetwork(network) => return write!(f, "TrustedNetwork({network})"),
        })
    }
}

/// Bounds of one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceLimits {
    /// Records a second; `None`: no bound.
    pub max_records_per_second: Option<u32>,
    /// Bytes of a body; `None`: the transport's bound.
    pub max_body_bytes: Option<usize>,
    /// Nothing is accepted; senders are told to retry.
    pub suspended: bool,
}

/// A source and what proves that a sender is it.
#[derive(Clone, Debug)]
pub struct SourceCredential {
    /// Source.
    pub source: SourceRef,
    /// Secrets; empty texts are ignored.
    pub secrets: Vec<Secret>,
    /// Bounds.
    pub limits: SourceLimits,
}

/// Two sources have the same secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The source that the secret selects.
    pub kept: SourceRef,
    /// The source that it would select too.
    pub refused: SourceRef,
}

/// A source that a secret selected.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) source: SourceRef,
    pub(crate) limits: SourceLimits,
    pub(crate) bucket: Option<Arc<Bucket>>,
    pub(crate) trouble: Arc<Trouble>,
}

/// How a Forward connection proved what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ForwardProof {
    Key(Fingerprint),
    Network(IpNet),
}

/// How Forward connections begin.
#[derive(Debug)]
pub(crate) enum ForwardEntry {
    /// By a handshake for one of these keys.
    Keys(Vec<SharedKey>),
    /// Without one, from this network.
    Trusted(IpNet),
    /// Not at all.
    Closed,
}

#[derive(Debug, Default)]
struct Table {
    bearer: Vec<(Fingerprint, Arc<Grant>)>,
    forward: Vec<(Fingerprint, SharedKey, Arc<Grant>)>,
    networks: Vec<(IpNet, Arc<Grant>)>,
    grants: Vec<Arc<Grant>>,
}

/// The credentials of all sources; clones share them. Without any, nothing is accepted.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    table: Arc<RwLock<Arc<Table>>>,
}

impl Credentials {
    /// No credentials.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces all credentials. A source whose rate did not change keeps its account of records. Where two sources
    /// have the same secret, the first keeps it, and the conflict is given back.
    #[must_use = "conflicts belong into the status of the refused source"]
    pub fn replace(&self, sources: Vec<SourceCredential>, now_us: Micros) -> Vec<Conflict> {
        let old = Arc::clone(&self.table.read());
        let (mut table, mut conflicts) = (Table::default(), Vec::new());
        for SourceCredential { source, secrets, limits } in sources {
            let bucket = limits.max_records_per_second.map(|rate| old.bucket(&source, rate, now_us));
            let trouble = old.trouble(&source);
            let grant = Arc::new(Grant { source, limits, bucket, trouble });
            for secret in secrets {
                if let Some(kept) = table.add(secret, &grant) {
                    conflicts.push(Conflict { kept, refused: grant.source.clone() });
                }
            }
            table.grants.push(grant);
        }
        *self.table.write() = Arc::new(table);
        conflicts
    }

    /// The source of a bearer token. Takes the same time for every token.
    pub(crate) fn by_bearer(&self, token: &str) -> Option<Arc<Grant>> {
        let table = Arc::clone(&self.table.read());
        let wanted = fingerprint(token);
        let mut found = None;
        for (known, grant) in &table.bearer {
            if equal(known, &wanted) {
                found = Some(Arc::clone(grant));
            }
        }
        found
    }

    /// When records of a source were last refused.
    #[must_use]
    pub fn refusals(&self, source: &SourceRef) -> Refusals {
        self.table.read().trouble(source).refusals()
    }

    pub(crate) fn forward_entry(&self, peer: IpAddr) -> ForwardEntry {
        let table = self.table.read();
        // A listener on `::` sees IPv4 peers as mapped addresses.
        let peer = peer.to_canonical();
        let trusted = table.networks.iter().filter(|(network, _)| network.contains(&peer));
        if let Some((network, _)) = trusted.max_by_key(|(network, _)| network.prefix_len()) {
            ForwardEntry::Trusted(*network)
        } else if !table.forward.is_empty() {
            ForwardEntry::Keys(table.forward.iter().map(|(_, key, _)| key.clone()).collect())
        } else {
            ForwardEntry::Closed
        }
    }

    /// What a connection keeps that proved to know a key of [`Credentials::forward_entry`].
    pub(crate) fn proof_of(&self, key: &SharedKey) -> Option<ForwardProof> {
        let table = self.table.read();
        table.forward.iter().find(|(_, known, _)| known == key).map(|(print, _, _)| ForwardProof::Key(*print))
    }

    /// The source of a Forward connection, while its proof is still good.
    pub(crate) fn by_proof(&self, proof: ForwardProof) -> Option<Arc<Grant>> {
        let table = self.table.read();
        match proof {
            ForwardProof::Key(print) => table
                .forward
                .iter()
                .find(|(known, _, _)| *known == print)
                .map(|(_, _, grant)| Arc::clone(grant)),
            ForwardProof::Network(network) => {
                table.networks.iter().find(|(known, _)| *known == network).map(|(_, grant)| Arc::clone(grant))
            }
        }
    }
}

impl Table {
    fn bucket(&self, source: &SourceRef, rate: u32, now_us: Micros) -> Arc<Bucket> {
        let known = self.grants.iter().find(|g| g.source == *source).and_then(|g| g.bucket.clone());
        known.filter(|b| b.rate() == rate).unwrap_or_else(|| Arc::new(Bucket::new(rate, now_us)))
    }

    fn trouble(&self, source: &SourceRef) -> Arc<Trouble> {
        let known = self.grants.iter().find(|g| g.source == *source);
        known.map(|g| Arc::clone(&g.trouble)).unwrap_or_default()
    }

    /// Adds a secret; gives the source that has it already.
    fn add(&mut self, secret: Secret, grant: &Arc<Grant>) -> Option<SourceRef> {
        match secret {
            Secret::Bearer(text) | Secret::SharedKey(text) if text.is_empty() => None,
            Secret::Bearer(token) => {
                let print = fingerprint(&token);
                if let Some((_, other)) = self.bearer.iter().find(|(known, _)| *known == print) {
                    return Some(other.source.clone()).filter(|s| *s != grant.source);
                }
                self.bearer.push((print, Arc::clone(grant)));
                None
            }
            Secret::SharedKey(key) => {
                let print = fingerprint(&key);
                if let Some((_, _, other)) = self.forward.iter().find(|(known, _, _)| *known == print) {
                    return Some(other.source.clone()).filter(|s| *s != grant.source);
                }
                self.forward.push((print, SharedKey::new(key), Arc::clone(grant)));
                None
            }
            Secret::TrustedNetwork(network) => {
                let network = network.trunc();
                if let Some((_, other)) = self.networks.iter().find(|(known, _)| *known == network) {
                    return Some(other.source.clone()).filter(|s| *s != grant.source);
                }
                self.networks.push((network, Arc::clone(grant)));
                None
            }
        }
    }
}

fn fingerprint(secret: &str) -> Fingerprint {
    Sha256::digest(secret.as_bytes()).into()
}

/// Compares in constant time.
fn equal(a: &Fingerprint, b: &Fingerprint) -> bool {
    black_box(a.iter().zip(b).fold(0, |acc, (a, b)| black_box(acc | (a ^ b)))) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(name: &str, secrets: &[Secret]) -> SourceCredential {
        SourceCredential {
            source: SourceRef { namespace: "shop".to_owned(), name: name.to_owned() },
            secrets: secrets.to_vec(),
            limits: SourceLimits { max_records_per_second: Some(10), ..SourceLimits::default() },
        }
    }

    #[test]
    fn secrets_select_sources_and_the_table_is_swapped() {
        let credentials = Credentials::new();
        assert!(credentials.by_bearer("").is_none());
        let (a, b, key) =
            (Secret::Bearer("a".into()), Secret::Bearer("b".into()), Secret::SharedKey("k".into()));
        let conflicts = credentials.replace(
            vec![
                credential("one", &[a.clone(), Secret::Bearer(String::new()), key]),
                credential("two", &[b.clone(), a.clone()]),
            ],
            0,
        );
        assert_eq!(conflicts.len(), 1);
        assert_eq!((conflicts[0].kept.name.as_str(), conflicts[0].refused.name.as_str()), ("one", "two"));
        assert_eq!(credentials.by_bearer("b").unwrap().source.name, "two");
        assert!(credentials.by_bearer("").is_none() && credentials.by_bearer("c").is_none());
        let proof = credentials.proof_of(&SharedKey::new("k")).unwrap();
        let one = credentials.by_bearer("a").unwrap();
        one.bucket.as_ref().unwrap().charge(50);
        assert!(credentials.replace(vec![credential("one", &[a])], 0).is_empty());
        assert!(credentials.by_bearer("b").is_none() && credentials.by_proof(proof).is_none());
        let one = credentials.by_bearer("a").unwrap();
        assert!(one.bucket.as_ref().unwrap().check(0).is_err(), "the account of records is kept");
        assert_eq!(format!("{b:?}"), "Bearer(…)");
    }
}

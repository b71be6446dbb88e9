//! Checkpoints: Ed25519 signatures (RFC 8032) over the head of the chain, which anybody verifies with the public key.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::entry::{Entry, Head, Said, hex, unhex};

/// Action of an entry that is a checkpoint.
pub(crate) const CHECKPOINT: &str = "Checkpoint";
/// What comes before the 32 bytes of an Ed25519 key in its `SubjectPublicKeyInfo` (RFC 8410).
const SPKI_PREFIX: &str = "302a300506032b6570032100";

/// Detail of an entry that is a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Checkpoint {
    /// Number of the last entry that is signed for.
    pub(crate) sequence: i64,
    /// Its hash.
    pub(crate) hash: String,
    /// When.
    pub(crate) time: Timestamp,
    /// Which key signed.
    pub(crate) key_id: String,
    /// Hex.
    pub(crate) signature: String,
}

fn message(head: &Head, time: Timestamp) -> String {
    format!("causeway audit checkpoint\n{}\n{}\n{}\n", head.sequence, head.hash, time.as_nanosecond())
}

/// The pair that signs.
pub(crate) struct Signer {
    pair: Ed25519KeyPair,
    key_id: String,
}

impl Signer {
    /// The key in `given`, PKCS #8 as DER or PEM, which several processes share; else the one in `folder`, made at the
    /// first use: `audit.key` for its owner only. `audit.pub` in `folder` is for everybody.
    pub(crate) fn open(folder: &Path, given: Option<&Path>) -> Result<Self> {
        let secret = given.map_or_else(|| folder.join("audit.key"), Path::to_owned);
        let document = match std::fs::read(&secret) {
            Ok(document) => unwrap_pem(document)
                .with_context(|| format!("{} is no PEM file with one key", secret.display()))?,
            Err(error) if given.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
                    .map_err(|_| anyhow!("no random numbers for a key"))?;
                write_secret(&secret, document.as_ref())?;
                document.as_ref().to_vec()
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", secret.display())),
        };
        let pair = Ed25519KeyPair::from_pkcs8(&document)
            .map_err(|error| anyhow!("{} holds no Ed25519 key: {error}", secret.display()))?;
        let key = PublicKey(pair.public_key().as_ref().to_vec());
        let public = folder.join("audit.pub");
        std::fs::write(&public, key.pem()).with_context(|| format!("cannot write {}", public.display()))?;
        Ok(Self { key_id: key.id(), pair })
    }

    /// The key that verifies what this one signs.
    pub(crate) fn public_key(&self) -> PublicKey {
        PublicKey(self.pair.public_key().as_ref().to_vec())
    }

    /// The checkpoint of everything up to `head`.
    pub(crate) fn checkpoint(&self, head: &Head, time: Timestamp) -> Checkpoint {
        let signature = self.pair.sign(message(head, time).as_bytes());
        Checkpoint {
            sequence: head.sequence,
            hash: head.hash.clone(),
            time,
            key_id: self.key_id.clone(),
            signature: hex(signature.as_ref()),
        }
    }
}

/// DER as it is; PEM decoded.
fn unwrap_pem(document: Vec<u8>) -> Result<Vec<u8>> {
    let Ok(text) = std::str::from_utf8(&document) else { return Ok(document) };
    if !text.trim_start().starts_with("-----BEGIN") {
        return Ok(document);
    }
    let base64: String = text.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
    Ok(BASE64_STANDARD.decode(base64)?)
}

fn write_secret(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write as _;

    let new = path.with_added_extension("new");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options
        .open(&new)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&new, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

impl Checkpoint {
    /// The entry that keeps the checkpoint.
    pub(crate) fn entry(&self, head: &Head) -> Result<Entry> {
        Ok(head.next(Said {
            time: self.time,
            namespace: "",
            actor: "causeway-operator",
            action: CHECKPOINT,
            subject: "AuditLog",
            detail: serde_json::to_string(self)?,
        }))
    }

    pub(crate) fn head(&self) -> Head {
        Head { sequence: self.sequence, hash: self.hash.clone() }
    }

    /// Whether `key` signed it.
    pub(crate) fn is_signed_by(&self, key: &PublicKey) -> bool {
        let message = message(&self.head(), self.time);
        unhex(&self.signature).is_some_and(|signature| {
            UnparsedPublicKey::new(&ED25519, &key.0).verify(message.as_bytes(), &signature).is_ok()
        })
    }
}

/// The key that verifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicKey(Vec<u8>);

impl PublicKey {
    /// Reads a PEM file with a `PUBLIC KEY`.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        use rustls::pki_types::SubjectPublicKeyInfoDer;
        use rustls::pki_types::pem::PemObject as _;

        let der = SubjectPublicKeyInfoDer::from_pem_file(path)
            .map_err(|error| anyhow!("cannot read a public key from {}: {error}", path.display()))?;
        let prefix = unhex(SPKI_PREFIX).unwrap_or_default();
        match der.as_ref().strip_prefix(prefix.as_slice()) {
            Some(key) if key.len() == 32 => Ok(Self(key.to_vec())),
            _ => bail!("{} holds no Ed25519 public key", path.display()),
        }
    }

    /// The first bytes of the key's SHA-256, by which people and checkpoints name it.
    pub(crate) fn id(&self) -> String {
        let digest = Sha256::digest(&self.0);
        format!("ed25519:{}", hex(digest.get(..8).unwrap_or_default()))
    }

    fn pem(&self) -> String {
        let mut der = unhex(SPKI_PREFIX).unwrap_or_default();
        der.extend(&self.0);
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64_STANDARD.encode(der))
    }
}

//! Incident bundles: one file with all that a decision was made from, so that it can be made again elsewhere.

use std::io::{Read as _, Write as _};

use causeway_causal::case::Case;
use causeway_causal::draft::{self, IncidentDraft};
use causeway_causal::group::Group;
use causeway_causal::impact::{Impact, Money};
use causeway_causal::rank::rank;
use causeway_causal::ranking::Ranking;
use causeway_model::Micros;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Version of the file's form.
const VERSION: u32 = 1;
/// Significant digits of numbers that a decision is compared by: mathematical functions of two machines may differ in
/// the last of seventeen.
const DIGITS: usize = 9;
/// Largest bundle that is read, in bytes, unpacked.
const LARGEST: u64 = 1 << 30;

/// What a cause is looked for in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Inquiry {
    /// Telemetry around the symptom, its normal, topology and changes.
    pub(crate) case: Case,
    pub(crate) group: Group,
    pub(crate) impact: Impact,
    pub(crate) money: Option<Money>,
}

impl Inquiry {
    pub(crate) fn decide(&self, ranking: &Ranking) -> IncidentDraft {
        draft::build(&self.group, &self.case, ranking, self.impact.clone(), self.money.clone())
    }
}

#[derive(Serialize, Deserialize)]
struct Content<I> {
    version: u32,
    made_by: String,
    decided_us: Micros,
    decision: String,
    inquiry: I,
    /// What a repair was planned on, as JSON text; bundles of before have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    objects: Option<String>,
}

/// A bundle as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleFile {
    /// Fingerprint of the incident.
    pub fingerprint: String,
    /// SHA-256 of the bytes, as `sha256:` and hexadecimal digits.
    pub digest: String,
    /// The file.
    pub bytes: Vec<u8>,
}

/// A bundle that was read.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Version of Causeway that made it.
    pub made_by: String,
    /// Data time of the decision.
    pub decided_us: Micros,
    /// Hash of the decision that was made.
    pub decision: String,
    /// What a repair was planned on, as JSON text, if one was planned before the bundle was fetched.
    pub objects: Option<String>,
    inquiry: Inquiry,
}

/// A decision that was made again.
#[derive(Clone, Debug)]
pub struct Replay {
    /// All suspects.
    pub ranking: Ranking,
    /// The decision.
    pub draft: IncidentDraft,
    /// Its hash.
    pub decision: String,
}

/// Why a bundle can't be read.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The file is damaged, or something else.
    #[error("this is no incident bundle: {0}")]
    Damaged(String),
    /// A form that this version does not know.
    #[error("the bundle has form {found}, this version reads form {VERSION}")]
    Version {
        /// The form of the file.
        found: u32,
    },
}

/// Packs an inquiry with the decision that came of it. Cost: O(spans and lines).
pub(crate) fn pack(
    inquiry: &Inquiry,
    draft: &IncidentDraft,
    decided_us: Micros,
) -> Result<BundleFile, BundleError> {
    let content = Content {
        version: VERSION,
        made_by: env!("CARGO_PKG_VERSION").to_owned(),
        decided_us,
        decision: decision_hash(draft)?,
        inquiry,
        objects: None,
    };
    let bytes = packed(&content)?;
    Ok(BundleFile { fingerprint: inquiry.group.fingerprint.clone(), digest: digest(&bytes), bytes })
}

fn packed<I: Serialize>(content: &Content<I>) -> Result<Vec<u8>, BundleError> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    rmp_serde::encode::write_named(&mut packer, content).map_err(damaged)?;
    packer.flush().map_err(damaged)?;
    packer.finish().map_err(damaged)
}

fn unpacked(bytes: &[u8]) -> Result<Content<Inquiry>, BundleError> {
    #[derive(Deserialize)]
    struct Form {
        version: u32,
    }
    let mut plain = Vec::new();
    GzDecoder::new(bytes).take(LARGEST).read_to_end(&mut plain).map_err(damaged)?;
    let Form { version } = rmp_serde::from_slice(&plain).map_err(damaged)?;
    if version != VERSION {
        return Err(BundleError::Version { found: version });
    }
    rmp_serde::from_slice(&plain).map_err(damaged)
}

/// The bundle with the objects that a repair was planned on, so that Runbooks can be tested on it. Its decision stays what
/// it is; its digest is another one.
///
/// # Errors
/// When it is damaged, or of another version.
pub fn with_objects(bytes: &[u8], objects: String) -> Result<Vec<u8>, BundleError> {
    let mut content = unpacked(bytes)?;
    content.objects = Some(objects);
    packed(&content)
}

fn damaged(error: impl std::fmt::Display) -> BundleError {
    BundleError::Damaged(error.to_string())
}

/// SHA-256 as `sha256:` and hexadecimal digits.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    let hash: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hash}")
}

impl Bundle {
    /// Reads a bundle.
    ///
    /// # Errors
    /// When it is damaged, or of another version.
    pub fn read(bytes: &[u8]) -> Result<Self, BundleError> {
        let Content { made_by, decided_us, decision, inquiry, objects, .. } = unpacked(bytes)?;
        Ok(Self { made_by, decided_us, decision, objects, inquiry })
    }

    /// Fingerprint of the incident.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.inquiry.group.fingerprint
    }

    /// Makes the decision again, from the content alone.
    ///
    /// # Errors
    /// When the decision has no form as text.
    pub fn replay(&self) -> Result<Replay, BundleError> {
        let ranking = rank(&self.inquiry.case);
        let draft = self.inquiry.decide(&ranking);
        let decision = decision_hash(&draft)?;
        Ok(Replay { ranking, draft, decision })
    }
}

/// SHA-256 of everything that was decided, its numbers to nine significant digits.
fn decision_hash(draft: &IncidentDraft) -> Result<String, BundleError> {
    let mut value = serde_json::to_value(draft).map_err(damaged)?;
    round(&mut value);
    Ok(digest(value.to_string().as_bytes()))
}

fn round(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Number(number) => {
            if let Some(exact) = number.as_f64().filter(|_| number.is_f64()) {
                *value = format!("{exact:.*e}", DIGITS - 1).into();
            }
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(round),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(round),
        _ => {}
    }
}

//! Signed webhooks as in the Standard Webhooks specification (<https://www.standardwebhooks.com>), version `v1`:
//! HMAC-SHA256 over `id.timestamp.body`, in base64.
//!
//! Headers: `webhook-id`, `webhook-timestamp` (Unix seconds), `webhook-signature: v1,<base64>`, with several signatures
//! separated by spaces while a key is changed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use crate::secret::Secret;

/// Block size of SHA-256, in bytes.
const BLOCK: usize = 64;

/// Header with the id of the message; it stays the same when a message is sent again.
pub(crate) const ID: &str = "webhook-id";
/// Header with the time of sending.
pub(crate) const TIMESTAMP: &str = "webhook-timestamp";
/// Header with the signature.
pub(crate) const SIGNATURE: &str = "webhook-signature";

/// Why a signature was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The time is not a number of seconds.
    #[error("timestamp is not a number of seconds")]
    BadTimestamp,
    /// The time is too far from now: an old message that is sent again by somebody else.
    #[error("timestamp is too far from now")]
    Stale,
    /// No signature matches.
    #[error("no signature matches")]
    Mismatch,
}

/// The value of the signature header for this message; `sent_at` is in whole seconds.
///
/// A key that begins with `whsec_` is base64 after that, as in the specification; any other key is taken as it is.
#[must_use]
pub fn sign(key: &Secret, id: &str, sent_at: Timestamp, body: &[u8]) -> String {
    let tag = mac(key, id, &sent_at.as_second().to_string(), body).finalize().into_bytes();
    format!("v1,{}", STANDARD.encode(tag))
}

/// Checks the three headers of a message against its body, in constant time.
///
/// # Errors
/// [`SignatureError`] says which check failed; `tolerance` is the greatest difference between `timestamp` and `now`.
pub fn verify(
    key: &Secret,
    id: &str,
    timestamp: &str,
    signatures: &str,
    body: &[u8],
    now: Timestamp,
    tolerance: SignedDuration,
) -> Result<(), SignatureError> {
    let seconds: i64 = timestamp.parse().map_err(|_| SignatureError::BadTimestamp)?;
    let sent_at = Timestamp::from_second(seconds).map_err(|_| SignatureError::BadTimestamp)?;
    if now.duration_since(sent_at).abs() > tolerance {
        return Err(SignatureError::Stale);
    }
    let expected = mac(key, id, timestamp, body);
    let matches = signatures
        .split_whitespace()
        .filter_map(|signature| STANDARD.decode(signature.strip_prefix("v1,")?).ok())
        .any(|tag| expected.clone().verify_slice(&tag).is_ok());
    if matches { Ok(()) } else { Err(SignatureError::Mismatch) }
}

fn mac(key: &Secret, id: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
    let text = key.expose();
    let bytes = text
        .strip_prefix("whsec_")
        .and_then(|encoded| STANDARD.decode(encoded).ok())
        .unwrap_or_else(|| text.as_bytes().to_vec());
    // HMAC takes keys of every length: one longer than the block is hashed first (RFC 2104), a shorter one padded.
    let short = if bytes.len() > BLOCK { Sha256::digest(&bytes).to_vec() } else { bytes };
    let mut block = [0_u8; BLOCK];
    block.iter_mut().zip(&short).for_each(|(to, from)| *to = *from);
    let mut mac = <Hmac<Sha256> as KeyInit>::new(&block.into());
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

    /// The example of the specification.
    #[test]
    fn agrees_with_the_published_example() {
        let key = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let sent_at = Timestamp::from_second(1_614_265_330).unwrap();
        let signature = sign(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", sent_at, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn tampered_or_old_messages_are_refused() {
        let (key, now) = (Secret::new("plain key"), Timestamp::from_second(1_000_000).unwrap());
        let signature = sign(&key, "id", now, b"body");
        let check = |key: &Secret, id: &str, timestamp: &str, signature: &str, body: &[u8]| {
            verify(key, id, timestamp, signature, body, now, TOLERANCE)
        };
        assert_eq!(check(&key, "id", "1000000", &format!("v1,AAAA {signature}"), b"body"), Ok(()));
        assert_eq!(check(&key, "id", "1000000", &signature, b"bodY"), Err(SignatureError::Mismatch));
        assert_eq!(check(&key, "other", "1000000", &signature, b"body"), Err(SignatureError::Mismatch));
        assert_eq!(check(&key, "id", "1000001", &signature, b"body"), Err(SignatureError::Mismatch));
        assert_eq!(check(&key, "id", "1", &signature, b"body"), Err(SignatureError::Stale));
        assert_eq!(check(&key, "id", "soon", &signature, b"body"), Err(SignatureError::BadTimestamp));
        assert_eq!(
            check(&Secret::new("x"), "id", "1000000", &signature, b"body"),
            Err(SignatureError::Mismatch)
        );
    }
}

//! The shared-key handshake: HELO from us, PING from the sender, PONG from us.

use std::hint::black_box;

use rmpv::{Value, ValueRef};
use sha2::{Digest, Sha512};

/// A list of texts needs 5: `rmpv` counts two for a list and up to three for what lies in it.
const MAX_DEPTH: usize = 8;

/// A shared key, as bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct SharedKey(Vec<u8>);

impl SharedKey {
    /// Wraps a key.
    #[must_use]
    pub fn new(key: impl Into<Vec<u8>>) -> Self {
        Self(key.into())
    }
}

impl std::fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedKey(…)")
    }
}

/// The sender's proof that it knows a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ping {
    hostname: Vec<u8>,
    salt: Vec<u8>,
    hex_digest: Vec<u8>,
}

impl Ping {
    /// Reads `["PING", hostname, salt, digest, user, password]`; `None` when it is something else.
    pub(super) fn parse(mut message: &[u8]) -> Option<Self> {
        let ValueRef::Array(fields) =
            rmpv::decode::read_value_ref_with_max_depth(&mut message, MAX_DEPTH).ok()?
        else {
            return None;
        };
        let bytes = |index: usize| match fields.get(index)? {
            ValueRef::String(text) => Some(text.as_bytes().to_vec()),
            ValueRef::Binary(bytes) => Some(bytes.to_vec()),
            _ => None,
        };
        (bytes(0)? == b"PING").then_some(())?;
        Some(Self { hostname: bytes(1)?, salt: bytes(2)?, hex_digest: bytes(3)? })
    }
}

/// Our side of one connection's handshake.
#[derive(Clone, Debug)]
pub struct Handshake {
    hostname: String,
    nonce: [u8; 16],
}

impl Handshake {
    /// `nonce` must be random and used for one connection only.
    #[must_use]
    pub fn new(hostname: &str, nonce: [u8; 16]) -> Self {
        Self { hostname: hostname.to_owned(), nonce }
    }

    /// The first message, sent as soon as the connection is open. It asks for no user.
    #[must_use]
    pub fn helo(&self) -> Vec<u8> {
        let options = Value::Map(vec![
            ("nonce".into(), Value::Binary(self.nonce.to_vec())),
            ("auth".into(), Value::Binary(Vec::new())),
            ("keepalive".into(), true.into()),
        ]);
        encode(&Value::Array(vec!["HELO".into(), options]))
    }

    /// The answer to a PING and the index of the key that the sender knows. All keys are tried, in a time that does
    /// not depend on which one fits.
    #[must_use]
    pub fn answer<'k>(
        &self,
        ping: &Ping,
        keys: impl IntoIterator<Item = &'k SharedKey>,
    ) -> (Vec<u8>, Option<usize>) {
        let mut found = None;
        let mut pong_digest = String::new();
        for (index, key) in keys.into_iter().enumerate() {
            let expected = self.digest(ping, &ping.hostname, key);
            let matches = equal(expected.as_bytes(), &ping.hex_digest);
            let answer = self.digest(ping, self.hostname.as_bytes(), key);
            if matches {
                found = Some(index);
                pong_digest = answer;
            }
        }
        let (reason, hostname) = match found {
            Some(_) => ("", self.hostname.as_str()),
            None => ("shared_key mismatch", ""),
        };
        let pong = Value::Array(vec![
            "PONG".into(),
            found.is_some().into(),
            reason.into(),
            hostname.into(),
            pong_digest.into(),
        ]);
        (encode(&pong), found)
    }

    /// SHA-512 of salt, hostname, nonce and key, in hex.
    fn digest(&self, ping: &Ping, hostname: &[u8], key: &SharedKey) -> String {
        let mut hash = Sha512::new();
        for part in [ping.salt.as_slice(), hostname, &self.nonce, &key.0] {
            hash.update(part);
        }
        hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
    }
}

/// Compares in a time that depends on the lengths only.
fn equal(a: &[u8], b: &[u8]) -> bool {
    let different = a.iter().zip(b).fold(0, |acc, (a, b)| black_box(acc | (a ^ b)));
    a.len() == b.len() && black_box(different) == 0
}

pub(super) fn encode(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    // Writing into memory does not fail.
    rmpv::encode::write_value(&mut out, value).map(|()| out).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ping(handshake: &Handshake, hostname: &str, salt: &str, key: &SharedKey) -> Ping {
        let mut ping = Ping { hostname: hostname.into(), salt: salt.into(), hex_digest: Vec::new() };
        ping.hex_digest = handshake.digest(&ping, hostname.as_bytes(), key).into_bytes();
        ping
    }

    #[test]
    fn a_ping_is_read() {
        let fields = ["PING", "app", "salt", "00ff", "", ""].map(Value::from).to_vec();
        let want = Ping { hostname: b"app".to_vec(), salt: b"salt".to_vec(), hex_digest: b"00ff".to_vec() };
        assert_eq!(Ping::parse(&encode(&Value::Array(fields))), Some(want));
        assert_eq!(Ping::parse(&encode(&Value::Array(vec!["PONG".into()]))), None);
    }

    #[test]
    fn the_right_key_is_found_among_several() {
        let keys = [SharedKey::new("one"), SharedKey::new("two")];
        let handshake = Handshake::new("gateway", [7; 16]);
        let (pong, found) = handshake.answer(&ping(&handshake, "app", "salt", &keys[1]), &keys);
        assert_eq!(found, Some(1));
        let pong = rmpv::decode::read_value(&mut pong.as_slice()).unwrap();
        assert_eq!((pong[0].as_str(), pong[1].as_bool()), (Some("PONG"), Some(true)));
        let (_, found) = handshake.answer(&ping(&handshake, "app", "salt", &SharedKey::new("three")), &keys);
        assert_eq!(found, None);
        let other = Handshake::new("gateway", [8; 16]);
        assert_eq!(
            other.answer(&ping(&handshake, "app", "salt", &keys[0]), &keys).1,
            None,
            "a nonce is for once"
        );
        assert!(!format!("{keys:?}").contains("one"));
    }
}

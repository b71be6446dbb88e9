//! Identity of an incident: a hash of structured facts.

/// A hash of structured facts, 16 hexadecimal digits. Prose never takes part.
pub fn fingerprint(facts: &[&str]) -> String {
    let mut bytes = Vec::new();
    for fact in facts {
        bytes.extend_from_slice(&(fact.len() as u64).to_le_bytes());
        bytes.extend_from_slice(fact.as_bytes());
    }
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(&bytes))
}

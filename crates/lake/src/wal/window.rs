//! The hashes of the last accepted requests, so that a sender's retry is dropped.

use std::collections::{HashSet, VecDeque};
use std::path::Path;

use super::frame::{u32_at, u64_at};

const MAGIC: [u8; 8] = *b"CwWin\0\0\x01";
const HEADER: usize = 24;

/// A bounded set that forgets its oldest member first.
#[derive(Debug)]
pub(crate) struct Window {
    capacity: usize,
    order: VecDeque<u64>,
    members: HashSet<u64>,
}

impl Window {
    /// An empty window of at most `capacity` hashes.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), order: VecDeque::new(), members: HashSet::new() }
    }

    /// Whether the hash is known.
    pub(crate) fn contains(&self, hash: u64) -> bool {
        self.members.contains(&hash)
    }

    /// Adds a hash; a known one keeps its place.
    pub(crate) fn insert(&mut self, hash: u64) {
        if !self.members.insert(hash) {
            return;
        }
        self.order.push_back(hash);
        while self.order.len() > self.capacity {
            if let Some(oldest) = self.order.pop_front() {
                self.members.remove(&oldest);
            }
        }
    }

    /// The bytes of the side file: the hashes, and the next sequence of the log, so that numbers are never reused
    /// after all segments are gone.
    pub(crate) fn to_bytes(&self, next_sequence: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + self.order.len() * 8 + 4);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&next_sequence.to_le_bytes());
        out.extend_from_slice(&(self.order.len() as u64).to_le_bytes());
        for hash in &self.order {
            out.extend_from_slice(&hash.to_le_bytes());
        }
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// Adds the hashes of a side file, and returns its next sequence; `None` when the bytes are damaged.
    pub(crate) fn load(&mut self, bytes: &[u8]) -> Option<u64> {
        let body = bytes.len().checked_sub(4)?;
        if body < HEADER || bytes[..8] != MAGIC || crc32fast::hash(&bytes[..body]) != u32_at(bytes, body) {
            return None;
        }
        for hash in bytes[HEADER..body].chunks_exact(8) {
            self.insert(u64_at(hash, 0));
        }
        Some(u64_at(bytes, 8))
    }
}

/// Replaces a file so that a crash leaves either the old or the new content.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("new");
    std::fs::write(&temporary, bytes)?;
    std::fs::File::open(&temporary)?.sync_all()?;
    std::fs::rename(&temporary, path)?;
    sync_parent(path)
}

/// Makes creations, renames and removals in the file's folder durable.
pub(crate) fn sync_parent(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) => std::fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_and_the_rest_survives_the_side_file() {
        let mut window = Window::new(3);
        for hash in [1, 2, 2, 3, 4] {
            window.insert(hash);
        }
        let mut bytes = window.to_bytes(9);
        let mut again = Window::new(3);
        assert_eq!(again.load(&bytes), Some(9));
        assert_eq!([1, 2, 3, 4].map(|h| again.contains(h)), [false, true, true, true]);
        bytes[20] ^= 1;
        assert_eq!(Window::new(3).load(&bytes), None);
        assert_eq!(Window::new(3).load(b""), None);
    }
}

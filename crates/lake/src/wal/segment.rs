//! One file of the write-ahead log.

use bytes::Bytes;
use uuid::Uuid;

use super::frame::{Frame, MAGIC as FRAME_MAGIC, u32_at, u64_at};

const MAGIC: [u8; 8] = *b"CwWal\0\0\x01";
/// Bytes before the first frame.
pub(crate) const HEADER: usize = 36;

/// The start of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The log it belongs to.
    pub(crate) wal: Uuid,
    /// Sequence of its first frame. Frames of earlier segments with this or a later number were never
    /// acknowledged, and are void.
    pub(crate) first: u64,
}

impl Header {
    pub(crate) fn to_bytes(self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[..8].copy_from_slice(&MAGIC);
        out[8..24].copy_from_slice(self.wal.as_bytes());
        out[24..32].copy_from_slice(&self.first.to_le_bytes());
        let crc = crc32fast::hash(&out[..32]);
        out[32..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..HEADER)?;
        if bytes[..8] != MAGIC || crc32fast::hash(&bytes[..32]) != u32_at(bytes, 32) {
            return None;
        }
        Some(Self { wal: Uuid::from_slice(&bytes[8..24]).ok()?, first: u64_at(bytes, 24) })
    }
}

/// What a segment holds.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Sound frames in file order.
    pub(crate) frames: Vec<Frame>,
    /// Byte ranges in front of sound frames of later syncs: acknowledged data that can't be read.
    pub(crate) damage: Vec<(usize, usize)>,
    /// Where the file stops being whole, if it does: the rest was never acknowledged.
    pub(crate) torn: Option<usize>,
}

/// Reads all frames from `start` on.
///
/// A sync that was under way in a crash may leave holes, since pages reach the disk in any order. So a bad range is
/// damage only if a frame of a *later* sync follows it: that sync began after the bad range was acknowledged.
pub(crate) fn scan(bytes: &Bytes, start: usize, first: u64) -> Scan {
    let mut found = Vec::new();
    let mut at = start;
    while at < bytes.len() {
        match Frame::read(bytes, at) {
            Some(frame) => {
                let next = at + frame.len();
                found.push((at, frame));
                at = next;
            }
            None => match next_frame(bytes, at + 1) {
                Some(next) => at = next,
                None => break,
            },
        }
    }
    let last_group = found.last().map_or(0, |(_, frame)| frame.group);
    let mut scan = Scan::default();
    let (mut end, mut expected) = (start, first);
    for (at, frame) in found {
        if at != end {
            if last_group <= expected {
                break;
            }
            scan.damage.push((end, at));
        }
        end = at + frame.len();
        expected = frame.sequence + 1;
        scan.frames.push(frame);
    }
    if end != bytes.len() {
        scan.torn = Some(end);
    }
    scan
}

fn next_frame(bytes: &Bytes, from: usize) -> Option<usize> {
    let candidates = bytes.get(from..)?.windows(FRAME_MAGIC.len()).enumerate();
    candidates
        .filter(|(_, window)| *window == FRAME_MAGIC)
        .map(|(offset, _)| from + offset)
        .find(|at| Frame::read(bytes, *at).is_some())
}

#[cfg(test)]
mod tests {
    use super::super::frame::Draft;
    use super::*;

    /// Three syncs: 1; 2, 3, 4; 5. Returns the bytes and each frame's start.
    fn segment() -> (Vec<u8>, Vec<usize>) {
        let header = Header { wal: Uuid::nil(), first: 1 };
        let (mut out, mut starts) = (header.to_bytes().to_vec(), Vec::new());
        for (sequence, group) in [(1, 1), (2, 2), (3, 2), (4, 2), (5, 5)] {
            starts.push(out.len());
            Draft::opaque(Bytes::from(vec![sequence as u8; 10])).unwrap().write(sequence, group, &mut out);
        }
        (out, starts)
    }

    fn sequences(scan: &Scan) -> Vec<u64> {
        scan.frames.iter().map(|f| f.sequence).collect()
    }

    #[test]
    fn headers_round_trip() {
        let header = Header { wal: Uuid::from_u128(9), first: 3 };
        assert_eq!(Header::read(&header.to_bytes()), Some(header));
        assert_eq!(Header::read(b"short"), None);
    }

    #[test]
    fn a_cut_at_any_byte_keeps_the_whole_frames() {
        let (bytes, starts) = segment();
        for cut in HEADER..=bytes.len() {
            let scan = scan(&Bytes::from(bytes[..cut].to_vec()), HEADER, 1);
            let whole = starts.iter().skip(1).chain([&bytes.len()]).filter(|end| **end <= cut).count();
            assert_eq!(sequences(&scan), (1..=whole as u64).collect::<Vec<_>>(), "cut at {cut}");
            assert!(scan.damage.is_empty());
            assert_eq!(scan.torn.is_some(), cut != HEADER && !starts.contains(&cut) && cut != bytes.len());
        }
    }

    #[test]
    fn a_hole_before_a_later_sync_is_damage_and_the_rest_is_saved() {
        let (mut bytes, starts) = segment();
        bytes[starts[1] + 20] ^= 1;
        let scan = scan(&bytes.into(), HEADER, 1);
        assert_eq!(sequences(&scan), [1, 3, 4, 5]);
        assert_eq!(scan.damage, [(starts[1], starts[2])]);
        assert_eq!(scan.torn, None);
    }

    #[test]
    fn a_hole_within_the_last_sync_is_a_torn_tail() {
        let (mut bytes, starts) = segment();
        bytes.truncate(starts[4]);
        bytes[starts[2] + 20] ^= 1;
        let scan = scan(&bytes.into(), HEADER, 1);
        assert_eq!(sequences(&scan), [1, 2]);
        assert!(scan.damage.is_empty());
        assert_eq!(scan.torn, Some(starts[2]));
    }
}

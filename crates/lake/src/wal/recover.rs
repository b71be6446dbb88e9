//! Reading the log when it is opened.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use uuid::Uuid;

use super::frame::{Frame, Kind, table_index};
use super::segment::{self, Header, Scan, scan};
use super::window::{Window, replace_file, sync_parent};
use super::{Recovery, WalError};

/// Place of opaque frames behind those of the tables.
pub(crate) const OPAQUE: usize = 6;

/// Newest sequence of each table, and of opaque frames; 0: none.
pub(crate) type Newest = [u64; 7];

/// Position of a kind in [`Newest`].
pub(crate) fn slot(kind: Kind) -> usize {
    match kind {
        Kind::Opaque => OPAQUE,
        Kind::Rows(table) => table_index(table),
    }
}

/// A segment on disk.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) newest: Newest,
}

/// Bytes of the log that held acknowledged data and can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedRange {
    /// The segment.
    pub file: PathBuf,
    /// First bad byte.
    pub from: u64,
    /// First byte behind it.
    pub to: u64,
}

/// What was found when the log was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Segments read.
    pub segments: usize,
    /// Whole frames.
    pub frames: u64,
    /// Rows in them that were not committed yet, and are hot again.
    pub rows: u64,
    /// Bytes cut off behind the last whole frame: never acknowledged.
    pub torn_bytes: u64,
    /// What could not be read; empty unless opened with [`Recovery::Salvage`].
    pub damaged: Vec<DamagedRange>,
    /// Acknowledged frames that are missing; 0 unless opened with [`Recovery::Salvage`].
    pub missing_frames: u64,
}

/// A log that was read, ready for writing.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) segments: Vec<Segment>,
    pub(crate) next_sequence: u64,
    pub(crate) next_index: u64,
    pub(crate) window: Window,
    pub(crate) report: RecoveryReport,
}

pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> WalError + use<> {
    let path = path.to_owned();
    move |source| WalError::Io { doing, path, source }
}

/// The log's id: from its file, else from a segment, else a new one.
pub(crate) fn identity(folder: &Path) -> Result<Uuid, WalError> {
    std::fs::create_dir_all(folder).map_err(io("create", folder))?;
    let path = folder.join("id");
    if let Ok(text) = std::fs::read_to_string(&path)
        && let Ok(id) = Uuid::parse_str(text.trim())
    {
        return Ok(id);
    }
    let mut id = Uuid::new_v4();
    for (_, path) in list(folder)? {
        if let Some(header) = read_header(&path)? {
            id = header.wal;
            break;
        }
    }
    replace_file(&path, format!("{id}\n").as_bytes()).map_err(io("write", &path))?;
    Ok(id)
}

/// Segments by their number.
pub(crate) fn list(folder: &Path) -> Result<Vec<(u64, PathBuf)>, WalError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io("list", folder))? {
        let path = entry.map_err(io("list", folder))?.path();
        if path.extension().is_some_and(|e| e == "wal")
            && let Some(index) = path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse().ok())
        {
            found.push((index, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

pub(crate) fn segment_path(folder: &Path, index: u64) -> PathBuf {
    folder.join(format!("{index:012}.wal"))
}

pub(crate) fn read_header(path: &Path) -> Result<Option<Header>, WalError> {
    use std::io::Read;
    let mut start = Vec::with_capacity(segment::HEADER);
    let file = File::open(path).map_err(io("open", path))?;
    file.take(segment::HEADER as u64).read_to_end(&mut start).map_err(io("read", path))?;
    Ok(Header::read(&start))
}

/// Reads all segments, oldest first, and hands every acknowledged frame to `visit`.
///
/// A torn tail is cut off. Damage in front of acknowledged data is an error in [`Recovery::Strict`], and reported
/// in [`Recovery::Salvage`]. Memory: one segment at a time.
pub(crate) fn recover(
    folder: &Path,
    wal: Uuid,
    mode: Recovery,
    window: usize,
    visit: &mut dyn FnMut(Frame) -> Result<(), WalError>,
) -> Result<Recovered, WalError> {
    let files = list(folder)?;
    let mut out = Recovered {
        segments: Vec::new(),
        next_sequence: 1,
        next_index: files.last().map_or(0, |(index, _)| index + 1),
        window: Window::new(window),
        report: RecoveryReport::default(),
    };
    load_window(folder, &mut out)?;
    let headers = headers(&files, wal, mode, &mut out)?;
    let mut expected = None;
    for (i, (path, header)) in headers.iter().enumerate() {
        let next = headers.get(i + 1).map(|(_, h)| h.first);
        let bytes = Bytes::from(std::fs::read(path).map_err(io("read", path))?);
        let scan = scan(&bytes, segment::HEADER, header.first);
        let start = expected.unwrap_or(header.first);
        if header.first > start {
            missing(path, segment::HEADER, start, header.first, mode, &mut out)?;
        }
        check_damage(path, &scan, mode, &mut out)?;
        if let Some(torn) = scan.torn {
            out.report.torn_bytes += (bytes.len() - torn) as u64;
            cut(path, torn)?;
        }
        let newest = replay(path, &scan, header.first, next, mode, &mut out, visit)?;
        expected = Some(out.next_sequence);
        let bytes = scan.torn.unwrap_or(bytes.len()) as u64;
        out.segments.push(Segment { path: path.clone(), bytes, newest });
        out.report.segments += 1;
    }
    Ok(out)
}

/// Visits the frames of one segment that are not void, and checks that none is missing inside.
fn replay(
    path: &Path,
    scan: &Scan,
    first: u64,
    next_first: Option<u64>,
    mode: Recovery,
    out: &mut Recovered,
    visit: &mut dyn FnMut(Frame) -> Result<(), WalError>,
) -> Result<Newest, WalError> {
    let mut newest = Newest::default();
    let mut expected = first;
    for frame in scan.frames.iter().filter(|f| next_first.is_none_or(|next| f.sequence < next)) {
        if frame.sequence > expected && scan.damage.is_empty() {
            missing(path, 0, expected, frame.sequence, mode, out)?;
        }
        expected = frame.sequence + 1;
        newest[slot(frame.kind)] = frame.sequence;
        if let Some(hash) = frame.hash {
            out.window.insert(hash);
        }
        out.report.frames += 1;
        visit(frame.clone())?;
    }
    out.next_sequence = out.next_sequence.max(expected);
    Ok(newest)
}

fn load_window(folder: &Path, out: &mut Recovered) -> Result<(), WalError> {
    let path = folder.join("window");
    match std::fs::read(&path) {
        Ok(bytes) => match out.window.load(&bytes) {
            Some(next) => out.next_sequence = next,
            None => {
                tracing::warn!(file = %path.display(), "the window of request hashes is damaged: old retries may be stored twice")
            }
        },
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(io("read", &path)(e)),
    }
    Ok(())
}

/// Reads every segment's header; a last segment without one was being created in a crash, and is removed.
fn headers(
    files: &[(u64, PathBuf)],
    wal: Uuid,
    mode: Recovery,
    out: &mut Recovered,
) -> Result<Vec<(PathBuf, Header)>, WalError> {
    let mut headers = Vec::new();
    for (i, (_, path)) in files.iter().enumerate() {
        let length = std::fs::metadata(path).map_err(io("read", path))?.len();
        match read_header(path)? {
            Some(header) if header.wal == wal => headers.push((path.clone(), header)),
            Some(_) => return Err(WalError::Foreign { file: path.clone() }),
            None if i + 1 == files.len() && length <= segment::HEADER as u64 => {
                std::fs::remove_file(path).map_err(io("remove", path))?;
                sync_parent(path).map_err(io("sync", path))?;
                out.report.torn_bytes += length;
            }
            None => damaged(path, 0, length as usize, "the segment's header is not readable", mode, out)?,
        }
    }
    Ok(headers)
}

fn check_damage(path: &Path, scan: &Scan, mode: Recovery, out: &mut Recovered) -> Result<(), WalError> {
    for (from, to) in &scan.damage {
        damaged(path, *from, *to, "the checksum does not match", mode, out)?;
    }
    Ok(())
}

fn missing(
    path: &Path,
    at: usize,
    from: u64,
    to: u64,
    mode: Recovery,
    out: &mut Recovered,
) -> Result<(), WalError> {
    out.report.missing_frames += to - from;
    match mode {
        Recovery::Salvage => Ok(()),
        Recovery::Strict => Err(WalError::Damaged {
            file: path.to_owned(),
            offset: at as u64,
            detail: format!("frames {from} to {} are missing in front of it", to - 1),
        }),
    }
}

fn damaged(
    path: &Path,
    from: usize,
    to: usize,
    detail: &str,
    mode: Recovery,
    out: &mut Recovered,
) -> Result<(), WalError> {
    match mode {
        Recovery::Strict => {
            Err(WalError::Damaged { file: path.to_owned(), offset: from as u64, detail: detail.to_owned() })
        }
        Recovery::Salvage => {
            tracing::error!(file = %path.display(), from, to, detail, "write-ahead log is damaged; skipped");
            out.report.damaged.push(DamagedRange { file: path.to_owned(), from: from as u64, to: to as u64 });
            Ok(())
        }
    }
}

fn cut(path: &Path, length: usize) -> Result<(), WalError> {
    let file = OpenOptions::new().write(true).open(path).map_err(io("open", path))?;
    file.set_len(length as u64).map_err(io("truncate", path))?;
    file.sync_all().map_err(io("sync", path))
}

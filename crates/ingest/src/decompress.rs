//! Compressed bodies, within a bound.

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;

use crate::IngestError;

/// Compression of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// By the value of `Content-Encoding`.
    pub(crate) fn of(header: Option<&str>) -> Result<Self, IngestError> {
        match header.map(str::trim) {
            None | Some("" | "identity") => Ok(Self::None),
            Some(name) if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => {
                Ok(Self::Gzip)
            }
            Some(name) if name.eq_ignore_ascii_case("zstd") => Ok(Self::Zstd),
            Some(name) => Err(IngestError::Encoding(name.chars().take(64).collect())),
        }
    }
}

/// The body as it was before compression, at most `limit` bytes; memory is bounded by that, too.
pub(crate) fn decompress(body: Bytes, compression: Compression, limit: usize) -> Result<Bytes, IngestError> {
    let damaged = |error: std::io::Error| IngestError::Body(error.to_string());
    match compression {
        Compression::None if body.len() > limit => Err(IngestError::TooLarge { limit }),
        Compression::None => Ok(body),
        Compression::Gzip => read(MultiGzDecoder::new(body.as_ref()), limit),
        Compression::Zstd => read(zstd::stream::read::Decoder::new(body.as_ref()).map_err(damaged)?, limit),
    }
}

fn read(reader: impl Read, limit: usize) -> Result<Bytes, IngestError> {
    let mut out = Vec::new();
    reader
        .take(limit as u64 + 1)
        .read_to_end(&mut out)
        .map_err(|error| IngestError::Body(error.to_string()))?;
    if out.len() > limit {
        return Err(IngestError::TooLarge { limit });
    }
    Ok(out.into())
}

//! One message of the Forward protocol, in any of its four modes.

use std::io::Read;

use causeway_model::{Batch, LogBuilder};
use flate2::read::MultiGzDecoder;
use rmpv::{Value, ValueRef};

use super::handshake::encode;
use super::record::{append, str_of};
use super::scan::{content, length};
use crate::assemble::Assembly;
use crate::{DecodeContext, DecodeError, Decoded};

/// Depth to which values are read: what the stream lets through, counted as `rmpv` does, which counts two for a
/// container and up to three for what lies in it.
const MAX_VALUE_DEPTH: usize = 160;

/// The records of one message.
#[derive(Clone, Debug)]
pub struct ForwardChunk {
    /// Tag of the records.
    pub tag: String,
    /// Id under which the sender waits for an acknowledgement.
    pub chunk: Option<String>,
    /// Records.
    pub decoded: Decoded,
}

impl ForwardChunk {
    /// The acknowledgement to send once the records are durable; `None` when the sender does not wait for one.
    #[must_use]
    pub fn ack(&self) -> Option<Vec<u8>> {
        let chunk = self.chunk.as_deref()?;
        Some(encode(&Value::Map(vec![("ack".into(), chunk.into())])))
    }
}

fn malformed(reason: impl Into<String>) -> DecodeError {
    DecodeError::Malformed { protocol: "Fluent Forward", reason: reason.into() }
}

/// Splits the first element off.
fn element<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], DecodeError> {
    match length(bytes) {
        Ok(Some(length)) => {
            let (element, rest) = bytes.split_at(length);
            *bytes = rest;
            Ok(element)
        }
        Ok(None) => Err(malformed("the message ends in the middle of an element")),
        Err(broken) => Err(malformed(broken.as_str())),
    }
}

fn value(mut bytes: &[u8]) -> Result<ValueRef<'_>, DecodeError> {
    rmpv::decode::read_value_ref_with_max_depth(&mut bytes, MAX_VALUE_DEPTH)
        .map_err(|e| malformed(e.to_string()))
}

/// What stands in the second place, and with it the mode.
enum Mode<'a> {
    /// An event time; the record follows.
    Message(&'a [u8]),
    /// A list of entries.
    Forward(&'a [u8]),
    /// Entries one after the other in a byte string.
    Packed(&'a [u8]),
}

fn mode(second: &[u8]) -> Result<Mode<'_>, DecodeError> {
    let mut rest = second;
    match second.first() {
        Some(0x90..=0x9f | 0xdc | 0xdd) => {
            rmp::decode::read_array_len(&mut rest).map_err(|e| malformed(e.to_string()))?;
            Ok(Mode::Forward(rest))
        }
        Some(0xa0..=0xbf | 0xd9..=0xdb | 0xc4..=0xc6) => {
            content(second).map(Mode::Packed).map_err(|broken| malformed(broken.as_str()))
        }
        _ => Ok(Mode::Message(second)),
    }
}

/// The options that matter to us.
#[derive(Default)]
struct Options {
    chunk: Option<String>,
    compressed: Option<String>,
}

fn options(bytes: Option<&[u8]>) -> Result<Options, DecodeError> {
    let mut options = Options::default();
    let Some(bytes) = bytes else { return Ok(options) };
    let ValueRef::Map(entries) = value(bytes)? else { return Ok(options) };
    for (key, value) in entries {
        let text = match value {
            ValueRef::String(text) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
            ValueRef::Binary(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            _ => continue,
        };
        match str_of(&key) {
            Some("chunk") => options.chunk = Some(text),
            Some("compressed") => options.compressed = Some(text),
            _ => {}
        }
    }
    Ok(options)
}

fn decompressed(bytes: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
    let mut out = Vec::new();
    let read = MultiGzDecoder::new(bytes).take(limit as u64 + 1).read_to_end(&mut out);
    read.map_err(|e| malformed(format!("gzip: {e}")))?;
    if out.len() > limit {
        return Err(DecodeError::TooLarge { what: "a decompressed chunk", limit });
    }
    Ok(out)
}

/// Decodes one message. Entries that are no `[time, record]` are counted as rejected.
///
/// # Errors
/// When the message as a whole is not the protocol's, is compressed in an unknown way, or is too large after
/// decompression.
pub fn decode_forward(message: &[u8], context: &DecodeContext) -> Result<ForwardChunk, DecodeError> {
    let mut rest = message;
    let fields = match message.first() {
        Some(0x90..=0x9f | 0xdc | 0xdd) => {
            rmp::decode::read_array_len(&mut rest).map_err(|e| malformed(e.to_string()))?
        }
        _ => return Err(malformed("a message is a list")),
    };
    if !(2..=4).contains(&fields) {
        return Err(malformed(format!("a message has 2 to 4 elements, not {fields}")));
    }
    let mut elements = Vec::with_capacity(4);
    for _ in 0..fields {
        elements.push(element(&mut rest)?);
    }
    let tag = match value(elements[0])? {
        ValueRef::String(tag) => String::from_utf8_lossy(tag.as_bytes()).into_owned(),
        _ => return Err(malformed("the tag is no text")),
    };
    let mode = mode(elements[1])?;
    let option_at = if matches!(mode, Mode::Message(_)) { 3 } else { 2 };
    let options = options(elements.get(option_at).copied())?;

    let mut assembly = Assembly::new(context);
    let tag = assembly.cut_value(tag);
    let mut builder = LogBuilder::default();
    match mode {
        Mode::Message(time) => match elements.get(2) {
            Some(record) => entry(&mut assembly, &mut builder, &tag, time, record)?,
            None => return Err(malformed("the record is missing")),
        },
        Mode::Forward(entries) => each(&mut assembly, &mut builder, &tag, entries)?,
        Mode::Packed(entries) => match options.compressed.as_deref() {
            None | Some("text") => each(&mut assembly, &mut builder, &tag, entries)?,
            Some("gzip") => {
                let entries = decompressed(entries, context.limits.max_decompressed_bytes)?;
                each(&mut assembly, &mut builder, &tag, &entries)?;
            }
            Some(_) => return Err(malformed("the compression is not known: use gzip")),
        },
    }
    let decoded = assembly.finish(Batch::Logs(builder.finish()?));
    Ok(ForwardChunk { tag, chunk: options.chunk, decoded })
}

fn each(
    assembly: &mut Assembly<'_>,
    builder: &mut LogBuilder,
    tag: &str,
    mut entries: &[u8],
) -> Result<(), DecodeError> {
    while !entries.is_empty() {
        let mut pair = element(&mut entries)?;
        match rmp::decode::read_array_len(&mut pair) {
            Ok(2) => {
                let time = element(&mut pair)?;
                entry(assembly, builder, tag, time, pair)?;
            }
            _ => assembly.reject("an entry is not [time, record]"),
        }
    }
    Ok(())
}

fn entry(
    assembly: &mut Assembly<'_>,
    builder: &mut LogBuilder,
    tag: &str,
    time: &[u8],
    record: &[u8],
) -> Result<(), DecodeError> {
    let limit = assembly.context.limits.max_record_bytes;
    if time.len().max(record.len()) > limit {
        assembly.reject(format!("a record exceeds {limit} bytes"));
        return Ok(());
    }
    let Some(time_us) = event_time(&value(time)?) else {
        assembly.reject("an entry's time is neither an integer nor an event time");
        return Ok(());
    };
    let ValueRef::Map(fields) = value(record)? else {
        assembly.reject("a record is no map");
        return Ok(());
    };
    Ok(append(assembly, builder, tag, time_us, fields)?)
}

/// Microseconds of an event time (extension type 0), of integer or fractional seconds, or of the first element of
/// Fluent Bit's `[time, metadata]`.
fn event_time(value: &ValueRef<'_>) -> Option<i64> {
    match value {
        ValueRef::Integer(seconds) => seconds.as_i64()?.checked_mul(1_000_000),
        ValueRef::F64(seconds) => seconds.is_finite().then_some((seconds * 1e6) as i64),
        ValueRef::F32(seconds) => seconds.is_finite().then_some((f64::from(*seconds) * 1e6) as i64),
        ValueRef::Ext(0, bytes) => {
            let (seconds, nanos) = bytes.split_first_chunk::<4>()?;
            let nanos: [u8; 4] = nanos.try_into().ok()?;
            Some(
                i64::from(u32::from_be_bytes(*seconds)) * 1_000_000
                    + i64::from(u32::from_be_bytes(nanos)) / 1_000,
            )
        }
        ValueRef::Array(parts) => match parts.first()? {
            ValueRef::Array(_) => None,
            time => event_time(time),
        },
        _ => None,
    }
}

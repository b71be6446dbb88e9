//! Walks the outer messages of a request without building them.

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use prost::bytes::Buf;
use prost::encoding::{DecodeContext as ProstContext, WireType, decode_key, skip_field};

use super::Assemble;
use crate::{DecodeError, DecodeLimits};

/// Field numbers, the same for logs, metrics and traces.
const RESOURCE_GROUPS: u32 = 1;
const RESOURCE: u32 = 1;
const SCOPE_GROUPS: u32 = 2;
const SCOPE: u32 = 1;
const RECORDS: u32 = 2;

pub(super) fn malformed(reason: impl ToString) -> DecodeError {
    DecodeError::Malformed { protocol: "protobuf", reason: reason.to_string() }
}

/// Calls `field` with number and content of every length-delimited field of a message; others are skipped.
pub(super) fn each_field<'a>(
    mut message: &'a [u8],
    mut field: impl FnMut(u32, &'a [u8]) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    while message.has_remaining() {
        let (number, wire_type) = decode_key(&mut message).map_err(malformed)?;
        if wire_type == WireType::LengthDelimited {
            let length = prost::encoding::decode_varint(&mut message).map_err(malformed)?;
            let length = usize::try_from(length).ok().filter(|l| *l <= message.len());
            let Some(length) = length else {
                return Err(malformed(format!("field {number} is longer than its message")));
            };
            let (content, rest) = message.split_at(length);
            message = rest;
            field(number, content)?;
        } else {
            skip_field(wire_type, number, &mut message, ProstContext::default()).map_err(malformed)?;
        }
    }
    Ok(())
}

/// The last value of a varint field, 0 when it is missing.
pub(super) fn varint(mut message: &[u8], wanted: u32) -> Result<u64, DecodeError> {
    let mut last = 0;
    while message.has_remaining() {
        let (number, wire_type) = decode_key(&mut message).map_err(malformed)?;
        if number == wanted && wire_type == WireType::Varint {
            last = prost::encoding::decode_varint(&mut message).map_err(malformed)?;
        } else {
            skip_field(wire_type, number, &mut message, ProstContext::default()).map_err(malformed)?;
        }
    }
    Ok(last)
}

/// Decodes a message of bounded size; `None` when it is larger.
pub(super) fn bounded<M: Message + Default>(
    bytes: &[u8],
    limits: &DecodeLimits,
) -> Result<Option<M>, DecodeError> {
    if bytes.len() > limits.max_record_bytes {
        return Ok(None);
    }
    M::decode(bytes).map(Some).map_err(malformed)
}

/// Merges all occurrences of a field, as protobuf defines it for a message that stands more than once.
fn merged<M: Message + Default>(
    message: &[u8],
    wanted: u32,
    limits: &DecodeLimits,
) -> Result<M, DecodeError> {
    let mut merged = M::default();
    let mut left = limits.max_record_bytes;
    each_field(message, |number, bytes| {
        if number == wanted {
            left = left.checked_sub(bytes.len()).ok_or(DecodeError::TooLarge {
                what: "a resource or scope",
                limit: limits.max_record_bytes,
            })?;
            merged.merge(bytes).map_err(malformed)?;
        }
        Ok(())
    })?;
    Ok(merged)
}

/// Hands all parts of a request to the assembler.
///
/// # Errors
/// When the bytes are not protobuf, or a resource is too large.
pub(super) fn walk<A: Assemble>(
    body: &[u8],
    assembler: &mut A,
    limits: &DecodeLimits,
) -> Result<(), DecodeError> {
    each_field(body, |number, group| {
        if number != RESOURCE_GROUPS {
            return Ok(());
        }
        assembler.resource(merged::<Resource>(group, RESOURCE, limits)?);
        each_field(group, |number, scoped| {
            if number != SCOPE_GROUPS {
                return Ok(());
            }
            assembler.scope(merged::<InstrumentationScope>(scoped, SCOPE, limits)?);
            each_field(
                scoped,
                |number, record| {
                    if number == RECORDS { assembler.protobuf_record(record) } else { Ok(()) }
                },
            )
        })
    })
}

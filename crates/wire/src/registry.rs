//! The known protocols of requests: a new one is its file and one line here.

use crate::Decoder;
use crate::otlp::OTLP;

/// All decoders, in a fixed order.
pub fn decoders() -> impl Iterator<Item = &'static dyn Decoder> {
    OTLP.iter().map(|decoder| decoder as &dyn Decoder)
}

/// The decoder for a path and a media type without parameters.
#[must_use]
pub fn decoder_for(path: &str, content_type: &str) -> Option<&'static dyn Decoder> {
    decoders().find(|d| d.path() == path && d.content_type().eq_ignore_ascii_case(content_type))
}

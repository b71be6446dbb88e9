//! Pixels as a PNG document (RFC 2083, palette images).

use std::io::Write as _;

use anyhow::{Result, ensure};
use causeway_predict::raster::{PALETTE, Pixels};
use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

/// The document.
///
/// # Errors
/// When the image is too large for its format.
pub(super) fn encode(image: &Pixels) -> Result<Vec<u8>> {
    let size = |pixels: usize| u32::try_from(pixels).map(u32::to_be_bytes);
    let mut header = Vec::new();
    header.extend(size(image.width)?);
    header.extend(size(image.height)?);
    // Eight bits a pixel, which name a colour of the palette; deflate, no other filters, not interlaced.
    header.extend([8, 3, 0, 0, 0]);
    ensure!(image.indices.len() == image.width * image.height, "the image has pixels for another size");
    let mut rows = ZlibEncoder::new(Vec::new(), Compression::default());
    for row in image.indices.chunks(image.width) {
        rows.write_all(&[0])?;
        rows.write_all(row)?;
    }
    let mut document = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut document, *b"IHDR", &header)?;
    chunk(&mut document, *b"PLTE", PALETTE.as_flattened())?;
    chunk(&mut document, *b"IDAT", &rows.finish()?)?;
    chunk(&mut document, *b"IEND", &[])?;
    Ok(document)
}

fn chunk(document: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) -> Result<()> {
    document.extend(u32::try_from(data.len())?.to_be_bytes());
    document.extend(kind);
    document.extend(data);
    let mut sum = Crc::new();
    sum.update(&kind);
    sum.update(data);
    document.extend(sum.sum().to_be_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_document_has_its_chunks_and_gives_the_pixels_back() {
        let image = Pixels { width: 3, height: 2, indices: vec![0, 1, 2, 3, 4, 5] };
        let document = encode(&image).unwrap();
        assert!(document.starts_with(b"\x89PNG\r\n\x1a\n"));
        let (mut rest, mut kinds, mut rows) = (&document[8..], Vec::new(), Vec::new());
        while !rest.is_empty() {
            let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
            let (kind, data) = (&rest[4..8], &rest[8..8 + length]);
            let mut sum = Crc::new();
            sum.update(&rest[4..8 + length]);
            assert_eq!(rest[8 + length..12 + length], sum.sum().to_be_bytes());
            if kind == b"IDAT" {
                flate2::read::ZlibDecoder::new(data).read_to_end(&mut rows).unwrap();
            }
            kinds.push(String::from_utf8(kind.to_vec()).unwrap());
            rest = &rest[12 + length..];
        }
        assert_eq!(kinds, ["IHDR", "PLTE", "IDAT", "IEND"]);
        assert_eq!(rows, [0, 0, 1, 2, 0, 3, 4, 5]);
        assert!(encode(&Pixels { width: 2, ..image }).is_err());
    }
}

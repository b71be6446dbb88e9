//! Where a MessagePack element ends, without building it: the scan resumes when more bytes arrive, so that a message
//! that comes byte by byte costs no more than one that comes at once.

/// Nesting that is followed.
const MAX_DEPTH: usize = 64;

/// The bytes are not MessagePack that we read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// The reserved marker 0xc1.
    Marker,
    /// Containers lie too deep in each other.
    Depth,
}

impl Broken {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Marker => "the marker 0xc1 is reserved",
            Self::Depth => "containers are nested too deeply",
        }
    }
}

/// Finds the end of one element.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    at: usize,
    /// Elements still to come in each open container.
    open: Vec<u64>,
}

/// What a marker announces.
struct Token {
    header: usize,
    payload: u64,
    children: u64,
}

impl Scanner {
    /// Goes on in `bytes`, which begin where the element begins. Gives its length when it is complete.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<Option<usize>, Broken> {
        loop {
            let Some(token) = bytes.get(self.at..).and_then(|rest| token(rest).transpose()).transpose()?
            else {
                return Ok(None);
            };
            let next = (self.at + token.header) as u64 + token.payload;
            if next > bytes.len() as u64 {
                return Ok(None);
            }
            self.at = next as usize;
            if token.children > 0 {
                if self.open.len() >= MAX_DEPTH {
                    return Err(Broken::Depth);
                }
                self.open.push(token.children);
                continue;
            }
            while let Some(left) = self.open.last_mut() {
                *left -= 1;
                if *left > 0 {
                    break;
                }
                self.open.pop();
            }
            if self.open.is_empty() {
                return Ok(Some(self.at));
            }
        }
    }
}

/// Length of the first element; `None` when it is not complete.
pub(super) fn length(bytes: &[u8]) -> Result<Option<usize>, Broken> {
    Scanner::default().advance(bytes)
}

/// The content of a complete text or byte string.
pub(super) fn content(element: &[u8]) -> Result<&[u8], Broken> {
    let header = token(element)?.map_or(0, |token| token.header);
    Ok(element.get(header..).unwrap_or_default())
}

/// Reads the marker and length at the start; `None` when they are not complete.
fn token(bytes: &[u8]) -> Result<Option<Token>, Broken> {
    let Some(marker) = bytes.first() else { return Ok(None) };
    let number = |width: usize| -> Option<u64> {
        let digits = bytes.get(1..1 + width)?;
        Some(digits.iter().fold(0, |acc, b| acc << 8 | u64::from(*b)))
    };
    let low = |mask: u8| u64::from(marker & mask);
    let fixed = |payload| Some(Token { header: 1, payload, children: 0 });
    let sized =
        |width, extra| number(width).map(|payload| Token { header: 1 + width + extra, payload, children: 0 });
    let container =
        |width, per| number(width).map(|n| Token { header: 1 + width, payload: 0, children: n * per });
    Ok(match marker {
        0x80..=0x8f => Some(Token { header: 1, payload: 0, children: low(0x0f) * 2 }),
        0x90..=0x9f => Some(Token { header: 1, payload: 0, children: low(0x0f) }),
        0xa0..=0xbf => fixed(low(0x1f)),
        0xc1 => return Err(Broken::Marker),
        0xc4 | 0xd9 => sized(1, 0),
        0xc5 | 0xda => sized(2, 0),
        0xc6 | 0xdb => sized(4, 0),
        0xc7 => sized(1, 1),
        0xc8 => sized(2, 1),
        0xc9 => sized(4, 1),
        0xcc | 0xd0 => fixed(1),
        0xcd | 0xd1 => fixed(2),
        0xca | 0xce | 0xd2 => fixed(4),
        0xcb | 0xcf | 0xd3 => fixed(8),
        0xd4 => fixed(2),
        0xd5 => fixed(3),
        0xd6 => fixed(5),
        0xd7 => fixed(9),
        0xd8 => fixed(17),
        0xdc => container(2, 1),
        0xdd => container(4, 1),
        0xde => container(2, 2),
        0xdf => container(4, 2),
        // Small integers, nil, false and true.
        0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => fixed(0),
    })
}

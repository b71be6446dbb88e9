//! Pictures as SVG: a signal with its band, the topology with the path of blame, a sparkline. Every text in them is inert.
//!
//! Colours come from the variables `--ink --soft --line --paper --wash --blue --red --amber --green` of the page, and from
//! [`STYLE`].

mod band;
mod layout;
mod spark;
mod topology;

pub use band::{Mark, band};
pub use spark::spark;
pub(crate) use topology::encoded;
pub use topology::{TopologyPicture, topology};

/// The style sheet of the pictures.
pub const STYLE: &str = include_str!("../../assets/pictures.css");

/// Text for SVG: inert and escaped.
fn text(raw: &str) -> String {
    let mut out = String::new();
    for c in crate::inert::inert(raw, 200).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

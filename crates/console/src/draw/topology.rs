//! The call graph in columns from the entry points, with the path of blame on top.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use causeway_model::CallEdge;

use super::layout::columns;
use super::text;

const ROW: f64 = 30.0;
const BOX: f64 = 22.0;
const GAP: f64 = 46.0;
const LETTER: f64 = 6.5;
/// Letters of a label.
const MAX_LABEL: usize = 26;
/// Widths from which a picture is wide, and broad.
const WIDE: f64 = 620.0;
const BROAD: f64 = 1300.0;
/// Nodes of a picture with a path, above which only what is near the path is drawn.
const MAX_NODES: usize = 60;
/// Share of names that must have a part in common, for the part to be left out of labels.
const COMMON: f64 = 0.6;

/// What to draw.
#[derive(Clone, Debug, Default)]
pub struct TopologyPicture<'a> {
    /// Edges.
    pub edges: &'a [CallEdge],
    /// The path of blame, from the cause to the symptom; may be empty.
    pub path: &'a [String],
    /// Services outside of their band.
    pub unwell: BTreeSet<&'a str>,
    /// Whether nodes link to the page of their service.
    pub links: bool,
}

/// The picture; empty without edges.
#[must_use]
pub fn topology(picture: &TopologyPicture<'_>) -> String {
    let mut edges: Vec<(&str, &str)> =
        picture.edges.iter().map(|e| (e.from.as_str(), e.to.as_str())).collect();
    let steps: BTreeSet<(&str, &str)> = picture
        .path
        .iter()
        .zip(picture.path.iter().skip(1))
        .flat_map(|(a, b)| [(a.as_str(), b.as_str()), (b.as_str(), a.as_str())])
        .collect();
    near(&mut edges, picture.path);
    edges.sort_unstable();
    edges.dedup();
    if edges.is_empty() {
        return String::new();
    }
    let columns = columns(&edges);
    let labels = labels(columns.iter().flatten().map(String::as_str));
    let width_of =
        |name: &String| labels.get(name.as_str()).map_or(0, |l| l.chars().count()) as f64 * LETTER + 18.0;
    let tallest = columns.iter().map(Vec::len).max().unwrap_or(1);
    let height = tallest as f64 * ROW + 16.0;
    let mut placed: BTreeMap<&str, (f64, f64, f64)> = BTreeMap::new();
    let mut x = 6.0;
    for column in &columns {
        let width = column.iter().map(width_of).fold(60.0, f64::max);
        let gap = (height - 8.0) / column.len() as f64;
        for (row, name) in column.iter().enumerate() {
            placed.insert(name, (x, gap * (row as f64 + 0.5) + 4.0, width));
        }
        x += width + GAP;
    }
    let width = x - GAP + 6.0;
    // What is wide keeps a size at which it can be read, and scrolls.
    let size = if width > BROAD {
        " broad"
    } else if width > WIDE {
        " wide"
    } else {
        ""
    };
    let mut svg = format!(
        "<svg class=\"picture topology{size}\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\" aria-label=\"who calls whom\">\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path class=\"tip\" d=\"M0,0.5L8,4L0,7.5Z\"/></marker></defs>"
    );
    // Those of the path come last, on top of the others.
    edges.sort_by_key(|edge| steps.contains(edge));
    for edge in &edges {
        let (Some(from), Some(to)) = (placed.get(edge.0), placed.get(edge.1)) else { continue };
        let class = if steps.contains(edge) { "edge blame" } else { "edge" };
        let _edge =
            write!(svg, "<path class=\"{class}\" d=\"{}\" marker-end=\"url(#tip)\"/>", curve(*from, *to));
    }
    for (name, place) in &placed {
        node(&mut svg, picture, name, labels.get(name).map_or(*name, String::as_str), *place);
    }
    svg.push_str("</svg>");
    svg
}

/// Of a large topology, what is on the path or one step from it.
fn near(edges: &mut Vec<(&str, &str)>, path: &[String]) {
    let nodes: BTreeSet<&str> = edges.iter().flat_map(|(a, b)| [*a, *b]).collect();
    if !path.is_empty() && nodes.len() > MAX_NODES {
        edges.retain(|(a, b)| path.iter().any(|p| p == a || p == b));
    }
}

fn curve(from: (f64, f64, f64), to: (f64, f64, f64)) -> String {
    let (x1, y1) = (from.0 + from.2, from.1);
    let (x2, y2) = (to.0, to.1);
    if x2 > x1 {
        let middle = f64::midpoint(x1, x2);
        return format!("M{x1:.1},{y1:.1}C{middle:.1},{y1:.1} {middle:.1},{y2:.1} {x2:.1},{y2:.1}");
    }
    // Back, or within a column: around the right side.
    let (x2, bend) = (to.0 + to.2, x1.max(to.0 + to.2) + 24.0);
    format!("M{x1:.1},{y1:.1}C{bend:.1},{y1:.1} {bend:.1},{y2:.1} {x2:.1},{y2:.1}")
}

fn node(
    svg: &mut String,
    picture: &TopologyPicture<'_>,
    name: &str,
    label: &str,
    (x, y, width): (f64, f64, f64),
) {
    let is = |end: Option<&String>| end.is_some_and(|end| end == name);
    let role = if is(picture.path.first()) {
        " cause"
    } else if is(picture.path.last()) {
        " symptom"
    } else if picture.path.iter().any(|step| step == name) {
        " onpath"
    } else {
        ""
    };
    let health = if picture.unwell.contains(name) { " unwell" } else { "" };
    let (open, close) = if picture.links {
        (format!("<a href=\"/service?name={}\">", encoded(name)), "</a>")
    } else {
        (String::new(), "")
    };
    let _node = write!(
        svg,
        "{open}<g class=\"node{role}{health}\"><title>{0}</title><rect x=\"{x:.1}\" y=\"{1:.1}\" width=\"{width:.1}\" height=\"{BOX}\" rx=\"5\"/><text x=\"{2:.1}\" y=\"{3:.1}\">{4}</text></g>{close}",
        text(name),
        y - BOX / 2.0,
        x + 9.0,
        y + 4.0,
        text(label)
    );
}

/// A name as part of a query string.
pub(crate) fn encoded(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _byte = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Short labels: without the namespace, and without the first and last word where most names have it in common.
fn labels<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, String> {
    let bare: Vec<(&str, &str)> = names.map(|n| (n, n.rsplit('/').next().unwrap_or(n))).collect();
    let common = |part: fn(&str) -> Option<&str>| {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for word in bare.iter().filter_map(|(_, name)| part(name)) {
            *counts.entry(word).or_default() += 1;
        }
        let most = counts.into_iter().max_by_key(|(_, n)| *n);
        most.filter(|(_, n)| bare.len() > 3 && *n as f64 >= COMMON * bare.len() as f64)
            .map(|(word, _)| word.to_owned())
    };
    let prefix = common(|name| name.split_inclusive('-').next().filter(|word| word.ends_with('-')));
    let suffix = common(|name| name.rfind('-').and_then(|at| name.get(at..)));
    bare.iter()
        .map(|(name, label)| {
            let label = prefix.as_deref().and_then(|p| label.strip_prefix(p)).unwrap_or(label);
            let short = suffix.as_deref().and_then(|s| label.strip_suffix(s)).unwrap_or(label);
            let short = if short.is_empty() { label } else { short };
            let cut: String = short.chars().take(MAX_LABEL).collect();
            (*name, if short.chars().count() > MAX_LABEL { format!("{cut}…") } else { cut })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(from: &str, to: &str) -> CallEdge {
        CallEdge { from: from.into(), to: to.into(), calls: 1, inferred: false, confidence: 1.0 }
    }

    #[test]
    fn the_path_is_marked_and_hostile_names_are_text() {
        let edges =
            [edge("web", "cart"), edge("cart", "db"), edge("web", "<script>alert(1)</script>\u{202e}")];
        let path = ["db".to_owned(), "cart".to_owned(), "web".to_owned()];
        let svg =
            topology(&TopologyPicture { edges: &edges, path: &path, links: true, ..Default::default() });
        assert_eq!(svg.matches("edge blame").count(), 2, "{svg}");
        assert!(svg.contains("node cause") && svg.contains("node symptom") && svg.contains("node onpath"));
        assert!(!svg.contains("<script") && !svg.contains('\u{202e}'), "{svg}");
        assert!(svg.contains("/service?name=%3Cscript%3E"), "{svg}");
        assert_eq!(topology(&TopologyPicture::default()), "");
    }

    #[test]
    fn labels_leave_out_what_names_have_in_common() {
        let names = ["shop/app-cart-service", "shop/app-order-service", "shop/app-user-service", "mysql"];
        let found = labels(names.into_iter());
        assert_eq!(found["shop/app-cart-service"], "cart");
        assert_eq!(found["mysql"], "mysql");
        assert_eq!(labels(["a-x", "a-y"].into_iter())["a-x"], "a-x");
    }

    #[test]
    fn a_large_topology_is_cut_to_what_is_near_the_path() {
        let edges: Vec<CallEdge> = (0..100).map(|i| edge(&format!("n{i}"), &format!("n{}", i + 1))).collect();
        let path = ["n50".to_owned(), "n49".to_owned()];
        let svg = topology(&TopologyPicture { edges: &edges, path: &path, ..Default::default() });
        assert_eq!(svg.matches("<rect").count(), 4);
    }
}

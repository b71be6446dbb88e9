//! Scores recorded outages where they are at hand; says so where they are not.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use causeway_causal::case::Case;
use causeway_causal::rank::rank;

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let bytes = std::fs::read(path)?;
    let mut out = Vec::new();
    if path.extension().is_some_and(|e| e == "gz") {
        flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut out)?;
        return Ok(out);
    }
    Ok(bytes)
}

#[test]
fn recorded_outages_meet_the_bars() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/rca/cases");
    let Ok(folders) = std::fs::read_dir(&root) else {
        eprintln!("recorded outages are absent ({}): not scored", root.display());
        return;
    };
    let mut hits: BTreeMap<String, (usize, usize, usize)> = BTreeMap::new();
    for folder in folders.flatten().map(|f| f.path()) {
        let text = std::fs::read_to_string(folder.join("case.json")).expect("case.json");
        let case = Case::from_files(&text, &mut |file| read(&folder.join(file))).expect("a case");
        let label: serde_json::Value =
            serde_json::from_slice(&read(&folder.join("target.json")).expect("label")).expect("json");
        let ranking = rank(&case);
        let wanted = label["root_cause"][0].as_str().expect("root cause");
        let position = ranking.ranked.iter().position(|s| s.entity == wanted);
        let scenario =
            label["scenario"].as_str().expect("scenario").trim_end_matches("-low").trim_end_matches("-high");
        let entry = hits.entry(scenario.to_owned()).or_default();
        entry.0 += 1;
        entry.1 += usize::from(position == Some(0));
        entry.2 += usize::from(position.is_some_and(|p| p < 3));
    }
    for (scenario, (all, first, third)) in hits {
        let (first, third) = (first as f64 / all as f64, third as f64 / all as f64);
        eprintln!("{scenario}: top-1 {first:.2} top-3 {third:.2} of {all}");
        let bar = match scenario.as_str() {
            "petshop" => (0.94, 0.99),
            "nezha-tt" => (0.90, 0.98),
            "nezha-ob" => (0.80, 0.92),
            _ => (0.0, 0.0),
        };
        assert!(first >= bar.0 && third >= bar.1, "{scenario}: {first:.3} {third:.3}");
    }
}

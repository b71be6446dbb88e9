//! The committed YAML is what the types say. `BLESS=1 cargo test -p causeway-crds` writes it anew.

use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("yaml")
}

#[test]
fn committed_definitions_equal_the_generated_ones() {
    let bless = std::env::var_os("BLESS").is_some();
    for (name, text) in causeway_crds::yaml_files().unwrap() {
        let path = folder().join(&name);
        if bless {
            std::fs::write(&path, &text).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == text, "{name} is not up to date: run BLESS=1 cargo test -p causeway-crds");
    }
}

#[test]
fn there_is_one_file_a_kind_and_no_other() {
    let mut files: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let mut expected: Vec<String> =
        causeway_crds::yaml_files().unwrap().into_iter().map(|(name, _)| name).collect();
    expected.sort();
    assert_eq!(files, expected);
}

#[test]
fn no_definition_is_larger_than_100_kib() {
    for (name, text) in causeway_crds::yaml_files().unwrap() {
        assert!(text.len() <= 100 * 1024, "{name}: {} bytes", text.len());
    }
}

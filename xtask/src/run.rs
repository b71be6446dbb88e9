//! Child processes and paths.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use owo_colors::OwoColorize as _;

/// Root of the repository: that of the clone in which `cargo xtask` was typed. Clones share what is built, so that the
/// program may have been compiled in another one.
pub(crate) fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let package = package.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    package.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Folder for built tools and downloads, outside of the clone.
pub(crate) fn cache() -> Result<PathBuf> {
    let base = match (std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME")) {
        (Some(cache), _) if !cache.is_empty() => PathBuf::from(cache),
        (_, Some(home)) => PathBuf::from(home).join(".cache"),
        _ => bail!("neither XDG_CACHE_HOME nor HOME is set"),
    };
    let folder = base.join("causeway");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// Where cargo puts binaries.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Says what is done.
#[expect(clippy::print_stdout, reason = "progress goes to the terminal")]
pub(crate) fn say(text: &str) {
    println!("{} {text}", "▸".cyan().bold());
}

/// Runs a command of the repository's root, with its output on the terminal, and says how long it took.
pub(crate) fn run(title: &str, program: &str, arguments: &[&str]) -> Result<()> {
    run_in(&root(), title, program, arguments, &[])
}

/// The same in another folder, with environment variables.
pub(crate) fn run_in(
    folder: &Path,
    title: &str,
    program: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Result<()> {
    say(title);
    let begun = Instant::now();
    let mut command = clean(program);
    command.args(arguments).current_dir(folder);
    for (key, value) in environment {
        command.env(key, value);
    }
    let status = command.status().with_context(|| format!("cannot start {program}"))?;
    if !status.success() {
        bail!("{title} failed: {program} {}", arguments.join(" "));
    }
    say(&format!("{title}: {} s", begun.elapsed().as_secs()));
    Ok(())
}

/// A command without what `cargo run` told this process about its own package. Build scripts of libraries look at such
/// variables: with them, every clone in another folder would compile the large libraries again.
fn clean(program: &str) -> Command {
    let mut command = Command::new(program);
    for (key, _) in std::env::vars_os() {
        let name = key.to_string_lossy();
        let of_package = name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        if of_package
            || matches!(
                name.as_ref(),
                "CARGO_CRATE_NAME" | "CARGO_BIN_NAME" | "CARGO_PRIMARY_PACKAGE" | "OUT_DIR"
            )
        {
            command.env_remove(&key);
        }
    }
    command
}

/// Standard output of a command.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = clean(program)
        .args(arguments)
        .current_dir(root())
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        bail!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

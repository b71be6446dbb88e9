//! Tools that tests need besides those of `go`, installed into the cache.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::run::{cache, root, run_in, say};

/// cargo-deny; compiled once.
const DENY: &str = "0.20.2";
/// Python packages of the client tests.
const PYTHON: [&str; 4] = [
    "opentelemetry-sdk==1.45.0",
    "opentelemetry-exporter-otlp==1.45.0",
    "fluent-logger==0.11.1",
    "moto[server,s3]==5.1.22",
];

/// cargo-deny in the cache.
pub(crate) fn deny() -> Result<PathBuf> {
    let folder = cache()?.join(format!("cargo-deny-{DENY}"));
    let binary = folder.join("bin/cargo-deny");
    if !binary.exists() {
        let target = folder.to_string_lossy();
        run_in(
            &root(),
            "cargo-deny (compiled once)",
            "cargo",
            &["install", "cargo-deny", "--version", DENY, "--locked", "--root", &target],
            &[("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"), ("CARGO_PROFILE_RELEASE_LTO", "off")],
        )?;
    }
    Ok(binary)
}

/// A Python with the real clients of the tests.
pub(crate) fn python() -> Result<PathBuf> {
    let folder = cache()?.join("python-clients-2");
    let binary = folder.join("bin/python3");
    if !folder.join("ready").exists() {
        say("Python clients: OpenTelemetry SDK, fluent-logger, and an S3-compatible store");
        let status = Command::new("python3").args(["-m", "venv"]).arg(&folder).status();
        let made = status.as_ref().is_ok_and(std::process::ExitStatus::success);
        if !made {
            // Debian ships venv apart.
            install(&["python3-venv"])?;
            Command::new("python3").args(["-m", "venv"]).arg(&folder).status().context("python3 -m venv")?;
        }
        let mut arguments = vec!["-m", "pip", "install", "--quiet"];
        arguments.extend(PYTHON);
        run_in(&root(), "pip install", &binary.to_string_lossy(), &arguments, &[])?;
        std::fs::write(folder.join("ready"), "")?;
    }
    Ok(binary)
}

/// What tests of Git and of TLS call by its name, by package.
const PROGRAMS: [(&str, &str); 4] =
    [("git", "git"), ("ssh", "openssh-client"), ("ssh-keygen", "openssh-client"), ("openssl", "openssl")];

/// Installs those programs that the machine does not have.
pub(crate) fn programs() -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has = |program: &str| std::env::split_paths(&path).any(|folder| folder.join(program).exists());
    let mut missing: Vec<&str> =
        PROGRAMS.iter().filter(|(program, _)| !has(program)).map(|(_, package)| *package).collect();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    say(&format!("for tests of Git and TLS: {}", missing.join(", ")));
    install(&missing)
}

/// The driver of a real browser; it finds the browser by itself.
pub(crate) fn chromedriver() -> Result<PathBuf> {
    let driver = PathBuf::from("/usr/bin/chromedriver");
    if !driver.exists() || !PathBuf::from("/usr/bin/chromium").exists() {
        say("Chromium, for the console's browser test");
        install(&["chromium", "chromium-driver"])?;
    }
    Ok(driver)
}

fn install(packages: &[&str]) -> Result<()> {
    run_in(&root(), "apt-get update", "apt-get", &["update", "-q"], &[])?;
    let mut arguments = vec!["install", "-y", "-q", "--no-install-recommends"];
    arguments.extend(packages);
    run_in(&root(), "apt-get install", "apt-get", &arguments, &[])
}

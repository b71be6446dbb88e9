//! What every run begins with: its folders, and Causeway.

use std::path::PathBuf;

use anyhow::{Result, bail};
use jiff::Timestamp;

use super::installation::Installation;
use super::{DemoArguments, Victim};
use crate::process::{Endpoints, Places, Running};

/// The folders of a run, made anew.
pub(super) fn places(arguments: &DemoArguments) -> Result<Places> {
    let work = match &arguments.data {
        Some(folder) => folder.clone(),
        None => std::env::temp_dir().join(format!("causeway-demo-{}", std::process::id())),
    };
    if work.exists() {
        bail!("{} exists already: name another folder with --data", work.display());
    }
    let places = Places {
        causeway: binary(arguments)?,
        data: work.join("data"),
        manifests: work.join("manifests"),
        logs: work,
        cluster: arguments.kubeconfig.clone(),
        roles: arguments.roles.clone(),
        arguments: Vec::new(),
    };
    std::fs::create_dir_all(&places.data)?;
    Ok(places)
}

fn binary(arguments: &DemoArguments) -> Result<PathBuf> {
    let path = match &arguments.causeway {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("causeway"),
    };
    if !path.exists() {
        bail!("{} is missing: run `cargo xtask demo`, or name the binary with --causeway", path.display());
    }
    Ok(path)
}

/// Starts Causeway: as one process, or as roles, of which `victims` are killed at each of their writes.
pub(super) async fn start_causeway(
    places: &Places,
    now: Timestamp,
    victims: &[Victim],
) -> Result<(Option<Running>, Option<Installation>, Endpoints)> {
    if places.roles.is_some() {
        let installation = Installation::start(places, now, victims).await?;
        let endpoints = installation.endpoints();
        return Ok((None, Some(installation), endpoints));
    }
    let (causeway, endpoints) = places.start_causeway(now, None).await?;
    Ok((Some(causeway), None, endpoints))
}

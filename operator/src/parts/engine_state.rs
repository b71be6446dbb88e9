//! The engine's state in the lake, where a later owner finds it.
//!
//! Each owner writes into a folder of its own, whose number it claims and which no other owner claims again. So a leader
//! that was deposed and does not know it yet can't overwrite what its successor wrote.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};
use causeway_engine::{Declared, Engine, Incident};
use causeway_lake::Lake;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::engine_host::{EngineHost, engine_config};

const FOLDER: &str = "engine";
const SNAPSHOT: &str = "snapshot";
/// Incidents are kept apart because a diagnosis that was told and acted upon must not become another one by a restart,
/// and because they are small.
const INCIDENTS: &str = "incidents";
/// Declared again at the start, so that the windows that are rebuilt count for objectives and Baselines.
const DECLARED: &str = "declared";

/// Where one owner of the engine keeps its state.
pub(crate) struct EngineState {
    lake: Lake,
    generation: u64,
    /// Whether everything of earlier owners is in this one's folder.
    complete: AtomicBool,
}

fn name(generation: u64, file: &str) -> String {
    format!("{FOLDER}/{generation:012}/{file}")
}

/// Generations that have a file of this name, or any file.
fn generations(files: &[String], wanted: Option<&str>) -> BTreeSet<u64> {
    let parse = |file: &String| {
        let (generation, name) = file.strip_prefix(FOLDER)?.strip_prefix('/')?.split_once('/')?;
        generation.parse().ok().filter(|_| wanted.is_none_or(|wanted| wanted == name))
    };
    files.iter().filter_map(parse).collect()
}

impl EngineState {
    /// Becomes the owner, and reads what the newest owners before have left.
    pub(crate) async fn claim(lake: &Lake) -> Result<(Self, Engine)> {
        let context = "cannot claim the engine's state in the lake";
        let files = lake.files(FOLDER).await.context(context)?;
        let mut generation = generations(&files, None).last().map_or(1, |last| last + 1);
        while !lake.claim_file(&name(generation, "owner"), Vec::new()).await.context(context)? {
            generation += 1;
        }
        let newest = async |file: &str| match generations(&files, Some(file)).last() {
            Some(generation) => lake.file(&name(*generation, file)).await,
            None => Ok(None),
        };
        let mut engine = match newest(SNAPSHOT).await.context(context)? {
            Some(bytes) => Engine::restore(engine_config(), &bytes).unwrap_or_else(|error| {
                tracing::warn!(%error, "engine snapshot not used, relearning from the lake");
                Engine::new(engine_config())
            }),
            None => Engine::new(engine_config()),
        };
        if let Some(incidents) = read::<Vec<Incident>>(newest(INCIDENTS).await.context(context)?, INCIDENTS) {
            engine.adopt(incidents);
        }
        if let Some(declared) = read::<Declared>(newest(DECLARED).await.context(context)?, DECLARED) {
            engine.declare(declared);
        }
        tracing::info!(generation, "owns the engine's state");
        Ok((Self { lake: lake.clone(), generation, complete: AtomicBool::new(false) }, engine))
    }

    /// Writes the snapshot. With the first one, what earlier owners kept is taken over and removed.
    pub(crate) async fn save(&self, host: &EngineHost) -> Result<()> {
        let (snapshot, incidents, declared) = host.read(|engine| {
            (
                engine.snapshot(),
                engine.incidents().into_iter().cloned().collect::<Vec<_>>(),
                engine.declared(),
            )
        });
        self.lake.put_file(&name(self.generation, SNAPSHOT), snapshot?).await?;
        if self.complete.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.incidents(&incidents).await?;
        self.declared(&declared).await?;
        for file in self.lake.files(FOLDER).await? {
            if generations(std::slice::from_ref(&file), None).last().is_some_and(|g| *g < self.generation) {
                self.lake.remove_file(&file).await?;
            }
        }
        self.complete.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Keeps all incidents, before a changed one is told.
    pub(crate) async fn incidents(&self, incidents: &[Incident]) -> Result<()> {
        self.put(INCIDENTS, &incidents).await
    }

    /// Keeps all that is declared, whenever it changed.
    pub(crate) async fn declared(&self, declared: &Declared) -> Result<()> {
        self.put(DECLARED, declared).await
    }

    async fn put(&self, file: &str, value: &impl Serialize) -> Result<()> {
        Ok(self.lake.put_file(&name(self.generation, file), serde_json::to_vec(value)?).await?)
    }
}

fn read<T: DeserializeOwned>(bytes: Option<Vec<u8>>, file: &str) -> Option<T> {
    match serde_json::from_slice(&bytes?) {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::warn!(%error, file, "state of the engine not used");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use causeway_kubekit::Activity;
    use causeway_lake::LakeOptions;

    use super::*;
    use crate::parts::clock::{ClockMode, ProcessClock};

    #[tokio::test(flavor = "multi_thread")]
    async fn a_deposed_owner_does_not_change_what_its_successor_has() {
        let (folder, clock) = (tempfile::tempdir().unwrap(), ProcessClock::new(ClockMode::Wall, None));
        let lake = Lake::open(LakeOptions::new(folder.path(), clock.clone())).await.unwrap();
        let host = |engine| EngineHost::new(engine, clock.clone(), Activity::new(), None).0;
        let (first, engine) = EngineState::claim(&lake).await.unwrap();
        let old: Arc<EngineHost> = host(engine);
        first.save(&old).await.unwrap();
        let (second, engine) = EngineState::claim(&lake).await.unwrap();
        let new = host(engine);
        assert!(second.generation > first.generation);
        second.save(&new).await.unwrap();
        first.save(&old).await.unwrap();
        let (third, _) = EngineState::claim(&lake).await.unwrap();
        assert!(third.generation > second.generation);
        let files = lake.files(FOLDER).await.unwrap();
        assert_eq!(generations(&files, Some(SNAPSHOT)).last(), Some(&second.generation), "{files:?}");
    }
}

//! A folder of small files that the next leader needs as well: copied into the lake while it changes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use causeway_lake::Lake;
use tokio_util::sync::CancellationToken;

/// How often the folder is looked at, on the machine's clock. What changed in between is lost by a crash.
const EVERY: Duration = Duration::from_secs(2);

/// A folder, and its copy in the lake.
pub(crate) struct SharedFolder {
    lake: Lake,
    folder: PathBuf,
    name: &'static str,
    /// Content as it stands in the lake.
    known: HashMap<String, Vec<u8>>,
}

impl SharedFolder {
    /// Makes the folder what the lake has under `name`.
    pub(crate) async fn fetch(lake: &Lake, folder: &Path, name: &'static str) -> Result<Self> {
        let io = || format!("cannot fill {}", folder.display());
        if folder.exists() {
            std::fs::remove_dir_all(folder).with_context(io)?;
        }
        std::fs::create_dir_all(folder).with_context(io)?;
        let mut known = HashMap::new();
        for path in lake.files(name).await? {
            let Some(file) = path.strip_prefix(name).and_then(|p| p.strip_prefix('/')) else { continue };
            if let Some(bytes) = lake.file(&path).await?.filter(|_| !file.contains('/')) {
                std::fs::write(folder.join(file), &bytes).with_context(io)?;
                known.insert(file.to_owned(), bytes);
            }
        }
        Ok(Self { lake: lake.clone(), folder: folder.to_owned(), name, known })
    }

    /// Copies until `stop`, and once more then.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            let stopped = tokio::time::timeout(EVERY, stop.cancelled()).await.is_ok();
            if let Err(error) = self.copy().await {
                tracing::warn!(error = format!("{error:#}"), folder = self.name, "not copied into the lake");
            }
            if stopped {
                return;
            }
        }
    }

    async fn copy(&mut self) -> Result<()> {
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            let Ok(file) = entry.file_name().into_string() else { continue };
            // A file that is being written gets its name when it is whole.
            let Ok(bytes) = std::fs::read(entry.path()) else { continue };
            if self.known.get(&file) != Some(&bytes) {
                self.lake.put_file(&format!("{}/{file}", self.name), bytes.clone()).await?;
                self.known.insert(file, bytes);
            }
        }
        Ok(())
    }
}

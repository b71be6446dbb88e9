//! The recorded incidents that tests of Runbooks name, in a folder of files that `causeway bundle` wrote.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use causeway_engine::digest;

/// Largest bundle that is read, in bytes.
const LARGEST: u64 = 256 << 20;

/// Bundles by digest; a clone is the same. By default there are none.
#[derive(Debug, Clone, Default)]
pub struct Bundles(Arc<BTreeMap<String, PathBuf>>);

/// Why bundles can't be used.
#[derive(Debug, thiserror::Error)]
pub enum BundlesError {
    /// A file or folder can't be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is too large.
    #[error("{path} is larger than {} MiB", LARGEST >> 20)]
    Large {
        /// Where.
        path: PathBuf,
    },
}

impl Bundles {
    /// All files that end in `.bundle` at or below a folder.
    ///
    /// # Errors
    /// When something can't be read, or is larger than 256 MiB.
    pub fn in_folder(folder: &Path) -> Result<Self, BundlesError> {
        let mut found = BTreeMap::new();
        collect(folder, &mut found)?;
        Ok(Self(Arc::new(found)))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bundle with this digest.
    #[must_use]
    pub fn find(&self, digest: &str) -> Option<Vec<u8>> {
        self.0.get(digest).and_then(|path| std::fs::read(path).ok())
    }
}

fn collect(folder: &Path, found: &mut BTreeMap<String, PathBuf>) -> Result<(), BundlesError> {
    let read = |path: &Path| {
        let path = path.to_owned();
        move |source| BundlesError::Read { path, source }
    };
    for entry in std::fs::read_dir(folder).map_err(read(folder))? {
        let path = entry.map_err(read(folder))?.path();
        if path.is_dir() {
            collect(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "bundle") {
            if std::fs::metadata(&path).map_err(read(&path))?.len() > LARGEST {
                return Err(BundlesError::Large { path });
            }
            found.insert(digest(&std::fs::read(&path).map_err(read(&path))?), path);
        }
    }
    Ok(())
}

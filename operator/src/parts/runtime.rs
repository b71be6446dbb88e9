//! The runtime of a process with a lake.

use std::future::Future;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Makes the data folder, and runs `work` to its end.
pub(crate) fn with_lake(data: &Path, work: impl Future<Output = Result<()>>) -> Result<()> {
    std::fs::create_dir_all(data).with_context(|| {
        format!("cannot make the data folder {}: choose another with --data", data.display())
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // Queries of the SQL engine recurse deeply in an unoptimised build.
        .thread_stack_size(8 << 20)
        .build()?;
    runtime.block_on(work)
}

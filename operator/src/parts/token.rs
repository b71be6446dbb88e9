//! Secrets that processes share, as files.

use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// The token in a file, without white space around it.
pub(crate) fn read(path: &Path) -> Result<String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the token in {shown}"))?;
    let token = text.trim();
    if token.len() < 16 {
        bail!(
            "{shown} holds no token: write at least 16 random characters into it, the same for all processes"
        );
    }
    Ok(token.to_owned())
}

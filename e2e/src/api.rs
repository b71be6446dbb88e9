//! A Kubernetes API: a client of it, and patience with it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// A client for a kubeconfig file.
pub(crate) async fn client(kubeconfig: &Path) -> Result<Client> {
    let read =
        Kubeconfig::read_from(kubeconfig).with_context(|| format!("cannot read {}", kubeconfig.display()))?;
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// Looks until nothing is missing any more; `look` says what is.
pub(crate) async fn until(
    patience: Duration,
    mut look: impl AsyncFnMut() -> Result<Option<String>>,
) -> Result<()> {
    let begun = Instant::now();
    while let Some(missing) = look().await? {
        if begun.elapsed() > patience {
            bail!("{missing}, after {} s", patience.as_secs());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

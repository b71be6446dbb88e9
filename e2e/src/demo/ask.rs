//! `--ask`: the demo stands still while a repair waits for an approval, until somebody decides.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;

use super::remote::Remote;
use super::screen::Screen;

/// How long the demo waits for a person.
const PATIENCE: Duration = Duration::from_secs(30 * 60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// Waits until no repair waits any more.
pub(super) async fn decide(remote: &Remote, screen: &Screen, console: &str, data: &Path) -> Result<()> {
    let begun = Instant::now();
    let mut told = false;
    loop {
        let remediations = remote.list("Remediation", "remediations").await?;
        let text = |value: &Value, path: &str| {
            value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let waiting = remediations.iter().find(|r| text(r, "/status/phase") == "AwaitingApproval");
        let Some(waiting) = waiting else { return Ok(()) };
        if !told {
            let namespace = text(waiting, "/metadata/namespace");
            let page = format!("{console}/incidents/{namespace}/{}", text(waiting, "/spec/incidentRef/name"));
            screen.asks(&page, &data.join("token"));
            told = true;
        }
        if begun.elapsed() > PATIENCE {
            bail!("nobody decided about {} within half an hour", text(waiting, "/metadata/name"));
        }
        tokio::time::sleep(LOOK).await;
    }
}

//! Everything that shows what telemetry said, looked at after hostile telemetry.

use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::hostile::{escaped, harmless, harmless_texts};
use super::remote::Remote;
use crate::process::Places;

/// Lines that are hostile, as a person would look for them.
const SQL: &str = "SELECT service, body FROM logs WHERE body LIKE '%gnihtyreve%' OR body LIKE '%ALL GOOD%' OR body LIKE '%<script>%' LIMIT 20";

/// Objects as kubectl shows them, messages, pages of the console, and the answer to a query on the terminal.
///
/// # Errors
/// The first surface that shows something hostile as it is.
pub(super) async fn look(
    remote: &Remote,
    places: &Places,
    incidents: &[Value],
    remediations: &[Value],
    messages: &[Value],
) -> Result<()> {
    for (kind, objects) in [("Incident", incidents), ("Remediation", remediations)] {
        if objects.is_empty() {
            bail!("there is no {kind} to look at");
        }
        objects.iter().try_for_each(|object| harmless_texts(kind, object))?;
    }
    if messages.is_empty() {
        bail!("there is no message to look at");
    }
    // What nobody has seen proves nothing.
    let texts = format!("{incidents:?}");
    if !["Ignore all previous", "ALL GOOD", "gnihtyreve", "alert(1)"].iter().any(|said| texts.contains(said))
    {
        bail!("no Incident has taken over anything hostile");
    }
    for message in messages {
        harmless_texts("a message", message)?;
        if message.to_string().contains("<!channel>") {
            bail!("a message calls everybody: {message:#}");
        }
    }
    let incident = incidents.last().context("no Incident")?;
    let text = |pointer: &str| incident.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let own = format!("/incidents/{}/{}", text("/metadata/namespace"), text("/metadata/name"));
    let cause = text("/status/cause/entity");
    let pages: [(&str, &[(&str, &str)]); 6] = [
        ("/incidents", &[]),
        (&own, &[]),
        ("/services", &[]),
        ("/service", &[("name", cause)]),
        ("/explore", &[("sql", SQL)]),
        ("/policies", &[]),
    ];
    let mut seen = String::new();
    for (path, parameters) in pages {
        let page = remote.page(path, parameters).await?;
        escaped(&format!("the console's {path}"), &page)?;
        seen.push_str(&page);
    }
    let output =
        Command::new(&places.causeway).args(["query", "--data"]).arg(&places.data).arg(SQL).output()?;
    let answer = String::from_utf8(output.stdout)?;
    if !output.status.success() || !answer.contains("ALL GOOD") {
        bail!("causeway query: {answer}{}", String::from_utf8_lossy(&output.stderr));
    }
    harmless("causeway query", &answer)?;
    // What nobody has seen proves nothing.
    if !seen.contains("ALL GOOD") {
        bail!("no page of the console shows a hostile line");
    }
    Ok(())
}

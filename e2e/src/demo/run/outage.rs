//! The outage of a control plane in the middle of a demo.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Demo, WARM_UP};
use crate::control_plane::ControlPlane;

/// How long a step waits for a frozen API server at most.
const STEP_WAITS: Duration = Duration::from_secs(60);
/// Step of the fault in which the API server is frozen: the Incident is about to be written.
const FREEZE: u32 = WARM_UP + 4;
/// Step of the fault in which the store of the API server is killed: the repair is being verified.
const KILL_STORE: u32 = WARM_UP + 7;

impl Demo {
    /// Settles while the control plane has its outage, if it is the step for one.
    pub(super) async fn settle_through(
        &mut self,
        control_plane: &ControlPlane,
        frozen: Duration,
    ) -> Result<()> {
        match self.step {
            FREEZE => {
                control_plane.freeze()?;
                self.screen.outage(&format!("the API server is frozen for {} s", frozen.as_secs()));
                // The time of the data goes on at the end: a step does not wait longer than that.
                let waits = frozen.min(STEP_WAITS);
                tokio::time::sleep(frozen.saturating_sub(waits)).await;
                let (thawed, settled) = tokio::join!(control_plane.thaw(waits), self.settle_late());
                thawed.and(settled)
            }
            KILL_STORE => {
                control_plane.restart_store()?;
                self.screen.outage("kill -9 of etcd; started again on the same folder");
                self.settle().await
            }
            _ => self.settle().await,
        }
    }

    /// Settles, and asks again where nobody lets it in because the API server does not answer.
    async fn settle_late(&mut self) -> Result<()> {
        let begun = Instant::now();
        loop {
            match self.settle().await {
                Err(_) if begun.elapsed() < 2 * STEP_WAITS => {
                    tokio::time::sleep(Duration::from_secs(1)).await
                }
                settled => return settled,
            }
        }
    }
}

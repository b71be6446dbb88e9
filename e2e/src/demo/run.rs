//! One run: warm-up, fault, repair, recovery.

mod outage;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::ask;
use super::cluster;
use super::installation::Installation;
use super::remote::{EngineState, Remote};
use super::screen::Screen;
use super::slack::SlackStandIn;
use super::start::{places, start_causeway};
use super::summary::Summary;
use super::{DemoArguments, hostile, manifests, report, surfaces};
use crate::control_plane::ControlPlane;
use crate::feeder::{Feeder, Mode};
use crate::otlp::{Exporter, Sent};
use crate::process::{Endpoints, Places, Running};
use crate::recording::Recording;

/// Data time fed in one step.
const STEP: SignedDuration = SignedDuration::from_secs(10);
/// Steps of normal data before the fault: 15 minutes.
const WARM_UP: u32 = 90;
/// Steps that the fault lasts at most: 20 minutes.
const MAX_FAULT: u32 = 120;
/// Steps of the fault after which an undetected one is given up: 5 minutes.
const MAX_UNDETECTED: u32 = 30;
/// Steps of normal data after the repair at most: 12 minutes.
const MAX_RECOVERY: u32 = 72;
const TOKEN: &str = "train-ticket-demo-token";
const NAMESPACE: &str = "train-ticket";

/// A running demo.
struct Demo {
    arguments: DemoArguments,
    places: Places,
    /// Where one process is everything.
    causeway: Option<Running>,
    /// Where each role is a process of its own.
    installation: Option<Installation>,
    simulator: Running,
    remote: Remote,
    exporter: Exporter,
    feeder: Feeder,
    now: Timestamp,
    step: u32,
    sent: Sent,
    crashes: u32,
    peak_memory_mib: u64,
    endpoints: Endpoints,
    screen: Screen,
    state: EngineState,
    fault_active: bool,
    /// Where outages of it, or its audit log, are asked for.
    control_plane: Option<ControlPlane>,
    /// Mutations that the audit log had before.
    mutations_before: usize,
}

/// Plays one recording from its start to its end.
pub(super) async fn one(arguments: &DemoArguments) -> Result<Summary> {
    let begun = Instant::now();
    let folder = arguments.root.join("examples/train-ticket/recordings").join(&arguments.case);
    if !folder.join("case.json").exists() {
        bail!("there is no recording {}: see examples/train-ticket/recordings", arguments.case);
    }
    let recording = Recording::load(&folder)?;
    let slack = SlackStandIn::default();
    let slack_api = slack.start().await?;
    let places = places(arguments)?;
    let work = places.logs.clone();
    manifests::write(arguments, NAMESPACE, &places.manifests, &slack_api)?;
    let mut demo = Demo::start(arguments, places, &folder, recording).await?;
    let mut summary = demo.play().await?;
    summary.wall_seconds = begun.elapsed().as_secs();
    let (messages, posted, edited) = slack.messages().await;
    summary.slack = (posted, edited);
    let incidents = demo.incidents().await?;
    let remediations = demo.remediations().await?;
    demo.screen.end(&summary, &incidents, &remediations, &messages);
    let data = report::gather(&demo.remote, &summary, &incidents, &remediations).await?;
    let page = report::render(&data)?;
    if arguments.hostile {
        hostile::escaped("the report", &page)?;
        surfaces::look(&demo.remote, &demo.places, &incidents, &remediations, &messages).await?;
    }
    if !arguments.json {
        std::fs::write(&arguments.report, page)
            .with_context(|| format!("cannot write {}", arguments.report.display()))?;
    }
    if let Some(path) = &arguments.summary {
        std::fs::write(path, serde_json::to_vec_pretty(&summary)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    demo.finish(&summary, &work)?;
    Ok(summary)
}

impl Demo {
    async fn start(
        arguments: &DemoArguments,
        places: Places,
        folder: &Path,
        recording: Recording,
    ) -> Result<Self> {
        // Data time runs faster than the machine's: it starts in the past, so that it ends about now.
        let total = i64::from(WARM_UP + MAX_RECOVERY) * STEP.as_secs();
        let seconds = (Timestamp::now().as_second() - total).div_euclid(60) * 60;
        let now = Timestamp::from_second(seconds)?;
        let asked =
            places.cluster.as_deref().filter(|_| arguments.outage.is_some() || arguments.roles.is_some());
        let control_plane = asked.map(ControlPlane::of).transpose()?;
        let mutations_before = control_plane.as_ref().map_or(Ok(0), ControlPlane::mutations)?;
        let screen = Screen::new(arguments, Screen::of_recording(&recording), TOKEN);
        screen.starting();
        if let Some(kubeconfig) = &places.cluster {
            cluster::prepare(&places, kubeconfig).await?;
        }
        let (causeway, installation, endpoints) =
            start_causeway(&places, now, &arguments.crash_points).await?;
        let (simulator, address) = places.start_simulator(&folder.join("label.json")).await?;
        let mut remote = Remote::connect(&places, &endpoints, &address).await?;
        remote.installation = installation.clone();
        let exporter = Exporter::new(&endpoints.otlp_http, TOKEN, NAMESPACE)?;
        let feeder = Feeder::new(recording, now.as_microsecond());
        let mut demo = Self {
            arguments: arguments.clone(),
            places,
            causeway,
            installation,
            simulator,
            remote,
            exporter,
            feeder,
            now,
            step: 0,
            sent: Sent::default(),
            crashes: 0,
            peak_memory_mib: 0,
            endpoints,
            screen,
            state: EngineState::default(),
            fault_active: false,
            control_plane,
            mutations_before,
        };
        demo.settle().await?;
        let kubernetes = match &demo.endpoints.kubernetes {
            Some(address) => format!("its Kubernetes API at {address}"),
            None => format!("works with the cluster of {}", demo.places.kubeconfig().display()),
        };
        demo.screen.started(&demo.endpoints.api, &kubernetes);
        Ok(demo)
    }

    async fn play(&mut self) -> Result<Summary> {
        for _ in 0..WARM_UP {
            self.advance().await?;
            self.screen.warming(&self.state, self.sent);
        }
        self.screen.learned(&self.state, self.sent);
        let mut summary = Summary {
            case: self.arguments.case.clone(),
            title: format!("Recording {} of Train Ticket, played", self.arguments.case),
            ..Summary::default()
        };
        summary.false_alarm = !self.incidents().await?.is_empty();
        self.remote.begin_fault().await?;
        self.fault_active = true;
        let fault_at = self.now;
        self.feeder.switch(Mode::Fault, self.now.as_microsecond());
        self.screen.fault_begins();
        let (mut fault_ended, mut quiet) = (None, 0);
        for step in 0..MAX_FAULT {
            self.advance().await?;
            let incidents = self.incidents().await?;
            let remediations = self.remediations().await?;
            self.screen.during(self.now, fault_at, &self.state, &incidents, &remediations);
            if !incidents.is_empty() && summary.seconds_to_detect.is_none() && !summary.false_alarm {
                summary.detected = true;
                summary.seconds_to_detect = Some(self.now.as_second() - fault_at.as_second());
            }
            if self.arguments.ask {
                ask::decide(&self.remote, &self.screen, &self.endpoints.api, &self.places.data).await?;
            }
            if !self.fault_active {
                fault_ended = Some(self.now);
                break;
            }
            if !summary.detected && step >= MAX_UNDETECTED {
                break;
            }
            // Given up: every repair has been over for a while.
            quiet = if !remediations.is_empty() && remediations.iter().all(is_over) { quiet + 1 } else { 0 };
            if quiet >= MAX_UNDETECTED {
                break;
            }
            if self.arguments.no_repair && step >= MAX_UNDETECTED {
                break;
            }
        }
        if fault_ended.is_some() {
            self.feeder.switch(Mode::Normal, self.now.as_microsecond());
            self.recover(fault_at).await?;
        }
        self.conclude(&mut summary, fault_at).await?;
        Ok(summary)
    }

    async fn recover(&mut self, fault_at: Timestamp) -> Result<()> {
        for _ in 0..MAX_RECOVERY {
            self.advance().await?;
            let incidents = self.incidents().await?;
            let remediations = self.remediations().await?;
            self.screen.during(self.now, fault_at, &self.state, &incidents, &remediations);
            let resolved = incidents
                .iter()
                .all(|i| i.pointer("/status/state").and_then(Value::as_str) == Some("Resolved"));
            if resolved && remediations.iter().all(is_over) {
                break;
            }
        }
        Ok(())
    }

    async fn conclude(&mut self, summary: &mut Summary, fault_at: Timestamp) -> Result<()> {
        let incidents = self.incidents().await?;
        let remediations = self.remediations().await?;
        summary.verdict = self.remote.verdict().await?;
        summary.tell(&incidents, &remediations, fault_at);
        if let Some(installation) = &self.installation {
            installation.seal()?;
        }
        summary.logs_stored =
            self.remote.number("SELECT count(DISTINCT attributes['log.record.uid']) FROM logs").await?;
        summary.logs_doubled = self.remote.number("SELECT count(*) FROM logs").await? - summary.logs_stored;
        self.note_memory();
        summary.sent = self.sent;
        summary.crashes = self.crashes;
        if let Some(control_plane) = &self.control_plane {
            let applied = remediations
                .iter()
                .filter_map(|r| r.pointer("/status/timeline").and_then(Value::as_array))
                .flatten()
                .filter(|entry| entry.get("event").and_then(Value::as_str) == Some("Applied"));
            summary.mutations = Some((applied.count(), control_plane.mutations()? - self.mutations_before));
        }
        if let Some(installation) = &self.installation {
            summary.crash_points = installation.crash_points()?;
        }
        summary.peak_memory_mib = self.peak_memory_mib;
        Ok(())
    }

    /// One step: send, move the clock, let the cluster come to rest, settle again.
    async fn advance(&mut self) -> Result<()> {
        let (from, to) = (self.now, self.now + STEP);
        let mut payload = self.feeder.step(from.as_microsecond(), to.as_microsecond());
        if self.arguments.hostile {
            hostile::poison(&mut payload, self.step);
        }
        let requests = self.exporter.encode(payload);
        let crash = self.crash_in_this_step();
        for (index, (path, body)) in requests.bodies.iter().enumerate() {
            if crash && index == requests.bodies.len() / 2 {
                self.crash_while_sending(path, body).await?;
            }
            self.exporter.post(path, body).await?;
        }
        self.sent.add(requests.sent);
        self.now = to;
        self.step += 1;
        if let Some(seconds) = self.arguments.outage
            && let Some(control_plane) = self.control_plane.take()
        {
            let came_through = self.settle_through(&control_plane, Duration::from_secs(seconds)).await;
            self.control_plane = Some(control_plane);
            return came_through;
        }
        self.settle().await
    }

    async fn settle(&mut self) -> Result<()> {
        self.state = self.remote.step(self.now).await?;
        // Before the fault there is nothing to repair.
        if let Some(installation) = self.installation.as_ref().filter(|_| self.step > WARM_UP) {
            installation.at_rest().await?;
        }
        let answer = self.remote.simulate().await?;
        if self.fault_active && !answer.fault_active {
            self.fault_active = false;
        }
        if answer.writes > 0 {
            self.state = self.remote.step(self.now).await?;
        }
        Ok(())
    }

    /// Spread over warm-up and fault; which steps is a function of the case, so that a run can be repeated.
    fn crash_in_this_step(&self) -> bool {
        if self.crashes >= self.arguments.crash {
            return false;
        }
        let span = WARM_UP + 24;
        let slot = span / (self.arguments.crash + 1);
        let jitter =
            xxhash_rust::xxh3::xxh3_64(format!("{}/{}", self.arguments.case, self.crashes).as_bytes());
        let offset = u32::try_from(jitter % u64::from(slot.max(2) / 2)).unwrap_or_default();
        self.step >= (self.crashes + 1) * slot + offset
    }

    /// Kills the process while a request is on its way, starts it again on the same folder, and sends the rest.
    async fn crash_while_sending(&mut self, path: &'static str, body: &[u8]) -> Result<()> {
        self.note_memory();
        let (exporter, copy) = (self.exporter.clone(), body.to_vec());
        let sending = tokio::spawn(async move { exporter.post(path, &copy).await.is_ok() });
        let delay = xxhash_rust::xxh3::xxh3_64(format!("{}", self.step).as_bytes()) % 40;
        tokio::time::sleep(Duration::from_millis(delay)).await;
        if let Some(causeway) = &mut self.causeway {
            causeway.kill()?;
        }
        let acknowledged = sending.await.unwrap_or_default();
        self.crashes += 1;
        self.screen.crashed(self.crashes, acknowledged);
        let (causeway, endpoints) = self.places.start_causeway(self.now, Some(&self.endpoints)).await?;
        self.causeway = Some(causeway);
        self.endpoints = endpoints;
        Ok(())
    }

    fn note_memory(&mut self) {
        self.peak_memory_mib = self.peak_memory_mib.max(self.endpoints.peak_memory_mib());
    }

    async fn incidents(&self) -> Result<Vec<Value>> {
        self.remote.incidents().await
    }

    async fn remediations(&self) -> Result<Vec<Value>> {
        self.remote.remediations().await
    }

    fn finish(mut self, summary: &Summary, work: &Path) -> Result<()> {
        self.screen.where_next(&self.arguments, summary, &self.places, &self.endpoints.otlp_http);
        if self.arguments.keep {
            self.causeway.map(Running::detach);
            self.simulator.detach();
            return Ok(());
        }
        self.simulator.kill()?;
        if let Some(installation) = &self.installation {
            installation.stop()?;
        }
        if let Some(causeway) = &mut self.causeway {
            causeway.stop()?;
        }
        if self.arguments.data.is_none() {
            std::fs::remove_dir_all(work).with_context(|| format!("cannot remove {}", work.display()))?;
        }
        Ok(())
    }
}

pub(super) fn phase(remediation: &Value) -> &str {
    remediation.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn is_over(remediation: &Value) -> bool {
    matches!(phase(remediation), "Succeeded" | "RolledBack" | "Failed" | "Refused" | "Expired")
}

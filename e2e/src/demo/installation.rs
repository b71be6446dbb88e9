//! The roles of an installation, each a process with the rights of its own ServiceAccount: two operators, a gateway, an
//! executor and a console. One that ends is started again, as its StatefulSet or Deployment would do.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::cluster::administrator;
use super::victim::Victim;
use crate::crash_points::{CrashPoints, Die, Met};
use crate::process::{Endpoints, Places, Running};

/// How long a step may take, with the election of a new leader in it.
const PATIENCE: Duration = Duration::from_secs(300);
/// Time between two tries of a step.
const RETRY: Duration = Duration::from_millis(100);
/// Candidates for the Lease of operators.
const OPERATORS: usize = 2;
/// What comes before the 32 bytes of an Ed25519 key in PKCS #8 (RFC 8410).
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

type Start = Arc<dyn Fn() -> Result<Running> + Send + Sync>;

/// One process of an installation; clones are the same one.
#[derive(Clone)]
pub(super) struct Actor {
    start: Start,
    running: Arc<Mutex<Option<Running>>>,
}

impl Actor {
    fn new(start: impl Fn() -> Result<Running> + Send + Sync + 'static) -> Self {
        Self { start: Arc::new(start), running: Arc::default() }
    }

    /// Starts it, unless it runs.
    fn tend(&self) -> Result<()> {
        let mut running = self.running.lock();
        if let Some(process) = running.as_mut()
            && !process.has_ended()?
        {
            return Ok(());
        }
        *running = Some((self.start)()?);
        Ok(())
    }

    /// Ends it at once, and starts another.
    pub(super) fn crash(&self) -> Result<()> {
        let mut running = self.running.lock();
        if let Some(process) = running.as_mut() {
            process.kill()?;
        }
        *running = Some((self.start)()?);
        Ok(())
    }

    fn stop(&self) -> Result<()> {
        let process = self.running.lock().take();
        process.map_or(Ok(()), |mut process| process.stop())
    }
}

/// Ports that stay the same when a process is started again.
#[derive(Clone, Copy)]
struct Ports {
    otlp_grpc: u16,
    otlp_http: u16,
    forward: u16,
    /// Where the leading operator takes what gateways hand over.
    gateways: u16,
    /// Of the leading operator.
    api: u16,
    console: u16,
    /// Metrics, health and clock.
    operators: [u16; OPERATORS],
    gateway: u16,
    executor: u16,
}

impl Ports {
    fn free() -> Result<Self> {
        // All at once, so that no number comes twice.
        let held: Vec<TcpListener> =
            (0..10).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
        let ports: Vec<u16> = held
            .iter()
            .map(|one| one.local_addr().map(|address| address.port()))
            .collect::<Result<_, _>>()?;
        let [otlp_grpc, otlp_http, forward, gateways, api, console, first, second, gateway, executor] =
            ports[..]
        else {
            bail!("no free ports");
        };
        let operators = [first, second];
        Ok(Self { otlp_grpc, otlp_http, forward, gateways, api, console, operators, gateway, executor })
    }
}

/// What all processes are started with.
#[derive(Clone)]
struct Setup {
    places: Places,
    roles: PathBuf,
    ports: Ports,
    /// Whether others need not wait long for the Lease of one that died.
    hasty: bool,
    now: Arc<Mutex<Timestamp>>,
}

impl Setup {
    /// Kills `killed` at the writes of a role, which reaches the API server by the file that this writes.
    async fn door(
        &self,
        (role, written): (&Path, &Path),
        victim: Victim,
        killed: Vec<Actor>,
        met: &Met,
    ) -> Result<CrashPoints> {
        let killed = Arc::new(killed);
        let die: Die = Arc::new(move || {
            let killed = Arc::clone(&killed);
            Box::pin(async move { killed.iter().try_for_each(Actor::crash) })
        });
        CrashPoints::open(role, written, victim.writes(), die, met).await
    }

    fn file(&self, name: &str) -> PathBuf {
        self.places.logs.join(name)
    }

    fn command(&self, role: &str, kubeconfig: &Path) -> Command {
        let mut command = Command::new(&self.places.causeway);
        command.arg(role).arg("--kubeconfig").arg(kubeconfig);
        command
    }

    fn clock(&self, command: &mut Command) {
        command.args(["--clock", "stepped", "--now", &self.now.lock().to_string()]);
    }

    fn lease(&self, command: &mut Command, duration: &str) {
        if self.hasty {
            command.args(["--lease-duration", duration]);
        }
    }

    fn shared(&self, command: &mut Command, name: &str, admin: u16) {
        command.arg("--data").arg(self.places.data.join(name));
        command.arg("--store").arg(format!("file://{}", self.file("store").display()));
        command.arg("--gateway-token-file").arg(self.file("gateway-token"));
        command.args(["--admin-port", &admin.to_string()]);
        self.clock(command);
    }

    fn operator(&self, kubeconfig: &Path, index: usize, admin: u16) -> Result<Running> {
        let name = format!("operator-{index}");
        let mut command = self.command("operator", kubeconfig);
        self.shared(&mut command, &name, admin);
        // An operator that builds the engine anew has little time for its Lease.
        self.lease(&mut command, "8s");
        command.arg("--audit-key").arg(self.file("audit.key")).args(["--identity", &name]);
        command.args(["--gateway-port", &self.ports.gateways.to_string()]);
        command.args(["--api-port", &self.ports.api.to_string()]);
        command.args(["--console-url", &url(self.ports.console)]);
        Running::spawn(command, "an operator", &self.file(&format!("{name}.log")))
    }

    fn gateway(&self) -> Result<Running> {
        let mut command = self.command("gateway", &self.roles.join("gateway"));
        self.shared(&mut command, "gateway", self.ports.gateway);
        command.args(["--operator", &format!("127.0.0.1:{}", self.ports.gateways)]);
        for (name, port) in [
            ("otlp-grpc", self.ports.otlp_grpc),
            ("otlp-http", self.ports.otlp_http),
            ("forward", self.ports.forward),
        ] {
            command.arg(format!("--{name}-port={port}"));
        }
        Running::spawn(command, "the gateway", &self.file("gateway.log"))
    }

    fn executor(&self, kubeconfig: &Path) -> Result<Running> {
        let mut command = self.command("executor", kubeconfig);
        self.clock(&mut command);
        self.lease(&mut command, "3s");
        command.args(["--admin", &format!("127.0.0.1:{}", self.ports.executor)]);
        Running::spawn(command, "the executor", &self.file("executor.log"))
    }

    fn console(&self) -> Result<Running> {
        let mut command = self.command("console", &self.roles.join("console"));
        command.args(["--telemetry", &url(self.ports.api)]);
        command.args(["--listen", &format!("127.0.0.1:{}", self.ports.console), "--admin", "127.0.0.1:0"]);
        Running::spawn(command, "the console", &self.file("console.log"))
    }
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// A running installation; clones are the same one.
#[derive(Clone)]
pub(super) struct Installation {
    setup: Setup,
    operators: Vec<Actor>,
    gateway: Actor,
    executor: Actor,
    console: Actor,
    /// Before the executor, if it is killed. An operator says itself when it has settled.
    door: Option<CrashPoints>,
    met: Met,
    http: reqwest::Client,
    /// The administrator's.
    token: String,
}

impl Installation {
    /// Starts all roles; those of `victims` are killed at each of their writes.
    pub(super) async fn start(places: &Places, now: Timestamp, victims: &[Victim]) -> Result<Self> {
        let roles = places.roles.clone().context("no kubeconfigs of roles")?;
        let token = administrator(&places.kubeconfig())?;
        std::fs::write(places.data.join("token"), &token)?;
        let setup = Setup {
            places: places.clone(),
            roles,
            ports: Ports::free()?,
            hasty: !victims.is_empty(),
            now: Arc::new(Mutex::new(now)),
        };
        std::fs::write(setup.file("gateway-token"), "shared by operators and gateways")?;
        std::fs::write(setup.file("audit.key"), [&PKCS8[..], &[7; 32]].concat())?;
        let gateway = {
            let setup = setup.clone();
            Actor::new(move || setup.gateway())
        };
        let met = Met::default();
        let mut operators = Vec::new();
        for (index, admin) in setup.ports.operators.into_iter().enumerate() {
            let (role, written) =
                (setup.roles.join("operator"), setup.file(&format!("operator-{index}.kubeconfig")));
            let is_killed = victims.contains(&Victim::Operator);
            let kubeconfig = if is_killed { written.clone() } else { role.clone() };
            let owned = setup.clone();
            let actor = Actor::new(move || owned.operator(&kubeconfig, index, admin));
            if is_killed {
                // What is under way from the gateway to a dying operator dies as well.
                let killed = vec![actor.clone(), gateway.clone()];
                setup.door((&role, &written), Victim::Operator, killed, &met).await?;
            }
            operators.push(actor);
        }
        let (role, written) = (setup.roles.join("executor"), setup.file("executor.kubeconfig"));
        let is_killed = victims.contains(&Victim::Executor);
        let kubeconfig = if is_killed { written.clone() } else { role.clone() };
        let owned = setup.clone();
        let executor = Actor::new(move || owned.executor(&kubeconfig));
        let door = match is_killed {
            true => {
                let killed = vec![executor.clone()];
                Some(setup.door((&role, &written), Victim::Executor, killed, &met).await?)
            }
            false => None,
        };
        let owned = setup.clone();
        let console = Actor::new(move || owned.console());
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(120)).build()?;
        let all = Self { setup, operators, gateway, executor, console, door, met, http, token };
        all.tend()?;
        all.answers(&format!("{}/readyz", url(all.setup.ports.gateway))).await?;
        all.answers(&url(all.setup.ports.console)).await?;
        Ok(all)
    }

    /// Starts what has ended.
    fn tend(&self) -> Result<()> {
        let actors = self.operators.iter().chain([&self.gateway, &self.executor, &self.console]);
        actors.into_iter().try_for_each(Actor::tend)
    }

    async fn answers(&self, address: &str) -> Result<()> {
        let begun = Instant::now();
        while !self.http.get(address).send().await.is_ok_and(|answer| !answer.status().is_server_error()) {
            if begun.elapsed() > PATIENCE {
                bail!("{address} does not answer: see the logs in {}", self.setup.places.logs.display());
            }
            tokio::time::sleep(RETRY).await;
            self.tend()?;
        }
        Ok(())
    }

    /// Where people and senders find it.
    pub(super) fn endpoints(&self) -> Endpoints {
        let ports = &self.setup.ports;
        let pid = self.operators.first().and_then(|actor| actor.running.lock().as_ref().map(Running::pid));
        Endpoints {
            otlp_grpc: url(ports.otlp_grpc),
            otlp_http: url(ports.otlp_http),
            forward: format!("127.0.0.1:{}", ports.forward),
            admin: url(ports.operators[0]),
            api: url(ports.console),
            kubernetes: None,
            pid: pid.unwrap_or_default(),
        }
    }

    async fn post(&self, address: String, body: &Value) -> Result<Value> {
        let answer = self.http.post(&address).bearer_auth(&self.token).json(body).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        if !status.is_success() {
            bail!("{address}: {status}: {text}");
        }
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    /// Steps the clocks of operators and gateway, and gives the state of the engine when all has settled: windows closed
    /// and handed over, what others wrote (`seen`, versions by plural) known.
    pub(super) async fn step(&self, now: Timestamp, seen: &Value) -> Result<Value> {
        *self.setup.now.lock() = now;
        let body = json!({"now": now, "seen": seen});
        let begun = Instant::now();
        loop {
            match self.try_step(&body).await {
                Ok(state) => return Ok(state),
                Err(error) if begun.elapsed() > PATIENCE => {
                    return Err(error.context("the step did not settle"));
                }
                Err(_) => {}
            }
            tokio::time::sleep(RETRY).await;
            self.tend()?;
        }
    }

    async fn try_step(&self, body: &Value) -> Result<Value> {
        for admin in self.setup.ports.operators {
            // One that is being started begins at the time of now.
            self.post(format!("{}/clock", url(admin)), body).await.ok();
        }
        self.post(format!("{}/clock", url(self.setup.ports.gateway)), body).await?;
        self.post(format!("{}/api/v1/clock", url(self.setup.ports.api)), body).await
    }

    /// The same for the executor, which knows what the operator wrote.
    pub(super) async fn step_executor(&self, now: Timestamp, seen: &Value) -> Result<()> {
        let body = json!({"now": now, "seen": seen});
        let begun = Instant::now();
        while let Err(error) = self.post(format!("{}/clock", url(self.setup.ports.executor)), &body).await {
            if begun.elapsed() > PATIENCE {
                return Err(error.context("the executor did not settle"));
            }
            tokio::time::sleep(RETRY).await;
            self.tend()?;
        }
        Ok(())
    }

    /// Waits until nobody dies of what the last step brought.
    pub(super) async fn at_rest(&self) -> Result<()> {
        match &self.door {
            Some(door) => door.at_rest().await,
            None => Ok(()),
        }
    }

    /// Writes at which processes were killed.
    ///
    /// # Errors
    /// When nobody died after one.
    pub(super) fn crash_points(&self) -> Result<Vec<String>> {
        let all = self.met.lock();
        if let Some((write, _)) = all.iter().find(|(_, times)| **times < 2) {
            bail!("nobody died after {write}");
        }
        Ok(all.keys().cloned().collect())
    }

    /// Ends the gateway: it seals what is hot, and hands it over.
    pub(super) fn seal(&self) -> Result<()> {
        self.gateway.stop()
    }

    /// Ends all.
    pub(super) fn stop(&self) -> Result<()> {
        let rest = [&self.gateway, &self.executor, &self.console];
        rest.into_iter().chain(&self.operators).try_for_each(Actor::stop)
    }
}

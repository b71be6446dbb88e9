//! Gateway and operator over a real connection, with real lakes over one store.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as the tests do")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use causeway_engine::{Engine, EngineConfig};
use causeway_lake::{Lake, LakeError, LakeOptions, LockError, StoreOptions, to_rows};
use causeway_model::{
    Batch, Caller, Clock, Delivery, LogBuilder, LogRow, Micros, Partial, Query as _, Sink as _, SourceRef,
    Table,
};
use causeway_pipeline::{Gateway, GatewayConfig, PipelineMetrics};
use causeway_relay::{Hub, Intake, Journal, KEEP_US, Link, Observation, Outbox, RelayError, Sender, rebuild};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// 2026-11-22T19:15:00Z, the start of a window.
const START: Micros = 1_795_374_900_000_000;
const STEP: i64 = 10_000_000;
const TOKEN: &str = "a token of both sides";

struct Stepped(AtomicI64);

impl Clock for Stepped {
    fn now_us(&self) -> Micros {
        self.0.load(Ordering::SeqCst)
    }
}

fn clock() -> Arc<Stepped> {
    Arc::new(Stepped(START.into()))
}

/// Opens; the former owner's background task may hold the folder for a moment.
async fn lake(folder: &Path, store: &Path, clock: &Arc<Stepped>, hand_over: bool) -> Lake {
    let mut options = LakeOptions::new(folder, clock.clone());
    options.store = StoreOptions::Local(store.to_owned());
    options.hand_over = hand_over;
    options.limits.group_commit_delay = Duration::ZERO;
    options.limits.seal_age = Duration::from_secs(3600);
    loop {
        match Lake::open(options.clone()).await {
            Err(LakeError::Lock(LockError::Held { .. })) => tokio::task::yield_now().await,
            other => return other.unwrap(),
        }
    }
}

/// An engine, and how many records came with windows that it took.
struct Brain {
    engine: parking_lot::Mutex<(Engine, u64)>,
    clock: Arc<Stepped>,
}

impl Brain {
    fn new(engine: Engine, clock: &Arc<Stepped>) -> Arc<Self> {
        Arc::new(Self { engine: parking_lot::Mutex::new((engine, 0)), clock: clock.clone() })
    }

    fn records(&self) -> u64 {
        self.engine.lock().1
    }

    fn windows(&self) -> u64 {
        self.engine.lock().0.counts().windows
    }

    fn snapshot(&self) -> Vec<u8> {
        self.engine.lock().0.snapshot().unwrap()
    }
}

impl Intake for Brain {
    fn cursor(&self, gateway: &str) -> u64 {
        self.engine.lock().0.cursor(gateway)
    }

    fn observe(&self, gateway: &str, sequence: u64, partial: Partial) {
        let mut guarded = self.engine.lock();
        let records = partial.records;
        if guarded.0.observe_from(gateway, sequence, partial, self.clock.now_us()) {
            guarded.1 += records;
        }
    }
}

/// Answers that get lost on their way, after the operator has done everything.
type Losses = Arc<AtomicU32>;

async fn lose(State(losses): State<Losses>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    match losses.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
        Ok(_) => StatusCode::BAD_GATEWAY.into_response(),
        Err(_) => response,
    }
}

struct Operator {
    lake: Lake,
    brain: Arc<Brain>,
    hub: Arc<Hub>,
    losses: Losses,
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Operator {
    /// Leads at `address`; port 0 takes a free one.
    async fn lead(world: &World, name: &str, engine: Engine, address: SocketAddr) -> Self {
        let lake = lake(&world.path(name), &world.path("store"), &world.clock, false).await;
        let brain = Brain::new(engine, &world.clock);
        let hub = Arc::new(Hub::new(lake.clone(), brain.clone(), world.clock.clone()));
        let losses = Losses::default();
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = hub.router(TOKEN).layer(from_fn_with_state(losses.clone(), lose));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { lake, brain, hub, losses, address, server }
    }

    async fn first(world: &World) -> Self {
        let engine = Engine::new(EngineConfig::default());
        Self::lead(world, "first", engine, "127.0.0.1:0".parse().unwrap()).await
    }

    /// Ends at once, and gives the address free.
    async fn end(self) -> SocketAddr {
        self.server.abort();
        assert!(self.server.await.unwrap_err().is_cancelled());
        self.address
    }
}

struct World {
    folder: tempfile::TempDir,
    clock: Arc<Stepped>,
}

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), clock: clock() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn step(&self, now_us: Micros) {
        self.clock.0.store(now_us, Ordering::SeqCst);
    }
}

/// One process of a gateway; dropped without an end, it was killed.
struct Edge {
    lake: Lake,
    gateway: Arc<Gateway>,
    outbox: Outbox,
    sender: Sender,
    /// Records that came back from the write-ahead log.
    rebuilt: u64,
}

impl Edge {
    async fn start(world: &World, operator: SocketAddr) -> Self {
        let lake = lake(&world.path("edge"), &world.path("store"), &world.clock, true).await;
        let (journal, outbox) = Journal::open(&lake, world.clock.clone()).await.unwrap();
        let gateway = Arc::new(Gateway::new(
            Arc::new(lake.clone()),
            outbox.sink(),
            world.clock.clone(),
            GatewayConfig::default(),
            PipelineMetrics::default(),
        ));
        let rebuilt = rebuild(&lake, &journal, &gateway).await.unwrap();
        let link = Link::new(operator.to_string(), TOKEN).unwrap();
        let observe = Arc::new(|| vec![(source(), Observation { services: 3, ..Observation::default() })]);
        let sender = Sender::new(link, lake.clone(), &journal, observe);
        tokio::spawn(journal.run());
        Self { lake, gateway, outbox, sender, rebuilt }
    }

    /// Receives requests of two records each, of consecutive windows, and closes what is due.
    async fn receive(&self, world: &World, windows: std::ops::Range<i64>) {
        for window in windows {
            let at = START + window * STEP;
            world.step(at + 1);
            let mut logs = LogBuilder::default();
            for offset in 0..2 {
                logs.append(&LogRow {
                    time_us: at + offset,
                    observed_us: at + offset,
                    namespace: "shop",
                    source: "otlp",
                    service: "shop/cart",
                    body: &format!("{window}.{offset}"),
                    ..LogRow::default()
                })
                .unwrap();
            }
            let batch = Batch::Logs(logs.finish().unwrap());
            let request_hash = u64::try_from(window + 1).unwrap();
            let delivery = Delivery { source: source(), batch, request_hash };
            assert!(!self.gateway.accept(delivery).await.unwrap().duplicate);
        }
        self.outbox.settled().await;
    }
}

fn source() -> SourceRef {
    SourceRef { namespace: "shop".into(), name: "otlp".into() }
}

/// Rows, and different rows.
async fn rows(lake: &Lake) -> (String, String) {
    let caller = Caller { user: "test".into(), namespaces: None, byte_budget: u64::MAX };
    let answer = lake.sql(&caller, "SELECT count(*), count(DISTINCT body) FROM logs").await.unwrap();
    let row = to_rows(&answer.batches).unwrap().swap_remove(1);
    (row[0].clone(), row[1].clone())
}

fn all(count: u32) -> (String, String) {
    (count.to_string(), count.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_and_windows_arrive_once_although_answers_get_lost() {
    let world = World::new();
    let operator = Operator::first(&world).await;
    let mut edge = Edge::start(&world, operator.address).await;
    edge.receive(&world, 0..20).await;
    edge.lake.flush().await.unwrap();
    assert_eq!(rows(&edge.lake).await, all(0), "sealed, and announced only");
    edge.sender.turn().await.unwrap();
    assert_eq!(rows(&operator.lake).await, all(40));
    assert_eq!(operator.brain.records(), 36, "two windows are open");
    assert!(edge.lake.announcements().is_empty());
    edge.receive(&world, 20..30).await;
    edge.lake.flush().await.unwrap();
    // Of the exchange with everything, of the question for the cursor, and of the next exchange.
    for _ in 0..3 {
        operator.losses.store(1, Ordering::SeqCst);
        edge.sender.turn().await.unwrap_err();
    }
    edge.sender.turn().await.unwrap();
    assert_eq!(rows(&operator.lake).await, all(60));
    assert_eq!(operator.brain.records(), 56);
    assert_eq!(operator.hub.observed(&source()).services, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_leader_goes_on_where_the_snapshot_and_the_tables_stand() {
    let world = World::new();
    let first = Operator::first(&world).await;
    let mut edge = Edge::start(&world, first.address).await;
    edge.receive(&world, 0..20).await;
    edge.lake.flush().await.unwrap();
    edge.sender.turn().await.unwrap();
    let snapshot = first.brain.snapshot();
    let (windows, at_snapshot) = (first.brain.windows(), first.brain.records());
    edge.receive(&world, 20..30).await;
    edge.sender.turn().await.unwrap();
    assert!(first.brain.windows() > windows, "the first leader got further than its snapshot");
    // Sealed, announced, committed by the first leader, whose answer nobody hears any more.
    edge.lake.flush().await.unwrap();
    first.losses.store(1, Ordering::SeqCst);
    edge.sender.turn().await.unwrap_err();
    let address = first.end().await;
    edge.receive(&world, 30..40).await;
    edge.lake.flush().await.unwrap();
    let nobody = edge.sender.turn().await.unwrap_err();
    assert!(matches!(nobody, RelayError::Unreachable { .. }), "{nobody}");
    assert_eq!(edge.lake.announcements().len(), 2, "kept until somebody leads");

    let mut engine = Engine::restore(EngineConfig::default(), &snapshot).unwrap();
    engine.await_sources(world.clock.now_us());
    let second = Operator::lead(&world, "second", engine, address).await;
    edge.sender.turn().await.unwrap();
    assert_eq!(rows(&second.lake).await, all(80));
    // As if there had been one leader; two windows are open.
    assert_eq!((windows + second.brain.windows(), at_snapshot + second.brain.records()), (38, 76));
    assert!(edge.lake.announcements().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposed_leader_commits_nothing_twice() {
    let world = World::new();
    let nobody = "127.0.0.1:1".parse().unwrap();
    let (old, new) = (
        lake(&world.path("old"), &world.path("store"), &world.clock, false).await,
        lake(&world.path("new"), &world.path("store"), &world.clock, false).await,
    );
    let edge = Edge::start(&world, nobody).await;
    for window in 0..6 {
        edge.receive(&world, window..window + 1).await;
        edge.lake.flush().await.unwrap();
    }
    let announced = edge.lake.announcements();
    assert_eq!(announced.len(), 6);
    assert_eq!(new.commit_announced(&announced[0]).await.unwrap(), announced[0].upto);
    assert_eq!(old.commit_announced(&announced[0]).await.unwrap(), announced[0].upto, "it is there");
    assert_eq!(rows(&new).await, all(2));
    let early = new.commit_announced(&announced[2]).await.unwrap();
    assert_eq!(early, announced[0].upto, "it begins behind a gap");
    // Both at once, each time from the state that they knew before: one of the two commits.
    for announced in &announced[1..] {
        let (a, b) = tokio::join!(old.commit_announced(announced), new.commit_announced(announced));
        assert_eq!((a.unwrap(), b.unwrap()), (announced.upto, announced.upto));
    }
    for leader in [&old, &new] {
        leader.retain(Table::Logs, Micros::MIN).await.unwrap();
        assert_eq!(rows(leader).await, all(12));
    }
    let mut forged = announced[5].clone();
    forged.wal = "../../elsewhere".into();
    assert!(matches!(new.commit_announced(&forged).await, Err(LakeError::Announced(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_killed_loses_no_record() {
    let world = World::new();
    let operator = Operator::first(&world).await;
    let mut edge = Edge::start(&world, operator.address).await;
    edge.receive(&world, 0..10).await;
    // Killed with open windows and hot rows.
    drop(edge);
    edge = Edge::start(&world, operator.address).await;
    assert_eq!(edge.rebuilt, 4, "the two windows that were open");
    edge.receive(&world, 10..12).await;
    // Killed with rows that are sealed and announced to nobody.
    edge.lake.flush().await.unwrap();
    drop(edge);
    edge = Edge::start(&world, operator.address).await;
    edge.receive(&world, 12..14).await;
    edge.sender.turn().await.unwrap();
    // Killed after the operator has committed, before the gateway has heard of it.
    edge.lake.flush().await.unwrap();
    operator.losses.store(1, Ordering::SeqCst);
    edge.sender.turn().await.unwrap_err();
    drop(edge);
    edge = Edge::start(&world, operator.address).await;
    assert_eq!(edge.lake.recovery().rows, 0, "the table knows");
    edge.receive(&world, 14..16).await;
    edge.lake.flush().await.unwrap();
    edge.sender.turn().await.unwrap();
    assert_eq!(rows(&operator.lake).await, all(32));
    assert_eq!(operator.brain.records(), 28, "two windows are open");
    assert_eq!(operator.brain.windows(), 14);
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_are_kept_for_two_hours_and_no_longer() {
    let world = World::new();
    let operator = Operator::first(&world).await;
    let mut edge = Edge::start(&world, operator.address).await;
    edge.receive(&world, 0..10).await;
    edge.lake.flush().await.unwrap();
    edge.sender.turn().await.unwrap();
    assert!(!edge.lake.opaque_since(0, usize::MAX).await.unwrap().is_empty(), "kept although acknowledged");
    world.step(START + KEEP_US + 20 * STEP);
    edge.sender.turn().await.unwrap();
    edge.lake.flush().await.unwrap();
    assert!(edge.lake.opaque_since(0, usize::MAX).await.unwrap().is_empty());
    assert_eq!(edge.lake.stats().wal_segments, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_told_apart() {
    let world = World::new();
    let operator = Operator::first(&world).await;
    let mut link = Link::new(operator.address.to_string(), "another").unwrap();
    let refused = link.exchange(&causeway_relay::Exchange::default()).await.unwrap_err();
    assert!(matches!(refused, RelayError::Token { .. }), "{refused}");
}

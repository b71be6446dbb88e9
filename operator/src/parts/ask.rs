//! Asks the lake for the points that the engine wants.

use std::sync::Weak;

use anyhow::{Context as _, Result};
use causeway_engine::{Ask, Subject};
use causeway_kubekit::Busy;
use causeway_lake::{Lake, to_ndjson};
use causeway_model::{Caller, Query as _};
use tokio::sync::mpsc;

use super::engine_host::EngineHost;
use super::past::{self, Span, Stored, Wanted};

/// Bytes that a statement about what is due may read: it runs for every point, so that one which reads everything must fail.
const DUE_BYTES: u64 = 1 << 30;
/// Bytes that a statement about a day of the past may read.
const DAY_BYTES: u64 = 32 << 30;
const DAY_US: i64 = 86_400_000_000;

/// Answers until nobody asks any more. Lessons take long, and nobody waits for them: what is due is answered beside.
pub(crate) async fn serve(lake: Lake, host: Weak<EngineHost>, asks: mpsc::UnboundedReceiver<(Ask, Busy)>) {
    let (lessons, lessons_end) = mpsc::unbounded_channel();
    let taught = answer(&lake, &host, lessons_end);
    let split = async {
        let (mut asks, (now, now_end)) = (asks, mpsc::unbounded_channel());
        let sort = async move {
            while let Some(asked) = asks.recv().await {
                let queue = if asked.0.lesson { &lessons } else { &now };
                // Both ends live as long as this does.
                drop(queue.send(asked));
            }
        };
        tokio::join!(sort, answer(&lake, &host, now_end));
    };
    tokio::join!(split, taught);
}

async fn answer(lake: &Lake, host: &Weak<EngineHost>, mut asks: mpsc::UnboundedReceiver<(Ask, Busy)>) {
    while let Some((ask, busy)) = asks.recv().await {
        let Some(host) = host.upgrade() else { return };
        let answered = if ask.lesson { teach(lake, &host, &ask).await } else { due(lake, &host, &ask).await };
        if let Err(error) = answered {
            let problem = format!("{error:#}");
            tracing::warn!(namespace = ask.namespace(), error = problem, "the lake can't answer");
            host.unanswered(&ask, problem);
        }
        drop(busy);
    }
}

async fn due(lake: &Lake, host: &EngineHost, ask: &Ask) -> Result<()> {
    let span = Span { from_us: ask.from_us, to_us: ask.to_us, step_us: ask.step_us };
    let stored = fetch(lake, ask, &span, DUE_BYTES).await?;
    host.answer(ask, &stored);
    Ok(())
}

/// Teaches the past day by day, apart from the engine, which goes on meanwhile.
async fn teach(lake: &Lake, host: &EngineHost, ask: &Ask) -> Result<()> {
    let mut lesson = host.read(|engine| engine.lesson(&ask.subject));
    let mut points = 0;
    let mut from_us = ask.from_us;
    while from_us < ask.to_us {
        let to_us = ((from_us.div_euclid(DAY_US) + 1) * DAY_US).min(ask.to_us);
        let stored = fetch(lake, ask, &Span { from_us, to_us, step_us: ask.step_us }, DAY_BYTES).await?;
        points += stored.len();
        lesson.take(&stored);
        from_us = to_us;
    }
    tracing::info!(name = ask.name(), namespace = ask.namespace(), points, "learned from the past");
    host.taught(lesson);
    Ok(())
}

async fn fetch(lake: &Lake, ask: &Ask, span: &Span, byte_budget: u64) -> Result<Stored> {
    let mut wanted: Vec<Wanted> = match &ask.subject {
        Subject::Baseline(config) => past::of_baseline(config),
        Subject::Objective(config) => past::of_objective(config),
    };
    // Of what is due the engine knows at which points anything came.
    wanted.retain(|one| ask.lesson || *one != Wanted::Presence);
    let entity = ask.entities().first().map_or("", String::as_str);
    let mut stored = Stored::new();
    for one in &wanted {
        let caller = Caller {
            user: "engine".to_owned(),
            namespaces: one.is_written().then(|| vec![ask.namespace().to_owned()]),
            byte_budget,
        };
        let result = lake.sql(&caller, &one.sql(ask.entities(), span)).await?;
        let answer = to_ndjson(&result.batches).context("the answer can't be read")?;
        one.read(&answer, entity, span, &mut stored)?;
    }
    Ok(stored)
}

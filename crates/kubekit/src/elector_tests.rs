//! Elections against an in-memory API server, in paused time.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::elector::{Elector, ElectorConfig, Leadership, LeadershipLost, while_leading};
use crate::fake_api::{FakeApi, Fault};

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/causeway/leases/operator";

struct Candidate {
    leadership: Leadership,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn candidate(api: &FakeApi, identity: &str) -> Candidate {
    let elector = Elector::new(api.client(), ElectorConfig::new("causeway", "operator", identity));
    let (leadership, stop) = (elector.leadership(), CancellationToken::new());
    let task = tokio::spawn(elector.run(stop.clone()));
    Candidate { leadership, stop, task }
}

impl Candidate {
    fn epoch(&self) -> Option<u64> {
        *self.leadership.borrow()
    }

    async fn leads(&mut self) -> u64 {
        self.leadership.wait_for(Option::is_some).await.unwrap().unwrap()
    }
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn one_of_two_leads_and_keeps_leading() {
    let api = FakeApi::default();
    let mut first = candidate(&api, "a");
    assert_eq!(first.leads().await, 0);
    let second = candidate(&api, "b");
    pass(120).await;
    assert_eq!((first.epoch(), second.epoch()), (Some(0), None));
    assert_eq!(api.get(LEASE)["spec"]["holderIdentity"], "a");
}

#[tokio::test(start_paused = true)]
async fn a_leader_steps_down_in_an_outage_and_leads_again_in_a_new_epoch() {
    for fault in [Fault::Status(500), Fault::Hang] {
        let api = FakeApi::default();
        let mut leader = candidate(&api, "a");
        assert_eq!(leader.leads().await, 0);
        pass(1).await;
        let outage = tokio::time::Instant::now();
        api.set_fault(fault);
        leader.leadership.wait_for(Option::is_none).await.unwrap();
        assert!(outage.elapsed() <= Duration::from_secs(10), "{fault:?}: {:?}", outage.elapsed());
        api.set_fault(Fault::None);
        assert_eq!(leader.leads().await, 1, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_takes_over_only_after_the_whole_duration() {
    let api = FakeApi::default();
    let mut first = candidate(&api, "a");
    first.leads().await;
    let mut second = candidate(&api, "b");
    pass(30).await;
    let killed = tokio::time::Instant::now();
    first.task.abort();
    assert_eq!(second.leads().await, 1);
    let waited = killed.elapsed();
    assert!(waited >= Duration::from_secs(13) && waited <= Duration::from_secs(19), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_released_lease_is_taken_at_once() {
    let api = FakeApi::default();
    let mut first = candidate(&api, "a");
    first.leads().await;
    let mut second = candidate(&api, "b");
    pass(10).await;
    first.stop.cancel();
    first.task.await.unwrap();
    assert_eq!(*first.leadership.borrow(), None);
    let released = tokio::time::Instant::now();
    assert_eq!(second.leads().await, 1);
    assert!(released.elapsed() <= Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_lease_was_taken_steps_down_at_its_next_renewal() {
    let api = FakeApi::default();
    let mut first = candidate(&api, "a");
    first.leads().await;
    api.edit(LEASE, |lease| {
        lease["spec"]["holderIdentity"] = "intruder".into();
        lease["spec"]["leaseTransitions"] = 1.into();
    });
    first.leadership.wait_for(Option::is_none).await.unwrap();
    // The intruder never renews.
    assert_eq!(first.leads().await, 2);
}

#[tokio::test(start_paused = true)]
async fn an_edit_of_the_lease_by_somebody_else_does_not_end_leadership() {
    let api = FakeApi::default();
    let mut first = candidate(&api, "a");
    first.leads().await;
    for round in 0..5 {
        api.edit(LEASE, |lease| {
            lease["metadata"]["labels"] = serde_json::json!({"round": round.to_string()})
        });
        pass(3).await;
        assert_eq!(first.epoch(), Some(0));
    }
    assert_eq!(api.get(LEASE)["metadata"]["labels"]["round"], "4");
}

#[tokio::test(start_paused = true)]
async fn of_many_candidates_exactly_one_leads_at_any_time() {
    let api = FakeApi::default();
    let candidates: Vec<Candidate> = (0..4).map(|index| candidate(&api, &format!("c{index}"))).collect();
    let mut epochs = Vec::new();
    for second in 0..300_u64 {
        pass(1).await;
        // Outages of different lengths.
        let outage = second % 60 < (second / 60) * 5;
        api.set_fault(if outage { Fault::Status(503) } else { Fault::None });
        let leading: Vec<u64> = candidates.iter().filter_map(Candidate::epoch).collect();
        assert!(leading.len() <= 1, "two leaders at {second}");
        epochs.extend(leading);
    }
    assert!(epochs.is_sorted() && epochs.len() > 150, "{} leader-seconds", epochs.len());
}

#[tokio::test(start_paused = true)]
async fn work_is_cut_off_when_leadership_ends() {
    let api = FakeApi::default();
    let leader = candidate(&api, "a");
    let stop = CancellationToken::new();
    let done = while_leading(leader.leadership.clone(), stop.clone(), async |epoch| epoch).await;
    assert_eq!(done, Ok(Some(0)));
    let endless = while_leading(leader.leadership.clone(), stop.clone(), |_| std::future::pending::<()>());
    api.set_fault(Fault::Hang);
    assert_eq!(endless.await, Err(LeadershipLost { epoch: 0 }));
    stop.cancel();
    assert_eq!(while_leading(leader.leadership.clone(), stop, async |epoch| epoch).await, Ok(None));
}

//! A consumer is stopped for longer than its session, in the middle of handlers, and goes on: its acks are void.

use crate::{
    server::Server,
    stage::Stage,
    test::{Numbers, Test},
};
use bus_core::conformance::{Failure, What};
use rustix::process::Signal;
use std::time::{Duration, Instant};

pub(crate) async fn run(test: &Test) -> Result<Numbers, Failure> {
    let server = Server::start(test).await?;
    let mut stage = Stage::open(test, &server).await?;
    // Long enough that a stop finds handlers at work.
    stage.tune_consume = |role| role.work = (20, 60);
    stage.cast(500).await?;
    let (mut stops, mut late) = (0, 0);
    let mut turns = test.turns(500..=1_500);
    while turns.next().await {
        stage.look()?;
        let members = stage.members();
        let member = members[test.random(0..=members.len() as u64 - 1) as usize];
        let from = Instant::now();
        stage.actor(member).signal(Signal::STOP)?;
        // Past the session, and past the moment at which another one has it.
        tokio::time::sleep(server.session() + Duration::from_millis(test.random(1_500..=3_000))).await;
        let until = Instant::now();
        stage.actor(member).signal(Signal::CONT)?;
        stage.may_lose(Some(member), from);
        stops += 1;
        tokio::time::sleep(Duration::from_secs(1)).await;
        late += late_acks(&stage, member, from, until)?;
    }
    let mut numbers = stage.finish().await?;
    numbers.add("stops", stops);
    numbers.add("late acks", late);
    if late == 0 {
        return Err(Failure::new(
            "no stop struck in the middle of a handler: this proves nothing",
        ));
    }
    Ok(numbers)
}

/// Acks of a member after it woke, of what it had got before it was stopped.
fn late_acks(stage: &Stage<'_>, member: u32, from: Instant, until: Instant) -> Result<usize, Failure> {
    let evidence = stage.evidence()?;
    let got = |id: &std::sync::Arc<str>| {
        let delivered = |w| matches!(w, What::Delivered { member: m, .. } if m == member);
        evidence
            .handled
            .iter()
            .any(|h| h.id == *id && h.at <= from + Duration::from_millis(50) && delivered(h.what))
    };
    let acked = |w| w == What::Acked { member };
    Ok(evidence
        .handled
        .iter()
        .filter(|h| h.at >= until && acked(h.what) && got(&h.id))
        .count())
}

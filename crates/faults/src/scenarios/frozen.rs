//! A consumer is stopped for longer than its session, in the middle of handlers, and goes on: its acks are void.

use crate::{
    server::Server,
    stage::Stage,
    test::{Numbers, Test},
};
use bus_core::conformance::{Failure, What};
use rustix::process::Signal;
use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

pub(crate) async fn run(test: &Test) -> Result<Numbers, Failure> {
    let server = Server::start(test).await?;
    let mut stage = Stage::open(test, &server).await?;
    // Long enough that a stop finds handlers at work.
    stage.tune_consume = |role| role.work = (20, 60);
    stage.cast(500).await?;
    let (mut stops, mut caught) = (0, 0);
    let mut turns = test.turns(500..=1_500);
    while turns.next().await {
        stage.look()?;
        let member = at_work(test, &stage).await?;
        let from = Instant::now();
        stage.actor(member).signal(Signal::STOP)?;
        // Past the session, and past the moment at which another one has it.
        tokio::time::sleep(server.session() + Duration::from_millis(test.random(1_500..=3_000))).await;
        stage.actor(member).signal(Signal::CONT)?;
        stage.may_lose(Some(member), from);
        stops += 1;
        caught += in_hand(&stage, member, from)?;
    }
    let mut numbers = stage.finish().await?;
    numbers.add("stops", stops);
    numbers.add("handlers stopped in the middle", caught);
    if caught == 0 {
        return Err(Failure::new(
            "no stop struck in the middle of a handler: this proves nothing",
        ));
    }
    Ok(numbers)
}

/// A member that is in the middle of a handler; any, if none comes to that in time.
async fn at_work(test: &Test, stage: &Stage<'_>) -> Result<u32, Failure> {
    let until = Instant::now() + Duration::from_secs(3);
    loop {
        let members = stage.members();
        let member = members[test.random(0..=members.len() as u64 - 1) as usize];
        if Instant::now() >= until || in_hand(stage, member, Instant::now())? > 0 {
            return Ok(member);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What a member had got and not settled at that moment.
fn in_hand(stage: &Stage<'_>, member: u32, at: Instant) -> Result<usize, Failure> {
    let mut hand = HashSet::new();
    for h in stage.evidence()?.handled.into_iter().filter(|h| h.at <= at) {
        match h.what {
            What::Delivered { member: m, .. } if m == member => drop(hand.insert(h.id)),
            What::Acked { member: m } if m == member => drop(hand.remove(&h.id)),
            What::Nacked { .. } | What::Returned => drop(hand.remove(&h.id)),
            _ => {}
        }
    }
    Ok(hand.len())
}

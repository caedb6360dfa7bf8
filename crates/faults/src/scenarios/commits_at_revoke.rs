//! Members join and leave while commits get no answer, arrive late, or are held past the time that a partition may take
//! to go. That brings messages again and skips none, and what does not move goes on.

use crate::{
    observer::steps_back,
    server::Server,
    stage::Stage,
    test::{Numbers, Test},
};
use bus_core::conformance::Failure;
use bus_proxy::{Filter, Late, Rule};
use std::time::{Duration, Instant};

/// How long a member that leaves may take: its drain, and the session that its last commit is waited for.
const END: Duration = Duration::from_secs(60);
/// How long a partition may rest: a drain, a session, and joining.
const STALL: Duration = Duration::from_secs(20);

pub(crate) async fn run(test: &Test) -> Result<Numbers, Failure> {
    let server = Server::start(test).await?;
    let proxy = server.proxy()?;
    let mut stage = Stage::open(test, &server).await?;
    stage.late_commits = true;
    stage.cast(500).await?;
    let begin = Instant::now();
    let (mut moves, mut left) = (0, 0);
    let mut turns = test.turns(500..=1_500);
    while moves < 3 || turns.next().await {
        stage.look()?;
        let from = Instant::now();
        // OffsetCommit.
        let commits = Filter::kafka([8]);
        // One after the other, so that each kind has its turn.
        let (rule, wait) = match moves % 3 {
            0 => (Rule::drop_reply(commits, 0.9), 1_500..=4_000),
            1 => {
                let late = Duration::from_millis(test.random(500..=2_500));
                (
                    Rule::hold_request(commits, 0.7, late, Late::HungUp),
                    1_500..=4_000,
                )
            }
            // Beyond the five seconds of a drain, and about a session.
            _ => {
                let late = Duration::from_millis(test.random(5_200..=7_000));
                (
                    Rule::hold_request(commits, 0.5, late, Late::Waiting),
                    5_500..=8_000,
                )
            }
        };
        proxy.change(|faults| faults.rules = vec![rule]);
        tokio::time::sleep(Duration::from_millis(test.random(0..=400))).await;
        let members = stage.members();
        let leaves = (members.len() > 3).then(|| members[test.random(0..=members.len() as u64 - 1) as usize]);
        match leaves {
            Some(member) => stage.actor(member).stop()?,
            None => drop(stage.consume()?),
        }
        tokio::time::sleep(Duration::from_millis(test.random(wait))).await;
        proxy.change(|faults| faults.rules.clear());
        if let Some(member) = leaves {
            stage.actor(member).ended(END).await?;
            left += 1;
        }
        stage.all_own().await?;
        stage.may_lose(None, from);
        moves += 1;
    }
    let until = Instant::now();
    proxy.heal();
    let mut numbers = stage.finish().await?;
    let counters = proxy.counters();
    let stall = stage.evidence()?.stall(begin, until, |_| true);
    numbers.add("position went back", steps_back(&stage.stored()));
    numbers.add("joined", moves - left);
    numbers.add("left", left);
    numbers.add("lost answers", counters.dropped_replies);
    numbers.add("late requests", counters.held_requests);
    numbers.add("longest stall", format_args!("{:.1} s", stall.as_secs_f64()));
    if counters.dropped_replies == 0 || counters.held_requests == 0 {
        return Err(Failure::new(
            "no answer was lost or no commit late: this proves nothing",
        ));
    }
    if stall > STALL {
        return Err(Failure::new(format_args!(
            "a partition rested for {stall:?}, more than {STALL:?}"
        )));
    }
    Ok(numbers)
}

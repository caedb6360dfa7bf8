//! Nobody answers when members that join ask where the group stands. They ask again, begin nowhere meanwhile, and then
//! exactly there: never at the beginning or the end.

use crate::{
    server::Server,
    stage::{PARTITIONS, Stage},
    test::{Numbers, Test, until},
};
use bus_core::conformance::{Failure, What};
use bus_proxy::{Filter, Late, Proxy, Rule};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

pub(crate) async fn run(test: &Test) -> Result<Numbers, Failure> {
    let server = Server::start(test).await?;
    let proxy = server.proxy()?;
    let mut stage = Stage::open(test, &server).await?;
    stage.cast(400).await?;
    stage.all_begun().await?;
    let (mut starts, mut joins) = (0, 0);
    let mut turns = test.turns(500..=1_500);
    while joins == 0 || turns.next().await {
        stage.look()?;
        let from = Instant::now();
        let before = strikes(proxy);
        // OffsetFetch.
        let asks = Filter::kafka([9]);
        let late = Duration::from_millis(test.random(800..=1_500));
        let silent = starts == 0 || test.random(0..=1) == 0;
        let rule = match test.random(0..=1) {
            _ if silent => Rule::drop_reply(asks, 1.0),
            0 => Rule::hold_request(asks, 1.0, late, Late::Waiting),
            _ => Rule::hold_request(asks, 1.0, late, Late::HungUp),
        };
        let wait = Duration::from_millis(test.random(1_000..=4_000));
        if starts <= joins {
            stage.end(stage.members()).await?;
            let at = stage.positions().await?;
            proxy.change(|faults| faults.rules = vec![rule]);
            let since = Instant::now();
            for _ in 0..3 {
                stage.consume()?;
            }
            struck(proxy, before).await?;
            tokio::time::sleep(wait).await;
            if silent && let Some((partition, first)) = firsts(&stage, since)?.first_key_value() {
                return Err(Failure::new(format_args!(
                    "nobody was told where partition {partition} begins, and it began at {first}"
                )));
            }
            proxy.change(|faults| faults.rules.clear());
            until("every partition goes on", Duration::from_secs(60), || async {
                let first = firsts(&stage, since).map_err(|e| e.to_string())?;
                (first.len() == PARTITIONS as usize)
                    .then_some(())
                    .ok_or_else(|| format!("{first:?}"))
            })
            .await?;
            let first = firsts(&stage, since)?;
            if first != at {
                return Err(Failure::new(format_args!(
                    "the group was at {at:?} and began at {first:?}"
                )));
            }
            starts += 1;
        } else {
            proxy.change(|faults| faults.rules = vec![rule]);
            // Of four partitions a fifth member would get none.
            if stage.members().len() > 3 || test.random(0..=1) == 0 {
                stage.replace_a_member()?;
            } else {
                stage.consume()?;
            }
            struck(proxy, before).await?;
            tokio::time::sleep(wait).await;
            proxy.change(|faults| faults.rules.clear());
            joins += 1;
        }
        stage.all_own().await?;
        stage.may_lose(None, from);
    }
    let mut numbers = stage.finish().await?;
    let counters = proxy.counters();
    none_before(&stage)?;
    numbers.add("starts of all", starts);
    numbers.add("joins and takeovers", joins);
    numbers.add("questions", counters.kafka_requests(9));
    numbers.add("lost answers", counters.dropped_replies);
    numbers.add("late requests", counters.held_requests);
    if counters.dropped_replies == 0 {
        return Err(Failure::new("no answer was lost: this proves nothing"));
    }
    Ok(numbers)
}

fn strikes(proxy: &Proxy) -> u64 {
    let counters = proxy.counters();
    counters.dropped_replies + counters.held_requests
}

/// Waits until somebody asked and got no answer: joining takes a while, and who was killed is missed after a session.
async fn struck(proxy: &Proxy, before: u64) -> Result<(), Failure> {
    until(
        "somebody asks where the group stands",
        Duration::from_secs(40),
        || async {
            let now = strikes(proxy);
            (now > before)
                .then_some(())
                .ok_or_else(|| format!("{now} times so far"))
        },
    )
    .await
}

/// The lowest position that was delivered since then, by partition.
fn firsts(stage: &Stage<'_>, since: Instant) -> Result<BTreeMap<u32, u128>, Failure> {
    let mut firsts: BTreeMap<u32, u128> = BTreeMap::new();
    for h in stage.evidence()?.handled.iter().filter(|h| h.at > since) {
        if let (What::Delivered { .. }, Some(place)) = (h.what, h.place) {
            let first = firsts.entry(place.partition).or_insert(place.position);
            *first = place.position.min(*first);
        }
    }
    Ok(firsts)
}

/// Nothing was delivered that lies before a position which was stored by then.
fn none_before(stage: &Stage<'_>) -> Result<(), Failure> {
    let seen = stage.stored();
    let mut seen = seen.iter().peekable();
    let mut stored: BTreeMap<u32, u128> = BTreeMap::new();
    for h in &stage.evidence()?.handled {
        while let Some(s) = seen.next_if(|s| s.at <= h.at) {
            stored.insert(s.partition, s.next);
        }
        if let (What::Delivered { member, .. }, Some(place)) = (h.what, h.place)
            && let Some(next) = stored
                .get(&place.partition)
                .filter(|next| **next > place.position)
        {
            return Err(Failure::new(format_args!(
                "{:?} at {place:?} came to member {member} after {next} was stored",
                h.id
            )));
        }
    }
    Ok(())
}

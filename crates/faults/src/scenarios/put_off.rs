//! Messages are put off, and their owner dies before they come again: once, not early, and their key waits.

use crate::{
    server::Server,
    stage::{PARTITIONS, Stage},
    test::{Numbers, Test, until},
};
use bus_core::conformance::{Failure, What};
use std::time::{Duration, Instant};

pub(crate) async fn run(test: &Test) -> Result<Numbers, Failure> {
    let server = Server::start(test).await?;
    let mut stage = Stage::open(test, &server).await?;
    stage.cast(200).await?;
    // Longer than a takeover, so that the new owner has to hold it back.
    let wait = server.session() + Duration::from_secs(8);
    let mut firsts = Vec::new();
    for partition in 0..PARTITIONS {
        let key = stage.key_in(partition, &format!("later-{}", wait.as_millis()));
        firsts.push(stage.send(&key, 1).await?);
        stage.send(&key, 2).await?;
    }
    let seen = parking_lot::Mutex::new(Vec::new());
    until("all are put off", Duration::from_secs(30), || {
        let evidence = stage.evidence();
        let seen = &seen;
        let firsts = &firsts;
        async move {
            let handled = evidence.map_err(|e| e.to_string())?.handled;
            let nacked = |h: &&bus_core::conformance::Happening| {
                matches!(h.what, What::Nacked { .. }) && firsts.iter().any(|f| **f == *h.id)
            };
            let count = handled.iter().filter(nacked).count();
            *seen.lock() = handled;
            if count == firsts.len() {
                Ok(())
            } else {
                Err(format!("{count} of {}", firsts.len()))
            }
        }
    })
    .await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let seen = seen.into_inner();
    let owner = seen.iter().rev().find_map(|h| match h.what {
        What::Delivered { member, .. } if *h.id == *firsts[0] => Some(member),
        _ => None,
    });
    let owner = owner.ok_or_else(|| Failure::new("nobody had the message that was put off"))?;
    stage.kill(owner)?;
    let killed = Instant::now();
    stage.consume()?;
    tokio::time::sleep(wait + Duration::from_secs(2)).await;
    let mut numbers = stage.finish().await?;
    let evidence = stage.evidence()?;
    let mut latest = Duration::ZERO;
    for id in &firsts {
        let of: Vec<_> = evidence.handled.iter().filter(|h| *h.id == **id).collect();
        let delivered: Vec<_> = of
            .iter()
            .filter(|h| matches!(h.what, What::Delivered { .. }))
            .collect();
        let nacked = of.iter().find(|h| matches!(h.what, What::Nacked { .. }));
        let [_, second] = &delivered[..] else {
            return Err(Failure::new(format_args!(
                "{id} came {} times, and should be twice",
                delivered.len()
            )));
        };
        // That it is not early, and that its key waits, every test checks.
        latest = latest.max(nacked.map_or(Duration::ZERO, |n| second.at - n.at));
    }
    numbers.add("put off for", format_args!("{:.1} s", wait.as_secs_f64()));
    numbers.add("came after", format_args!("{:.1} s", latest.as_secs_f64()));
    numbers.add(
        "killed after",
        format_args!("{:.1} s", (killed - seen[0].at).as_secs_f64()),
    );
    if latest > wait + Duration::from_secs(10) {
        return Err(Failure::new(format_args!(
            "put off for {wait:?}, it came after {latest:?}"
        )));
    }
    Ok(numbers)
}

//! Of publishes, commits and transactions one answer in a hundred is lost after it was carried out, and one request in
//! a hundred arrives late.

use crate::{
    observer::steps_back,
    server::Server,
    stage::Stage,
    test::{Numbers, On, Test},
};
use bus_core::conformance::Failure;
use std::time::Instant;

pub(crate) async fn run(test: &Test) -> Result<Numbers, Failure> {
    let server = Server::start(test).await?;
    let proxy = server.proxy()?;
    let mut stage = Stage::open(test, &server).await?;
    stage.late_commits = test.on == On::Kafka;
    stage.cast(1_000).await?;
    let from = Instant::now();
    test.spells(|faulty| proxy.change(|f| f.rules = if faulty { server.lossy(0.01) } else { Vec::new() }))
        .await;
    proxy.heal();
    stage.may_lose(None, from);
    let mut numbers = stage.finish().await?;
    if stage.late_commits {
        numbers.add("position went back", steps_back(&stage.stored()));
    }
    let counters = proxy.counters();
    numbers.add("lost answers", counters.dropped_replies);
    numbers.add("late requests", counters.held_requests);
    if counters.dropped_replies == 0 || counters.held_requests == 0 {
        return Err(Failure::new(
            "no answer was lost or no request late: this proves nothing",
        ));
    }
    Ok(numbers)
}

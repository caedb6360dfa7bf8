//! A Redis has no memory left: publishers are held back while acks go on; and one that would throw data away instead is
//! refused at the start.

use crate::{
    record::{self, Entry},
    server::Server,
    stage::Stage,
    test::{Numbers, Test},
};
use bus::Bus;
use bus_brokers::RedisOptions;
use bus_core::conformance::Failure;
use std::time::{Duration, Instant};

/// What was confirmed when the memory ran out may be written down so much later.
const UNDER_WAY: Duration = Duration::from_secs(2);

pub(crate) async fn run(test: &Test) -> Result<Numbers, Failure> {
    refused(test).await?;
    let server = Server::redis(
        test,
        RedisOptions::new().setting("maxmemory-policy", "noeviction"),
    )
    .await?;
    let mut stage = Stage::open(test, &server).await?;
    // Slow enough that there is something to acknowledge while nothing new comes.
    stage.tune_consume = |role| role.work = (50, 150);
    stage.cast(400).await?;
    let redis = server.redis.as_ref().ok_or_else(|| Failure::new("no Redis"))?;
    let limit = |bytes: &str| {
        redis
            .ask(&["CONFIG", "SET", "maxmemory", bytes])
            .map_err(Failure::new)
    };
    let mut full = Vec::new();
    let mut turns = test.turns(3_000..=5_000);
    while full.is_empty() || turns.next().await {
        stage.look()?;
        let begin = Instant::now();
        let used = redis.info("used_memory").map_err(Failure::new)?;
        // Far below what it has: what it frees now and then makes no room.
        let used: u64 = used.parse().map_err(Failure::new)?;
        limit(&(used / 2).to_string())?;
        let from = record::now() + UNDER_WAY.as_nanos() as u64;
        tokio::time::sleep(Duration::from_millis(test.random(5_000..=7_000))).await;
        full.push((from, record::now()));
        limit("0")?;
        stage.may_lose(None, begin);
    }
    let mut numbers = stage.finish().await?;
    let (mut stored, mut acked) = (0, 0);
    for actor in &stage.actors {
        for line in record::read(&actor.spec.record, actor.killed.is_some())? {
            if full.iter().any(|(from, to)| (from..to).contains(&&line.at)) {
                stored += usize::from(matches!(line.what, Entry::Stored { .. }));
                acked += usize::from(matches!(line.what, Entry::Acked { .. }));
            }
        }
    }
    numbers.add("times full", full.len());
    numbers.add("stored meanwhile", stored);
    numbers.add("acknowledged meanwhile", acked);
    if acked == 0 || stored > 0 {
        return Err(Failure::new(format_args!(
            "while it was full, {stored} were stored and {acked} acknowledged"
        )));
    }
    Ok(numbers)
}

/// A server that evicts what it likes is refused before anything is stored there.
async fn refused(test: &Test) -> Result<(), Failure> {
    let options = RedisOptions::new()
        .setting("maxmemory", "100mb")
        .setting("maxmemory-policy", "allkeys-lru");
    let server = Server::redis(test, options).await?;
    match Bus::connect(&server.url()).await {
        Err(error) if error.to_string().contains("noeviction") => Ok(()),
        Err(error) => Err(Failure::new(format_args!(
            "refused, but not for its eviction: {error}"
        ))),
        Ok(_) => Err(Failure::new("a server that evicts at will was accepted")),
    }
}

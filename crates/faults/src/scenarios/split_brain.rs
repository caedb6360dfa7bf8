//! Two Redises take themselves for the primary. With `min-replicas-to-write` the old one soon refuses; what it took until
//! then is discarded, and told.

use crate::{
    record::{self, Entry},
    server::Server,
    stage::Stage,
    test::{Numbers, Test},
};
use bus_brokers::RedisOptions;
use bus_core::conformance::Failure;
use std::time::{Duration, Instant};

/// A replica counts for so long after it was last heard of, and Redis looks once a second.
const REFUSES: Duration = Duration::from_millis(3_500);

pub(crate) async fn run(test: &Test) -> Result<Numbers, Failure> {
    let options = RedisOptions::new()
        .setting("min-replicas-to-write", "1")
        .setting("min-replicas-max-lag", "1");
    let mut server = Server::pair(test, options).await?;
    // Refused publishes end while the servers are apart.
    server.options = "&publish.timeout=5s".into();
    let mut stage = Stage::open(test, &server).await?;
    stage.lossy = true;
    stage.tune_consume = |role| role.go_on = true;
    stage.cast(300).await?;
    let pair = server.both()?;
    // One publisher and one consumer are on the side that will be discarded.
    stage.url = server.url_of(&pair.side.address());
    let old = stage.produce(150)?;
    stage.consume()?;
    tokio::time::sleep(Duration::from_secs(8)).await;
    stage.look()?;

    let from = Instant::now();
    pair.link.change(|faults| {
        faults.to_client.hold = true;
        faults.to_server.hold = true;
    });
    pair.redis.promote_second().map_err(Failure::new)?;
    pair.redis
        .second
        .ask(&["CONFIG", "SET", "min-replicas-to-write", "0"])
        .map_err(Failure::new)?;
    pair.lead_to_second(&[server.proxy()?, &pair.watch]);
    let apart = record::now();
    tokio::time::sleep(test.time.min(Duration::from_secs(20))).await;
    let together = record::now();
    pair.redis.demote_first().map_err(Failure::new)?;
    pair.lead_to_second(&[&pair.side]);
    stage.may_lose(None, from);
    tokio::time::sleep(Duration::from_secs(8)).await;

    let mut numbers = stage.finish().await?;
    numbers.add("confirmed and lost", stage.lost.count());
    let refuses = apart + REFUSES.as_nanos() as u64;
    let (mut before, mut refused) = (0, 0);
    for line in record::read(&stage.actors[old as usize].spec.record, false)? {
        match line.what {
            Entry::Stored { .. } if (apart..refuses).contains(&line.at) => before += 1,
            Entry::Stored { id } if (refuses..together).contains(&line.at) => {
                return Err(Failure::new(format_args!(
                    "{id} was confirmed by a primary without its replica"
                )));
            }
            Entry::NotStored { .. } | Entry::Unknown { .. } if (refuses..together).contains(&line.at) => {
                refused += 1
            }
            _ => {}
        }
    }
    numbers.add("taken by the old primary", before);
    numbers.add("refused by it", refused);
    if refused == 0 {
        return Err(Failure::new("nothing was refused: this proves nothing"));
    }
    // Two primaries may give out the same position: it is a time.
    stage.lost.was_told(&stage.actors)?;
    Ok(numbers)
}

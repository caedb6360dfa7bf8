//! All connections that are open go silent for good, as when a firewall forgets them; new ones work. A member that is
//! closed meanwhile ends in time, and the others go on.

use crate::{
    server::Server,
    stage::Stage,
    test::{Numbers, Test},
};
use bus_core::conformance::{Failure, What};
use std::time::{Duration, Instant};

/// How long a member may take to end although nobody answers it: the drain, and the timeouts of its requests.
const CLOSE: Duration = Duration::from_secs(45);

pub(crate) async fn run(test: &Test) -> Result<Numbers, Failure> {
    let server = Server::start(test).await?;
    let proxy = server.proxy()?;
    let mut stage = Stage::open(test, &server).await?;
    stage.cast(300).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let from = Instant::now();
    proxy.freeze();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let leaving = stage.members()[0];
    let since = Instant::now();
    stage.actor(leaving).stop()?;
    stage.actor(leaving).ended(CLOSE).await?;
    let closed = since.elapsed();
    tokio::time::sleep(test.time.saturating_sub(from.elapsed())).await;
    // The others found out by themselves: the old connections are still silent.
    let evidence = stage.evidence()?;
    let first = evidence.handled.iter().find(|h| {
        let by = |w| matches!(w, What::Delivered { member, .. } if member != leaving);
        // What was on its way when the silence began does not count.
        h.at > from + Duration::from_secs(1) && by(h.what)
    });
    let first =
        first.ok_or_else(|| Failure::new(format_args!("nobody went on within {:?}", from.elapsed())))?;
    let detected = first.at - from;
    stage.consume()?;
    proxy.heal();
    stage.may_lose(None, from);
    let mut numbers = stage.finish().await?;
    numbers.add("went on after", format_args!("{:.1} s", detected.as_secs_f64()));
    numbers.add("closed in", format_args!("{:.1} s", closed.as_secs_f64()));
    Ok(numbers)
}

//! Connections end in the middle of a frame, on a link that is slow.

use crate::{
    server::Server,
    stage::Stage,
    test::{Numbers, Test},
};
use bus_core::conformance::Failure;
use std::time::{Duration, Instant};

pub(crate) async fn run(test: &Test) -> Result<Numbers, Failure> {
    let server = Server::start(test).await?;
    let proxy = server.proxy()?;
    let mut stage = Stage::open(test, &server).await?;
    // Frames long enough to be cut in the middle, not at their ends.
    stage.tune_produce = |role| role.size = 2_000;
    stage.cast(300).await?;
    let from = Instant::now();
    test.spells(|faulty| {
        proxy.change(|f| {
            for link in [&mut f.to_server, &mut f.to_client] {
                link.cut = faulty.then_some(10_000..=2_000_000);
                link.rate = faulty.then_some(2_000_000);
                link.delay = Duration::from_millis(if faulty { 5 } else { 0 });
                link.jitter = Duration::from_millis(if faulty { 10 } else { 0 });
            }
        });
    })
    .await;
    proxy.heal();
    stage.may_lose(None, from);
    let mut numbers = stage.finish().await?;
    numbers.add("cuts", proxy.counters().cuts);
    if proxy.counters().cuts == 0 {
        return Err(Failure::new("nothing was cut: this proves nothing"));
    }
    Ok(numbers)
}

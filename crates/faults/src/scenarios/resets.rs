//! Every connection is reset after half a second to one and a half.

use crate::{
    server::Server,
    stage::Stage,
    test::{Numbers, Test},
};
use bus_core::conformance::Failure;
use std::time::{Duration, Instant};

/// How long nothing may be acknowledged.
const STALL: Duration = Duration::from_secs(20);

pub(crate) async fn run(test: &Test) -> Result<Numbers, Failure> {
    let server = Server::start(test).await?;
    let proxy = server.proxy()?;
    let mut stage = Stage::open(test, &server).await?;
    stage.cast(500).await?;
    let from = Instant::now();
    let lifetime = Duration::from_millis(500)..=Duration::from_millis(1_500);
    test.spells(|faulty| proxy.change(|f| f.lifetime = faulty.then(|| lifetime.clone())))
        .await;
    let until = Instant::now();
    proxy.heal();
    stage.may_lose(None, from);
    let mut numbers = stage.finish().await?;
    let stall = stage.evidence()?.stall(from, until, |_| true);
    numbers.add("resets", proxy.counters().resets);
    numbers.add("longest stall", format_args!("{:.1} s", stall.as_secs_f64()));
    if stall > STALL {
        return Err(Failure::new(format_args!(
            "nothing was acknowledged for {stall:?}"
        )));
    }
    Ok(numbers)
}

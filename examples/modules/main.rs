//! Services that talk to each other by inbox topics: asking, answering by hand, routing, draining, and the trail of it all.

mod by_hand;
mod draining;
mod requests;
mod routing;
mod trail;

use bus::Bus;
use clap::Parser;
use std::{error::Error, time::Duration};

/// How long a service has for what it is doing when it is stopped.
const GRACE: Duration = Duration::from_secs(5);

/// Services that talk by inbox topics
#[derive(Parser)]
struct Options {
    /// Where the bus is
    #[arg(long, default_value = "memory://")]
    url: String,
    /// What stands behind the name of every service, so that runs that share a broker do not meet
    #[arg(long, default_value = "")]
    suffix: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    // Warnings, on standard error.
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::WARN)
        .with_writer(std::io::stderr)
        .init();
    let bus = Bus::connect(&options.url).await?;
    let name = |name: &str| format!("{name}{}", options.suffix);

    requests::run(&bus, &name("SomeModule"), &name("Requester"), &name("Nobody")).await?;
    by_hand::run(&bus, &name("Oracle"), &name("Pilgrim")).await?;
    routing::run(&bus, &name("Module")).await?;
    draining::run(&bus, &name("Archive")).await?;
    trail::run(&bus, [name("A"), name("B"), name("C")]).await?;
    Ok(bus.close().await?)
}

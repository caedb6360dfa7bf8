//! An event platform: events and their partitions, workers with retries, dead letters and batches, and a command line.

mod app;
mod avro;
mod batches;
mod concurrency;
mod events;
mod foreign;
mod names;
mod notes;
mod retries;
mod settings;
mod tasks;

use bus::{Bus, app::Ended};
use clap::Parser;
use std::{error::Error, io::stderr, process::ExitCode};
use tracing::Level;

/// Shows what an event platform is made of, or runs a part of it
#[derive(Parser)]
struct Options {
    /// Where the bus is
    #[arg(long, default_value = "memory://")]
    url: String,
    /// Where the schema registry is; without one, events in Avro go without an id of their schema
    #[arg(long)]
    registry: Option<String>,
    /// What stands behind every name, so that runs that share a broker do not meet
    #[arg(long, default_value = "")]
    suffix: String,
    /// `worker NAME`, `worker --all`, `consume TOPIC --group G`, `list`; nothing: the tour
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

// One thread: the clock can be paused.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = Options::parse();
    names::end_with(&options.suffix);
    let level = if options.command.is_empty() {
        Level::ERROR
    } else {
        Level::INFO
    };
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(level)
        .with_writer(stderr)
        .init();
    match run(options).await {
        Ok(ended) => ended.report(),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<Ended, Box<dyn Error>> {
    // A memory bus with a name is the same one for everybody in this process.
    let url = if options.url == "memory://" {
        "memory://platform"
    } else {
        &options.url
    };
    let bus = Bus::connect(url).await?.event_source("event-platform");
    if !options.command.is_empty() {
        return Ok(app::build(&bus)?.command(options.command).await);
    }
    settings::show()?;
    avro::run(&bus, options.registry.as_deref()).await?;
    if options.url.starts_with("memory:") {
        // Nothing outside of this process keeps time with it: a wait is over as soon as everything waits.
        tokio::time::pause();
    }
    events::run(&bus, url).await?;
    retries::run(&bus).await?;
    batches::run(&bus).await?;
    concurrency::run(&bus).await?;
    bus.close().await?;
    Ok(Ended::Drained)
}

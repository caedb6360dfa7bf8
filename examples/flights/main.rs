//! A year of flights: four members of a group keep each aircraft's state, exactly once, also when one of them is killed.

mod crew;
mod flight;
mod logbook;
mod member;
mod names;
mod report;

use bus::{Bus, Error, Result, Start};
use clap::Parser;
use crew::Crew;
use flight::Flight;
use logbook::Entry;
use member::Member;
use names::Names;
use std::{path::PathBuf, process::ExitCode, time::Duration};

/// Flights of New York's airports, handled in order by aircraft
#[derive(Parser)]
pub(crate) struct Options {
    /// Where the bus is
    #[arg(long, default_value = "memory://")]
    url: String,
    /// Flights, a JSON object a line; `-` is standard input [default: the first thousand of 2013]
    #[arg(long)]
    file: Option<PathBuf>,
    /// The topic, after which everything else is named
    #[arg(long, default_value = "flights")]
    topic: String,
    /// Members of the group; each needs a partition
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(2..=i64::from(names::PARTITIONS)))]
    members: u8,
    /// Kill a member in the middle
    #[arg(long)]
    kill: bool,
    /// What handling a flight takes, in milliseconds
    #[arg(long, default_value_t = 0)]
    pace_ms: u64,
    /// Be this member
    #[arg(long, hide = true)]
    member: Option<String>,
}

impl Options {
    fn names(&self) -> Names {
        Names(self.topic.clone())
    }
    fn pace(&self) -> Duration {
        Duration::from_millis(self.pace_ms)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<()> {
    let bus = Bus::connect(&options.url).await?;
    match &options.member {
        Some(name) => be(&bus, options, name).await,
        None => lead(&bus, options).await,
    }
}

/// One member, until its input ends.
async fn be(bus: &Bus, options: &Options, name: &str) -> Result<()> {
    let (control, mut working) = Member::start(bus, &options.names(), name, options.pace()).await?;
    let (stopped, stop) = tokio::sync::oneshot::channel();
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        stopped.send(())
    });
    tokio::select! {
        ended = &mut working => ended.unwrap_or_else(|e| Err(Error::unavailable("a member's task ended").source(e))),
        _ = stop => control.drain(Duration::from_secs(30)).await,
    }
}

/// Publishes the flights, lets the members handle them, and says what the logbook says.
async fn lead(bus: &Bus, options: &Options) -> Result<()> {
    let (names, flights) = (options.names(), flight::read(options.file.as_deref())?);
    names.create(bus).await?;
    let mut crew = Crew::start(bus, options).await?;
    let mut entries = bus.observe(&names.logbook()).await?;

    publish(bus, &names, &flights).await?;
    let mut killed = None;
    for logged in 1..=flights.len() {
        let entry = tokio::select! {
            entry = entries.next() => entry.transpose()?,
            failed = crew.failed() => return Err(failed),
        };
        let Some(entry) = entry else { break };
        if options.kill && logged == flights.len() / 4 {
            crew.kill(&entry.member).await?;
            eprintln!("killed {} after {logged} flights", entry.member);
            killed = Some(entry.member.clone());
        }
        entry.ack();
    }
    crew.dismiss().await?;

    let log = read(bus, &names).await?;
    print!("{}", report::of(&log));
    report::proof(&flights, &log).map_err(Error::invalid)?;
    if let Some(member) = killed {
        eprintln!(
            "{} aircraft went on with another member",
            report::heirs(&log, &member)
        );
    }
    println!("order: each flight once, those of every aircraft in the order of the file");
    names.delete(bus).await?;
    bus.close().await
}

async fn publish(bus: &Bus, names: &Names, flights: &[Flight]) -> Result<()> {
    let topic = names.flights();
    for some in flights.chunks(1_000) {
        let batch = some
            .iter()
            .map(|flight| flight.message(&topic))
            .collect::<Result<_>>()?;
        for outcome in bus.publish_batch(topic.name(), batch).await {
            outcome?;
        }
    }
    Ok(())
}

/// The whole logbook, once everybody has finished.
async fn read(bus: &Bus, names: &Names) -> Result<Vec<Entry>> {
    let (topic, mut log) = (names.logbook(), Vec::new());
    let mut entries = bus.observe(&topic).until(Start::Latest).await?;
    while let Some(entry) = entries.next().await.transpose()? {
        log.push(entry.value().clone());
        entry.ack();
    }
    Ok(log)
}

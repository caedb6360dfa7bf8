//! Raw clients and the bus, side by side in one run.
//!
//! `cargo run --release -p bus-bench -- --kafka 127.0.0.1:9092 --redis redis://127.0.0.1:6379`: each round runs the raw
//! client, then the bus, on the same broker with the same messages; the table shows medians, spread, and the median of
//! the ratios within a round.

mod kafka;
mod load;
mod memory;
mod redis;
mod report;

use clap::Parser;
use report::Report;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Raw clients and the bus, side by side in one run.
#[derive(Debug, Parser)]
struct Args {
    /// A Kafka broker, `host:port`; without it Kafka is left out
    #[arg(long, env = "BUS_TEST_KAFKA")]
    kafka: Option<String>,
    /// A Redis server, `redis://host:port`; without it Redis is left out
    #[arg(long, env = "BUS_TEST_REDIS")]
    redis: Option<String>,
    /// Messages a measurement
    #[arg(long, default_value_t = 300_000)]
    messages: usize,
    /// Bytes of a payload
    #[arg(long, default_value_t = 100)]
    size: usize,
    /// Rounds; raw and bus alternate in each
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let load = load::Load::new(args.messages, args.size);
    let mut report = Report::default();
    for round in 1..=args.rounds {
        eprintln!("round {round} of {}", args.rounds);
        memory::round(&load, &mut report).await?;
        if let Some(broker) = &args.kafka {
            kafka::round(broker, &load, &mut report).await?;
        }
        if let Some(server) = &args.redis {
            redis::round(server, &load, &mut report).await?;
        }
    }
    println!(
        "{} messages of {} bytes, {} rounds",
        args.messages, args.size, args.rounds
    );
    println!("{report}");
    Ok(())
}

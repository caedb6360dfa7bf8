//! A bookstore: a web service that tells of searches, and two services that learn from them.

mod book;
mod bus_mq;
mod late;
mod rec;
mod settings;
mod shop;
mod trend;
mod web;

use bus::{App, Publisher, app::interrupted};
use bus_mq::BusMq;
use clap::{Parser, ValueEnum};
use late::Late;
use settings::Config;
use shop::Shop;
use std::{io::IsTerminal, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};
use tracing_subscriber::EnvFilter;

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// A bookstore of three services
#[derive(Parser)]
struct Options {
    /// Where the bus is [default: what the file says, else `memory://`]
    #[arg(long)]
    url: Option<String>,
    /// A file like `config.yml` beside the program's source
    #[arg(long)]
    config: Option<PathBuf>,
    /// The services to run [default: all]
    services: Vec<Service>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Service {
    Web,
    TrendSvr,
    RecSvr,
}

#[tokio::main]
async fn main() -> ExitCode {
    log();
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), Failed> {
    let runs = |service| options.services.is_empty() || options.services.contains(&service);
    let Config { app, db, mq } = Config::read(options.config.as_deref(), options.url.as_deref())?;
    let (topic, group) = (mq.default_topic(), mq.default_group().unwrap_or("bookstore"));
    let late = Late::connect(&mq).await?;
    // From here on a signal ends nothing halfway.
    let interrupted = interrupted();

    let mut readers = App::builder("bookstore");
    if runs(Service::TrendSvr) {
        readers = readers.register(trend::service(topic, format!("{group}.trend-svr")));
    }
    if runs(Service::RecSvr) {
        readers = readers.register(rec::service(topic, format!("{group}.rec-svr")));
    }
    let started = match runs(Service::TrendSvr) || runs(Service::RecSvr) {
        true => Some(readers.bus(late.bus()?).build()?.start().await?),
        false => None,
    };
    if runs(Service::Web) {
        let shop = Shop::new(db.books, Arc::new(BusMq::new(late.clone(), topic)));
        web::serve(&app.listen, shop, interrupted).await?;
    } else {
        interrupted.await;
    }
    if let Some(started) = started {
        started.stop(Duration::from_secs(30)).await?;
    }
    Ok(late.close().await?)
}

/// A bus says once that its broker is away. While there is none, `Late` makes a new one each second, which would say it each time:
/// here the shop's own line is enough, unless `RUST_LOG` asks for more.
fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info,bus=error".into());
    let stderr = std::io::stderr;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .init();
}

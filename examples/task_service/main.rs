//! A service for tasks: a web API, and three services that live from what it tells.

mod api;
mod audit;
mod hub;
mod mail;
mod notification;
mod task;

use api::Api;
use bus::{
    App, Bus, Result, Settings,
    app::interrupted,
    handler::{consumer, consumer_with},
};
use clap::Parser;
use hub::Hub;
use mail::Mailer;
use std::{io::IsTerminal, process::ExitCode, sync::Arc, time::Duration};
use task::{Topics, group};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

/// Tasks, and who is told of them
#[derive(Parser)]
struct Options {
    /// Where the bus is [default: what the environment says, else `memory://`]
    #[arg(long)]
    url: Option<String>,
    /// Where the web API listens
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: String,
    /// The mail server, `host:port`
    #[arg(long)]
    smtp: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let stderr = std::io::stderr;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .init();
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `KAFKA_ENABLED=false` and the like come from the environment.
fn settings(url: Option<&str>) -> Result<Settings> {
    let settings = Settings::from_env()?;
    Ok(match url.or((!settings.is_configured()).then_some("memory://")) {
        Some(url) => settings.url(url),
        None => settings,
    })
}

async fn run(options: Options) -> Result<()> {
    let settings = settings(options.url.as_deref())?;
    let (topics, group) = (Topics::of(&settings), |service| group(&settings, service));
    let bus = Bus::from_settings(&settings).await?;
    bus.ensure_topics([
        topics.tasks.spec(),
        topics.notifications.spec(),
        topics.updates.spec(),
    ])
    .await?;

    let mailer = Mailer { server: options.smtp };
    let websocket = (bus.clone(), topics.updates.clone());
    let app = App::builder("tasks")
        .bus(&bus)
        .register(consumer_with(
            &topics.notifications,
            group("notification"),
            notification::request,
            mailer,
        ))
        .register(consumer(&topics.tasks, group("notification"), notification::task).concurrency(8))
        .register(consumer(&topics.tasks, group("audit"), audit::write).concurrency(8))
        .register(consumer_with(&topics.tasks, group("websocket"), hub::update, websocket).concurrency(8))
        .build()?;
    let (started, hub) = (app.start().await?, Hub::new());
    let following = hub.clone().follow(&bus, &topics.updates).await?;

    let api = Api {
        bus: bus.clone(),
        topics,
        tasks: Arc::default(),
        hub: hub.clone(),
    };
    let interrupted = interrupted();
    serve(&options.listen, api, async move {
        interrupted.await;
        hub.close();
    })
    .await?;
    following.drain(Duration::from_secs(5)).await?;
    started.stop(Duration::from_secs(30)).await?;
    bus.close().await
}

async fn serve(listen: &str, api: Api, stop: impl Future<Output = ()> + Send + 'static) -> Result<()> {
    let failed =
        |error: std::io::Error| bus::Error::unavailable("the web API cannot be served").source(error);
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    println!("web: listening on {}", listener.local_addr().map_err(failed)?);
    axum::serve(listener, api::routes(api))
        .with_graceful_shutdown(stop)
        .await
        .map_err(failed)
}

//! A service with a worker and a consumer, its command line, and its signals.
//!
//! `cargo run --example app --features app` runs everything; `-- list` says what there is, `-- worker resize` runs one part.
//! `BUS_URL` picks the broker (default `memory://`). Ctrl-C lets an image that is being resized be finished; a second one does
//! not wait.

use bus::{
    Bus, Delivery, Topic,
    app::App,
    handler::{Failure, Payload, consumer},
    worker::{Worker, worker},
};
use std::{process::ExitCode, time::Duration};

const UPLOADED: Topic<String> = Topic::new("images.uploaded").partitions(4);
const RESIZED: Topic<String> = Topic::new("images.resized").partitions(4);

/// Makes a thumbnail of each image.
struct Resize;

impl Worker for Resize {
    type Input = String;
    type Output = String;
    const NAME: &'static str = "resize";

    fn topic(&self) -> Topic<String> {
        UPLOADED
    }
    fn output(&self) -> Option<Topic<String>> {
        Some(RESIZED)
    }
    async fn process(&self, image: &Delivery<String>) -> Result<Option<String>, Failure> {
        println!("resizing {}", image.value());
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok(Some(format!("{}.thumbnail", image.value())))
    }
    async fn on_success(&self, image: &Delivery<String>, _: Option<&String>) {
        println!("resized {}", image.value());
    }
}

async fn announce(Payload(thumbnail): Payload<String>) {
    println!("{thumbnail} is there");
}

#[tokio::main]
async fn main() -> ExitCode {
    match app().await {
        Ok(app) => app.main().await,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn app() -> bus::Result<App> {
    let url = std::env::var("BUS_URL").unwrap_or_else(|_| "memory://".to_owned());
    let bus = Bus::connect(&url).await?;
    bus.ensure_topics([UPLOADED.spec()]).await?;
    bus.publish(&UPLOADED, &"cat.png".to_owned()).await?;
    App::builder("images")
        .bus(&bus)
        .register(worker(Resize))
        .register(consumer(&RESIZED, "announce", announce))
        .build()
}

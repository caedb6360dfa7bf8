//! `bus publish`.

mod args;
mod compact;
mod defaults;
mod flight;
mod headers;
mod input;
mod line;
mod pace;
mod receipts;

use crate::{
    args::Global,
    failure::{Done, Failure, Status},
    session::Session,
    stop::Stop,
};
pub(crate) use args::Args;
use bus::TopicSpec;
use defaults::Defaults;
use flight::Flight;
use input::{Format, Input};
use serde::Serialize;
use std::io::IsTerminal;

/// What is said without --json, where no person reads.
#[derive(Serialize)]
struct Counted<'a> {
    topic: &'a str,
    published: u64,
    failed: u64,
}

pub(crate) async fn run(global: &Global, args: Args) -> Done {
    let stop = Stop::install()?;
    bus::check_name(&args.topic)?;
    let session = Session::open(global).await?;
    if let Some(partitions) = args.create {
        let topic = [TopicSpec::new(args.topic.as_str()).partitions(partitions)];
        let bus = &session.bus;
        session.ask(|| bus.ensure_topics(topic.clone())).await?;
    } else {
        // Before the first line is read: nobody wants 300 000 lines that fail for one reason.
        session.partitions(&args.topic).await?;
    }
    let status = publish(global, args, &session, stop).await?;
    session.close().await;
    Ok(status)
}

async fn publish(global: &Global, args: Args, session: &Session, stop: Stop) -> Done {
    let defaults = Defaults::new(&args);
    let input = match args.value.clone() {
        Some(value) => Input::one(defaults.raw(value.into())),
        None => {
            if std::io::stdin().is_terminal() {
                eprintln!("reading messages, one per line; Ctrl-D ends");
            }
            let format = if global.json { Format::Json } else { Format::Raw };
            Input::stdin(format, defaults).map_err(Failure::from)?
        }
    };
    let report = Flight::new(session, &args, global.json).run(input, stop).await?;
    if !global.json {
        let (count, topic) = (report.published, &args.topic);
        let messages = if count == 1 { "message" } else { "messages" };
        let counted = Counted {
            topic,
            published: count,
            failed: report.failed,
        };
        session
            .out
            .say(&format!("{count} {messages} published to {topic}"), &counted)?;
    }
    if report.failed > 0 {
        eprintln!(
            "{} of {} messages were not published",
            report.failed,
            report.failed + report.published
        );
    }
    if let Some(why) = &report.stopped {
        eprintln!("{why}");
    }
    Ok(if report.failed > 0 || report.stopped.is_some() {
        Status::Failed
    } else {
        Status::Done
    })
}

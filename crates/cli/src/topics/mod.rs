//! `bus topics`.

mod create;
mod delete;
mod describe;
mod list;

use crate::{
    args::Global,
    failure::{Done, Status},
    session::Session,
};
use clap::Subcommand;
pub(crate) use create::Create;
pub(crate) use delete::Delete;

/// List, create, describe and delete topics
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Default, Subcommand)]
pub(crate) enum Command {
    /// List the topics; those the bus keeps for itself stand apart
    #[default]
    List,
    Create(Create),
    Describe(describe::Describe),
    Delete(Delete),
}

pub(crate) async fn run(global: &Global, command: Command) -> Done {
    if let Command::Delete(delete) = &command
        && !delete.agreed()?
    {
        return Ok(Status::Failed);
    }
    let session = Session::open(global).await?;
    match command {
        Command::List => list::run(&session).await?,
        Command::Create(create) => create.run(&session).await?,
        Command::Describe(describe) => describe.run(&session).await?,
        Command::Delete(delete) => delete.run(&session).await?,
    }
    session.close().await;
    Ok(Status::Done)
}

/// Whether the bus made this topic for itself: dead letters, delayed and parked messages, replies.
pub(crate) fn is_internal(name: &str) -> bool {
    bus::is_derived(name) || name.ends_with(".replies") || name.starts_with("bus:")
}

#[cfg(test)]
mod tests {
    #[test]
    fn internal_topics_are_known_by_their_names() {
        for name in [
            "orders.billing.dlq",
            "x.delay",
            "x.dlq.parked",
            "x.replies",
            "bus:x",
        ] {
            assert!(super::is_internal(name), "{name}");
        }
        for name in ["orders", "dlq", "cars.parked"] {
            assert!(!super::is_internal(name), "{name}");
        }
    }
}

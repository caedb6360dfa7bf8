//! `bus groups`.

mod delete;
mod describe;
mod list;
mod reset;

use crate::{
    args::Global,
    failure::{Done, Status},
    session::Session,
};
use clap::Subcommand;

/// List, describe, reset and delete groups
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Default, Subcommand)]
pub(crate) enum Command {
    /// List the groups
    #[default]
    List,
    Describe(describe::Describe),
    Reset(reset::Reset),
    Delete(delete::Delete),
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
        Command::Describe(describe) => describe.run(&session).await?,
        Command::Reset(reset) => reset.run(&session).await?,
        Command::Delete(delete) => delete.run(&session).await?,
    }
    session.close().await;
    Ok(Status::Done)
}

//! `bus dlq`.

mod letter;
mod list;
mod replay;
mod select;
mod show;

use crate::{args::Global, failure::Done, session::Session, stop::Stop};
use clap::Subcommand;

/// List, show, replay and park dead letters
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    List(list::List),
    Show(show::Show),
    Replay(replay::Replay),
    Park(replay::Park),
}

impl Default for Command {
    fn default() -> Self {
        Self::List(list::List::default())
    }
}

pub(crate) async fn run(global: &Global, command: Command) -> Done {
    // Only what moves something goes on when Ctrl-C comes, to its own end.
    let moves = matches!(command, Command::Replay(_) | Command::Park(_));
    let stop = moves.then(Stop::install).transpose()?;
    let session = Session::open(global).await?;
    let status = match command {
        Command::List(list) => list.run(&session).await?,
        Command::Show(show) => show.run(&session).await?,
        Command::Replay(replay) => replay.run(&session, stop).await?,
        Command::Park(park) => park.run(&session, stop).await?,
    };
    session.close().await;
    Ok(status)
}

//! `bus consume`.

mod args;
mod begin;
mod idle;
mod page;
mod render;
mod run;

use crate::{
    args::Global,
    failure::{Done, Status},
    session::Session,
    stop::Stop,
};
pub(crate) use args::Args;
use std::time::Duration;
use tokio::time::timeout;

/// How long a join that is no longer wanted may take to end.
const JOINED: Duration = Duration::from_secs(5);

pub(crate) async fn run(global: &Global, args: Args) -> Done {
    let mut stop = Stop::install()?;
    // Also while it connects: a service manager that stops it early must not see a failure.
    let session = tokio::select! {
        biased;
        () = stop.asked() => return Ok(Status::Done),
        session = Session::open(global) => session?,
    };
    let mut joining = Box::pin(begin::subscribe(&session, &args));
    let subscription = tokio::select! {
        biased;
        // Left again in order, so that nobody has to wait for a member that never was.
        () = stop.asked() => {
            if let Ok(Ok(subscription)) = timeout(JOINED, joining).await {
                subscription.drain(Duration::ZERO).await.map_err(|error| session.failure(error))?;
            }
            return Ok(Status::Done);
        }
        subscription = &mut joining => subscription?,
    };
    drop(joining);
    let ended = run::Run::new(&session, &args)?
        .until_the_end(subscription, stop)
        .await;
    session.close().await;
    ended
}

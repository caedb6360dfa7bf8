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

pub(crate) async fn run(global: &Global, args: Args) -> Done {
    let mut stop = Stop::install()?;
    // Also while it connects: a service manager that stops it early must not see a failure.
    let session = tokio::select! {
        biased;
        () = stop.asked() => return Ok(Status::Done),
        session = Session::open(global) => session?,
    };
    let subscription = tokio::select! {
        biased;
        () = stop.asked() => return Ok(Status::Done),
        subscription = begin::subscribe(&session, &args) => subscription?,
    };
    let ended = run::Run::new(&session, &args)?
        .until_the_end(subscription, stop)
        .await;
    session.close().await;
    ended
}

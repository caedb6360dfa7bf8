//! `bus`: the command line of the message bus.
//!
//! Standard output carries results and nothing else: tables for a terminal, JSON lines otherwise. Logs, questions and
//! progress go to standard error. The exit status is 0 (done), 1 (failed), 2 (wrong usage), 3 (nothing came in time)
//! or 130 (interrupted twice).
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed test is a panic"))]

mod args;
mod ask;
mod bytes;
mod check;
mod completions;
mod consume;
mod dlq;
mod failure;
mod groups;
mod lag;
mod log;
mod output;
mod position;
mod progress;
mod publish;
mod secret;
mod session;
mod start;
mod stop;
mod time;
mod topics;

use args::{Cli, Command};
use failure::Done;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match args::parse() {
        Ok(cli) => cli,
        Err(status) => return status,
    };
    log::start(cli.global.log.as_deref());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failure::Failure::from(error).report(),
    };
    let done = runtime.block_on(run(cli));
    // A thread may be stuck in a read or write that nobody waits for any more.
    runtime.shutdown_background();
    match done {
        Ok(status) => status.into(),
        Err(failure) => failure.report(),
    }
}

async fn run(cli: Cli) -> Done {
    let global = &cli.global;
    match cli.command {
        Command::Publish(args) => publish::run(global, args).await,
        Command::Consume(args) => consume::run(global, args).await,
        Command::Topics(args) => topics::run(global, args.command.unwrap_or_default()).await,
        Command::CreateTopic(args) => topics::run(global, topics::Command::Create(args)).await,
        Command::DeleteTopic(args) => topics::run(global, topics::Command::Delete(args)).await,
        Command::Groups(args) => groups::run(global, args.command.unwrap_or_default()).await,
        Command::Dlq(args) => dlq::run(global, args.command.unwrap_or_default()).await,
        Command::Lag(args) => lag::run(global, args).await,
        Command::Check => check::run(global).await,
        Command::Completions(args) => completions::run(&args),
    }
}

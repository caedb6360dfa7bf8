//! `bus completions SHELL`.

use crate::{
    args,
    failure::{Done, Status},
    output,
};
use clap_complete::Shell;

/// Print the completions of a shell; `source <(bus completions bash)` uses them at once
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::command(), "bus", &mut script);
    output::text(&String::from_utf8_lossy(&script))?;
    Ok(Status::Done)
}

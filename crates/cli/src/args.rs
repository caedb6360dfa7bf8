//! What can be typed. Every flag has an environment variable: `BUS_`, the command's words, the flag's name.

use crate::{completions, consume, dlq, groups, lag, publish, secret, time, topics};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, builder::FalseyValueParser};
use std::{process::ExitCode, time::Duration};

/// Publish, consume and look after topics and groups on Kafka, Redis Streams or in memory.
#[derive(Debug, Parser)]
#[command(name = "bus", version, after_help = AFTER)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER: &str = "\
Every flag has an environment variable, which its help names; a flag wins over it.
Exit status: 0 done, 1 failed, 2 wrong usage, 3 nothing came in time, 130 interrupted twice.";

/// Where the flags that every command takes stand in its help.
const COMMON: &str = "Every command";

/// What every command takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Global {
    /// The bus: kafka://host:9092,host2:9092, redis://host:6379 or memory://
    #[arg(long, help_heading = COMMON, env = "BUS_URL", global = true, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// JSON lines on standard output, also on a terminal (piped, it is always JSON); `publish` reads JSON lines
    #[arg(long, help_heading = COMMON, env = "BUS_JSON", global = true, value_parser = FalseyValueParser::new())]
    pub(crate) json: bool,
    /// How long the broker may take to answer
    #[arg(long, help_heading = COMMON, env = "BUS_TIMEOUT", global = true, value_name = "TIME", default_value = "10s", value_parser = time::duration)]
    pub(crate) timeout: Duration,
    /// What is logged to standard error: a level, or a filter such as bus_kafka=debug [default: warn]
    #[arg(long, help_heading = COMMON, env = "BUS_LOG", global = true, value_name = "FILTER")]
    pub(crate) log: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Publish(publish::Args),
    Consume(consume::Args),
    Topics(topics::Args),
    Groups(groups::Args),
    Lag(lag::Args),
    Dlq(dlq::Args),
    /// Look at the connection and at what endangers data: each line ok, warning or wrong, with what to do
    Check,
    Completions(completions::Args),
    /// The same as `bus topics create`
    CreateTopic(topics::Create),
    /// The same as `bus topics delete`
    DeleteTopic(topics::Delete),
}

/// Reads the command line. The error is the exit status: what clap has to say was said.
pub(crate) fn parse() -> Result<Cli, ExitCode> {
    let matches = command().try_get_matches();
    matches
        .and_then(|matches| Cli::from_arg_matches(&matches))
        .map_err(|error| {
            // Somebody may have typed the URL where a command belongs, and clap repeats what it does not know.
            let text = error.render();
            let status = u8::try_from(error.exit_code()).unwrap_or(2);
            let styled = if error.use_stderr() {
                crate::output::stderr_is_styled()
            } else {
                crate::output::stdout_is_styled()
            };
            let text = secret::hide(&if styled {
                text.ansi().to_string()
            } else {
                text.to_string()
            });
            if error.use_stderr() {
                eprint!("{text}");
            } else if let Err(error) = crate::output::text(&text) {
                return error.report();
            }
            ExitCode::from(status)
        })
}

/// The whole command tree. Values of the environment are never shown: one may be a URL with a password.
pub(crate) fn command() -> clap::Command {
    fn complete(command: clap::Command, path: &str) -> clap::Command {
        let command = command.mut_args(|arg| named(arg, path).hide_env_values(true));
        let names: Vec<_> = command
            .get_subcommands()
            .map(|sub| sub.get_name().to_owned())
            .collect();
        names.into_iter().fold(command, |command, name| {
            let path = format!("{path}_{name}");
            command.mut_subcommand(name, |sub| complete(sub, &path))
        })
    }
    complete(Cli::command(), "bus")
}

/// Gives a flag its variable where it has none: one that several commands share cannot name it by itself.
fn named(arg: clap::Arg, path: &str) -> clap::Arg {
    match arg.get_long() {
        Some(long) if arg.get_env().is_none() => {
            let name = format!("{path}_{long}").to_uppercase().replace('-', "_");
            // It is asked for once or twice in a process, and clap wants a name that lives as long.
            arg.env(&*name.leak())
        }
        _ => arg,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_flag_has_its_variable() {
        fn look(command: &clap::Command, path: &str) {
            for arg in command.get_arguments().filter(|arg| !arg.is_positional()) {
                let long = arg.get_long().unwrap();
                if matches!(long, "help" | "version") {
                    continue;
                }
                let name = format!("{path}_{long}").to_uppercase().replace('-', "_");
                let global = format!("BUS_{long}").to_uppercase();
                let found = arg
                    .get_env()
                    .unwrap_or_else(|| panic!("--{long} of {path}"))
                    .to_str()
                    .unwrap();
                assert!(found == name || found == global, "{found} is not {name}");
            }
            for sub in command.get_subcommands() {
                let alias = match sub.get_name() {
                    "create-topic" => "topics_create",
                    "delete-topic" => "topics_delete",
                    name => name,
                };
                look(sub, &format!("{path}_{alias}"));
            }
        }
        look(&command(), "bus");
    }
}

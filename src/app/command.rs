//! The command line of an application.

use super::{App, Ended, builder::Item, running::interrupted};
use std::{fmt::Write, process::ExitCode};

const HELP: &str = "\
                                          run everything
  worker NAME [--concurrency N]           run this worker
  worker --all                            run every worker
  service NAME                            run this service
  consume TOPIC --group G [--concurrency N]
                                          run the consumers of this topic and group
  list                                    say what there is
";

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Everything,
    Help,
    List,
    AllWorkers,
    Worker(String),
    Service(String),
    Consume { topic: String, group: String },
}

impl App {
    /// Runs what the command line of this process names, until Ctrl-C or SIGTERM; without arguments, everything. What is
    /// wrong goes to standard error.
    pub async fn main(self) -> ExitCode {
        self.command(std::env::args().skip(1)).await.report()
    }
    /// Runs what these arguments name: `worker NAME`, `worker --all`, `service NAME`, `consume TOPIC --group G`, each with `--concurrency N`;
    /// `list` prints what there is; nothing means everything.
    pub async fn command(self, arguments: impl IntoIterator<Item = impl Into<String>>) -> Ended {
        self.command_until(arguments, interrupted).await
    }
    /// As [`command`](Self::command), with signals of another source, as in [`run_until`](Self::run_until).
    pub async fn command_until<S: Future<Output = ()>>(
        mut self,
        arguments: impl IntoIterator<Item = impl Into<String>>,
        signal: impl FnMut() -> S,
    ) -> Ended {
        let arguments = arguments.into_iter().map(Into::into).collect();
        let (asked, concurrency) = match parse(arguments) {
            Ok(parsed) => parsed,
            Err(wrong) => return Ended::Usage(format!("error: {wrong}\n\n{}", self.usage())),
        };
        match asked {
            Asked::Help => {
                print!("{}", self.usage());
                return Ended::Drained;
            }
            Asked::List => {
                print!("{}", self.listed());
                return Ended::Drained;
            }
            Asked::Everything => {}
            asked => {
                let (taken, others): (Vec<_>, Vec<_>) =
                    self.items.drain(..).partition(|item| asked.means(item));
                if taken.is_empty() {
                    self.items = others;
                    return Ended::Usage(format!(
                        "error: {}\n\nThere is:\n{}",
                        asked.missing(),
                        self.listed()
                    ));
                }
                self.items = taken;
            }
        }
        if let Some(most) = concurrency {
            self.items
                .iter_mut()
                .for_each(|item| item.run.set_concurrency(most));
            let checked = self.items.iter().try_for_each(|item| item.run.check());
            if let Err(error) = checked {
                return Ended::Usage(format!("error: {error}\n"));
            }
        }
        self.run_until(signal).await
    }
    fn usage(&self) -> String {
        format!("{}: give a command, or nothing\n\n{HELP}", self.name)
    }
    fn listed(&self) -> String {
        let mut text = String::new();
        for item in &self.items {
            let command = if item.run.kind() == "consumer" {
                "consume"
            } else {
                item.run.kind()
            };
            let _ = writeln!(text, "  {command} {}", item.run.name());
        }
        text
    }
}

impl Asked {
    fn means(&self, item: &Item) -> bool {
        match self {
            Self::AllWorkers => item.run.kind() == "worker",
            Self::Worker(name) => item.run.kind() == "worker" && item.run.name() == *name,
            Self::Service(name) => item.run.kind() == "service" && item.run.name() == *name,
            Self::Consume { topic, group } => {
                let mut reads = item.run.reads().into_iter();
                item.run.kind() == "consumer"
                    && (item.run.name() == format!("{topic} --group {group}")
                        || reads.any(|r| *r.topic == **topic && *r.group == **group))
            }
            _ => true,
        }
    }
    fn missing(&self) -> String {
        match self {
            Self::Worker(name) => format!("no worker is called `{name}`"),
            Self::Service(name) => format!("no service is called `{name}`"),
            Self::Consume { topic, group } => format!("no consumer reads `{topic}` in group `{group}`"),
            _ => "there is no worker".to_owned(),
        }
    }
}

fn parse(arguments: Vec<String>) -> Result<(Asked, Option<usize>), String> {
    let (mut words, mut group, mut concurrency, mut every, mut help) = (Vec::new(), None, None, false, false);
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let (flag, attached) = match argument.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag.to_owned(), Some(value.to_owned())),
            _ => (argument, None),
        };
        let mut value = || {
            attached
                .clone()
                .or_else(|| arguments.next())
                .ok_or(format!("`{flag}` needs a value"))
        };
        match &*flag {
            "--all" => every = true,
            "--help" | "-h" => help = true,
            "--group" => group = Some(value()?),
            "--concurrency" => {
                let given = value()?;
                let number = given.parse().ok().filter(|n| *n > 0);
                concurrency =
                    Some(number.ok_or(format!("`--concurrency` is a number from 1, not `{given}`"))?);
            }
            word if word.starts_with('-') => return Err(format!("there is no `{word}`")),
            word => words.push(word.to_owned()),
        }
    }
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let asked = match (&words[..], group, every) {
        _ if help => Asked::Help,
        ([], None, false) => Asked::Everything,
        (["list"], None, false) => Asked::List,
        (["worker"], None, true) => Asked::AllWorkers,
        (["worker", name], None, false) => Asked::Worker((*name).to_owned()),
        (["service", name], None, false) => Asked::Service((*name).to_owned()),
        (["consume", topic], Some(group), false) => {
            let topic = (*topic).to_owned();
            Asked::Consume { topic, group }
        }
        (["worker"], ..) => return Err("`worker` needs a name, or `--all`".to_owned()),
        (["consume", ..], None, _) => return Err("`consume` needs a topic and `--group`".to_owned()),
        (words, ..) => return Err(format!("`{}` is no command", words.join(" "))),
    };
    Ok((asked, concurrency))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<(Asked, Option<usize>), String> {
        parse(line.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn commands_are_told_apart() {
        assert_eq!(parsed(""), Ok((Asked::Everything, None)));
        assert_eq!(parsed("list"), Ok((Asked::List, None)));
        assert_eq!(parsed("worker --all"), Ok((Asked::AllWorkers, None)));
        let worker = Asked::Worker("w".to_owned());
        assert_eq!(parsed("worker w --concurrency=4"), Ok((worker, Some(4))));
        let (topic, group) = ("t".to_owned(), "g".to_owned());
        assert_eq!(
            parsed("consume t --group g"),
            Ok((Asked::Consume { topic, group }, None))
        );
        for wrong in [
            "worker",
            "worker w --all",
            "consume t",
            "consume --group g",
            "list x",
            "worker w --concurrency 0",
            "worker w --concurrency",
            "worker w --fast",
            "nothing",
        ] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}

//! `bus topics create`.

use crate::{failure::Done, session::Session, time};
use bus::TopicSpec;
use clap::builder::FalseyValueParser;
use serde::Serialize;
use std::time::Duration;

/// Create topics; one that exists is left as it is
#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// Their names
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Partitions: what can be consumed side by side [default: 1]
    #[arg(long, env = "BUS_TOPICS_CREATE_PARTITIONS", value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    partitions: Option<u32>,
    /// Copies on different brokers [default: the broker's; Redis and memory have one]
    #[arg(long, env = "BUS_TOPICS_CREATE_REPLICATION", value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    replication: Option<u16>,
    /// How long messages are kept, such as 7d [default: the backend's]
    #[arg(long, env = "BUS_TOPICS_CREATE_RETENTION", value_name = "TIME", value_parser = time::duration)]
    retention: Option<Duration>,
    /// Keep the newest message of each key instead of deleting by age
    #[arg(long, env = "BUS_TOPICS_CREATE_COMPACT", value_parser = FalseyValueParser::new())]
    compact: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    topic: &'a str,
    partitions: u32,
    created: bool,
}

impl<'a> Line<'a> {
    fn of(topic: &'a TopicSpec, created: bool) -> Self {
        Self {
            topic: &topic.name,
            partitions: topic.partitions,
            created,
        }
    }
}

impl Create {
    pub(super) async fn run(self, session: &Session) -> Done<()> {
        let specs: Vec<_> = self.topics.iter().map(|name| self.spec(name)).collect();
        // Every name before the first topic is made.
        specs.iter().try_for_each(TopicSpec::check)?;
        let admin = session.admin();
        let before = session.ask(|| admin.topics()).await?;
        for spec in specs {
            match before.iter().find(|there| there.name == spec.name) {
                Some(there) => self.exists(session, there)?,
                None => {
                    let topics = [spec];
                    session.ask(|| admin.create(&topics)).await?;
                    self.created(session, &topics[0])?;
                }
            }
        }
        Ok(())
    }
    fn spec(&self, name: &str) -> TopicSpec {
        let mut spec = TopicSpec::new(name)
            .partitions(self.partitions.unwrap_or(1))
            .compact(self.compact);
        spec.replication = self.replication;
        spec.retention = self.retention;
        spec
    }
    fn created(&self, session: &Session, made: &TopicSpec) -> Done<()> {
        let sentence = format!("created {} with {}", made.name, partitions(made.partitions));
        session.out.say(&sentence, &Line::of(made, true))
    }
    fn exists(&self, session: &Session, there: &TopicSpec) -> Done<()> {
        let sentence = format!(
            "{} exists already, with {}",
            there.name,
            partitions(there.partitions)
        );
        if self.partitions.is_some_and(|asked| asked != there.partitions) {
            let asked = partitions(self.partitions.unwrap_or_default());
            eprintln!("{sentence}; it stays so, although {asked} were asked for");
        }
        session.out.say(&sentence, &Line::of(there, false))
    }
}

fn partitions(count: u32) -> String {
    if count == 1 {
        "1 partition".to_owned()
    } else {
        format!("{count} partitions")
    }
}

//! Which dead letters are meant.

use crate::{failure::Done, session::Session, time};
use bus::{DeadLetters, OpenLetters};
use clap::builder::FalseyValueParser;
use jiff::Timestamp;
use std::time::SystemTime;

/// Where they are; several values of one filter mean any of them, several filters all of them.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Filters {
    /// Only those with this reason: max-attempts, rejected, undecodable, expired
    #[arg(long)]
    reason: Vec<String>,
    /// Only those with this key
    #[arg(long)]
    key: Vec<String>,
    /// Only those given up at this time (2026-07-01T12:00:00Z, "2h ago") or later
    #[arg(long, value_name = "TIME", value_parser = point)]
    since: Option<SystemTime>,
    /// Only those given up before this time
    #[arg(long, value_name = "TIME", value_parser = point)]
    before: Option<SystemTime>,
    /// Only those that come from this partition of the topic
    #[arg(long, value_name = "NUMBER")]
    partition: Vec<u32>,
    /// Only the one with this id
    #[arg(long)]
    id: Vec<String>,
    /// The topic in which the group keeps them [default: TOPIC.GROUP.dlq]
    #[arg(long, value_name = "TOPIC")]
    kept_in: Option<String>,
}

/// Those that are open, or those that were parked.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Parked {
    /// Those that were parked instead
    #[arg(long, value_parser = FalseyValueParser::new())]
    pub(super) parked: bool,
}

fn point(text: &str) -> Result<SystemTime, String> {
    time::point(text, Timestamp::now())
        .ok_or_else(|| format!("`{text}` is no time; write one such as 2026-07-01T12:00:00Z or \"2h ago\""))
}

impl Filters {
    /// Those with these ids.
    pub(super) fn ids(id: Vec<String>, kept_in: Option<String>) -> Self {
        Self {
            id,
            kept_in,
            ..Self::default()
        }
    }
    pub(super) fn of(&self, session: &Session, topic: &str, group: &str, parked: bool) -> Done<DeadLetters> {
        bus::check_name(topic)?;
        bus::check_name(group)?;
        let mut letters = session.bus.dead_letters(topic, group);
        if let Some(kept_in) = &self.kept_in {
            bus::check_name(kept_in)?;
            letters = letters.kept_in(kept_in.as_str());
        }
        if parked {
            letters = letters.parked();
        }
        letters = self.reason.iter().fold(letters, DeadLetters::reason);
        letters = self
            .key
            .iter()
            .fold(letters, |letters, key| letters.key(key.clone()));
        letters = self
            .partition
            .iter()
            .copied()
            .fold(letters, DeadLetters::partition);
        letters = self.id.iter().fold(letters, DeadLetters::id);
        if let Some(since) = self.since {
            letters = letters.since(since);
        }
        if let Some(before) = self.before {
            letters = letters.before(before);
        }
        Ok(letters)
    }
}

/// Reads them; a broker that is down is said within `--timeout`.
pub(super) async fn read(session: &Session, letters: &DeadLetters) -> Done<OpenLetters> {
    reachable(session).await?;
    letters.read().await.map_err(|error| session.failure(error))
}

/// Whether the broker answers.
pub(super) async fn reachable(session: &Session) -> Done<()> {
    let admin = session.admin();
    session.ask(|| admin.topics()).await.map(drop)
}

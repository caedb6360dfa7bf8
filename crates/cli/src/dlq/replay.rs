//! `bus dlq replay` and `bus dlq park`.

use super::select::{Filters, Parked, reachable};
use crate::{
    failure::{Done, Status},
    progress::Progress,
    session::Session,
    stop::Stop,
};
use bus::{DeadLetters, Replayed};
use clap::builder::FalseyValueParser;
use serde::Serialize;
use std::{
    num::NonZeroU32,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

/// Put dead letters back where they came from, for the group that gave them up
///
/// Each goes back with the key, value, headers and timestamp that it was sent with, and a header that counts its replays;
/// what was replayed three times is parked instead. What the filters leave out stays open. A replay that is stopped or
/// killed loses nothing and replays nothing twice: the next one goes on.
///
/// The exit status is 1 where something was refused, which is named, or where it was stopped before its end. --json
/// prints {"topic", "group", "replayed", "parked", "requeued", "refused", "done"}: `requeued` were left out and moved to the
/// end of the dead letters.
#[derive(Debug, clap::Args)]
pub(crate) struct Replay {
    /// The topic that they come from
    topic: String,
    /// The group that gave them up
    group: String,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    parked: Parked,
    /// So many at most, the oldest of each partition first
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// So many a second, evenly spread
    #[arg(long, value_name = "NUMBER")]
    rate: Option<NonZeroU32>,
    /// Into this topic instead, for all of its groups
    #[arg(long, value_name = "TOPIC")]
    into: Option<String>,
    /// For every group of the topic, not only the one that gave them up
    #[arg(long, value_parser = FalseyValueParser::new())]
    every_group: bool,
    /// Without transactions: a crash may then leave second copies
    #[arg(long, value_parser = FalseyValueParser::new())]
    at_least_once: bool,
    /// Only say what would be done
    #[arg(long, value_parser = FalseyValueParser::new())]
    dry_run: bool,
}

/// Move dead letters to TOPIC.GROUP.dlq.parked, where no replay finds them unless it is asked for
#[derive(Debug, clap::Args)]
pub(crate) struct Park {
    /// The topic that they come from
    topic: String,
    /// The group that gave them up
    group: String,
    #[command(flatten)]
    filters: Filters,
    /// So many at most, the oldest of each partition first
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Without transactions: a crash may then leave second copies
    #[arg(long, value_parser = FalseyValueParser::new())]
    at_least_once: bool,
    /// Only say what would be done
    #[arg(long, value_parser = FalseyValueParser::new())]
    dry_run: bool,
}

/// What it came to, as a JSON line.
#[derive(Serialize)]
struct Line<'a> {
    topic: &'a str,
    group: &'a str,
    replayed: u64,
    parked: u64,
    requeued: u64,
    refused: u64,
    done: bool,
}

impl Replay {
    pub(super) async fn run(self, session: &Session, stop: Option<Stop>) -> Done {
        let letters = self
            .filters
            .of(session, &self.topic, &self.group, self.parked.parked)?;
        let mut replay = letters.replay();
        if let Some(rate) = self.rate {
            replay = replay.rate(rate);
        }
        if let Some(into) = &self.into {
            bus::check_name(into)?;
            replay = replay.into_topic(into.as_str());
        }
        if self.every_group {
            replay = replay.for_every_group();
        }
        let how = How {
            count: self.count,
            at_least_once: self.at_least_once,
            dry_run: self.dry_run,
        };
        let (topic, group) = (&self.topic, &self.group);
        let ran = how.carry_out(session, replay, stop).await?;
        ran.tell(session, topic, group, &letters)
    }
}

impl Park {
    pub(super) async fn run(self, session: &Session, stop: Option<Stop>) -> Done {
        let letters = self.filters.of(session, &self.topic, &self.group, false)?;
        let how = How {
            count: self.count,
            at_least_once: self.at_least_once,
            dry_run: self.dry_run,
        };
        let ran = how.carry_out(session, letters.park(), stop).await?;
        ran.tell(session, &self.topic, &self.group, &letters)
    }
}

/// What both have in common.
struct How {
    count: Option<u64>,
    at_least_once: bool,
    dry_run: bool,
}

/// What came of it.
struct Ran {
    came_to: Replayed,
    dry_run: bool,
    stopped: bool,
}

impl How {
    async fn carry_out(&self, session: &Session, mut replay: bus::Replay, stop: Option<Stop>) -> Done<Ran> {
        if self.at_least_once {
            replay = replay.at_least_once();
        }
        if let Some(count) = self.count {
            replay = replay.at_most(count);
        }
        let bar: Arc<Mutex<Option<Progress>>> = Arc::default();
        let drawn = bar.clone();
        let stopped = Arc::new(AtomicBool::new(false));
        let tell = stopped.clone();
        if let Some(mut stop) = stop {
            replay = replay.stop_when(async move {
                stop.asked().await;
                tell.store(true, Relaxed);
            });
        }
        let replay = replay.dry_run(self.dry_run).on_progress(move |progress| {
            let mut bar = drawn.lock().unwrap_or_else(PoisonError::into_inner);
            bar.get_or_insert_with(|| Progress::of_messages(progress.total))
                .moved(progress.done);
        });
        reachable(session).await?;
        let came_to = replay.await;
        if let Some(mut bar) = bar.lock().unwrap_or_else(PoisonError::into_inner).take() {
            bar.end();
        }
        Ok(Ran {
            came_to: came_to.map_err(|error| session.failure(error))?,
            dry_run: self.dry_run,
            stopped: stopped.load(Relaxed),
        })
    }
}

impl Ran {
    fn tell(&self, session: &Session, topic: &str, group: &str, letters: &DeadLetters) -> Done {
        let came_to = &self.came_to;
        for refused in &came_to.refusals {
            eprintln!("{}: {}", refused.id, refused.error);
        }
        let more = came_to.refused - came_to.refusals.len() as u64;
        if more > 0 {
            eprintln!("and {more} more were refused");
        }
        if self.stopped {
            eprintln!("stopped before the end: the next replay goes on");
        }
        let line = Line {
            topic,
            group,
            replayed: came_to.replayed,
            parked: came_to.parked,
            requeued: came_to.requeued,
            refused: came_to.refused,
            done: !self.dry_run && !self.stopped,
        };
        let would = if self.dry_run { "would be " } else { "" };
        let mut sentence = format!(
            "{} {would}replayed, {} {would}parked of `{}`",
            came_to.replayed,
            came_to.parked,
            letters.stored_in()
        );
        if came_to.refused > 0 {
            sentence += &format!(", {} refused", came_to.refused);
        }
        session.out.say(&sentence, &line)?;
        Ok(if came_to.refused > 0 || self.stopped {
            Status::Failed
        } else {
            Status::Done
        })
    }
}

//! `bus dlq list`.

use super::{
    letter::{HEADS, Line, row},
    select::{Filters, Parked, read},
};
use crate::{
    failure::{Done, Status},
    output::{show, table},
    session::Session,
};
use serde::Serialize;

/// List the open dead letters of a topic and group; without these, the topics in which there are some
///
/// Open are those that were neither replayed nor parked. They are read as an observer, which leaves no trace.
///
/// --json prints {"id", "reason", "error", "attempts", "replays", "time", "group", "topic", "partition", "position", "key",
/// "value", "headers", "timestamp"} a line; `topic`, `partition` and `position` are where it was, `time` is when it was
/// given up, and the message is as it was sent.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct List {
    /// The topic that they come from
    #[arg(requires = "group")]
    topic: Option<String>,
    /// The group that gave them up
    group: Option<String>,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    parked: Parked,
    /// So many at most
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

/// A topic of dead letters as a JSON line.
#[derive(Serialize)]
struct Kept<'a> {
    stored_in: &'a str,
    partitions: u32,
    parked: bool,
}

impl List {
    pub(super) async fn run(self, session: &Session) -> Done {
        let (Some(topic), Some(group)) = (&self.topic, &self.group) else {
            return topics(session).await;
        };
        let letters = self.filters.of(session, topic, group, self.parked.parked)?;
        let mut open = read(session, &letters).await?;
        let mut rows = table(HEADS);
        let mut left = self.count.unwrap_or(u64::MAX);
        while left > 0
            && let Some(letter) = open.next().await
        {
            let letter = letter.map_err(|error| session.failure(error))?;
            left -= 1;
            if session.out.is_json() {
                session.out.line(&Line(&letter, session.form()))?;
            } else {
                rows.add_row(row(&letter));
            }
        }
        if !session.out.is_json() {
            show(&rows, "no open dead letters")?;
        }
        Ok(Status::Done)
    }
}

async fn topics(session: &Session) -> Done {
    let admin = session.admin();
    let mut rows = table(["stored in", "partitions", ""]);
    for topic in session.ask(|| admin.topics()).await? {
        let parked = topic.name.ends_with(".parked");
        if !parked && !topic.name.ends_with(".dlq") {
            continue;
        }
        if session.out.is_json() {
            let partitions = topic.partitions;
            session.out.line(&Kept {
                stored_in: &topic.name,
                partitions,
                parked,
            })?;
        } else {
            let what = if parked { "parked" } else { "" };
            rows.add_row([
                topic.name.to_string(),
                topic.partitions.to_string(),
                what.to_owned(),
            ]);
        }
    }
    if !session.out.is_json() {
        show(&rows, "no topics of dead letters")?;
    }
    Ok(Status::Done)
}

//! `bus topics list`.

use super::is_internal;
use crate::{
    failure::Done,
    output::{show, table, text},
    session::Session,
    time,
};
use bus::TopicSpec;
use comfy_table::Table;
use serde::Serialize;

pub(super) async fn run(session: &Session) -> Done<()> {
    let admin = session.admin();
    let topics = session.ask(|| admin.topics()).await?;
    if session.out.is_json() {
        return topics
            .iter()
            .try_for_each(|topic| session.out.line(&Line::of(topic)));
    }
    let (internal, own): (Vec<_>, Vec<_>) = topics.iter().partition(|topic| is_internal(&topic.name));
    show(
        &rows(&own),
        "no topics; `bus topics create NAME --partitions 4` makes one",
    )?;
    if !internal.is_empty() {
        text("\nkept by the bus:\n")?;
        show(&rows(&internal), "")?;
    }
    Ok(())
}

fn rows(topics: &[&TopicSpec]) -> Table {
    let mut table = table(["topic", "partitions", "copies", "kept for", "compacted"]);
    for topic in topics {
        table.add_row([
            topic.name.to_string(),
            topic.partitions.to_string(),
            topic
                .replication
                .map(|copies| copies.to_string())
                .unwrap_or_default(),
            topic.retention.map(time::show).unwrap_or_default(),
            if topic.compact {
                "yes".to_owned()
            } else {
                String::new()
            },
        ]);
    }
    table
}

/// A topic as a JSON line.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    topic: &'a str,
    partitions: u32,
    replication: Option<u16>,
    retention_ms: Option<u64>,
    compact: bool,
    internal: bool,
}

impl<'a> Line<'a> {
    pub(super) fn of(topic: &'a TopicSpec) -> Self {
        Self {
            topic: &topic.name,
            partitions: topic.partitions,
            replication: topic.replication,
            retention_ms: topic
                .retention
                .map(|kept| u64::try_from(kept.as_millis()).unwrap_or(u64::MAX)),
            compact: topic.compact,
            internal: is_internal(&topic.name),
        }
    }
}

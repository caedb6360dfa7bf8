//! `bus groups list`.

use crate::{
    failure::Done,
    output::{show, table},
    session::Session,
};
use bus::GroupSpec;
use serde::Serialize;
use std::collections::BTreeSet;

#[derive(Serialize)]
struct Line<'a> {
    group: &'a str,
    members: usize,
    topics: BTreeSet<String>,
    lag: u64,
}

pub(super) async fn run(session: &Session) -> Done<()> {
    let admin = session.admin();
    let names = session.ask(|| admin.groups()).await?;
    let mut rows = table(["group", "members", "topics", "lag"]);
    for name in names {
        let group = match session.ask(|| admin.group(&name)).await {
            Ok(group) => group,
            // Deleted since the list was made.
            Err(failure) if failure.kind() == Some(bus::ErrorKind::GroupMissing) => continue,
            Err(failure) => return Err(failure),
        };
        let (topics, lag) = (topics(&group), lag(&group));
        if session.out.is_json() {
            session.out.line(&Line {
                group: &group.name,
                members: group.members.len(),
                topics,
                lag,
            })?;
        } else {
            let topics = topics.into_iter().collect::<Vec<_>>().join(", ");
            rows.add_row([
                group.name.to_string(),
                group.members.len().to_string(),
                topics,
                lag.to_string(),
            ]);
        }
    }
    if session.out.is_json() {
        Ok(())
    } else {
        show(&rows, "no groups")
    }
}

fn topics(group: &GroupSpec) -> BTreeSet<String> {
    let owned = group
        .members
        .iter()
        .flat_map(|member| member.partitions.iter().map(|(topic, _)| topic));
    group
        .positions
        .iter()
        .map(|lag| &lag.topic)
        .chain(owned)
        .map(ToString::to_string)
        .collect()
}

/// Messages that the group has not read, in all its topics.
pub(super) fn lag(group: &GroupSpec) -> u64 {
    group.positions.iter().map(|lag| lag.behind).sum()
}

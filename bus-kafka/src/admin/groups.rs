//! Groups: members, positions, lag, reset.

use super::{
    Requests,
    positions::{BEGINNING, END, Place, Spec},
};
use crate::{
    error,
    native::{Code, Failure, GroupInfo, List, Part},
};
use bus_core::{Error, ErrorKind, GroupSpec, MemberSpec, Name, Result, Start, TopicLag};
use std::time::{Duration, Instant};

/// How long the end of a transaction is waited for.
const UNSTABLE: Duration = Duration::from_secs(1);

fn missing(group: &str) -> Error {
    Error::new(ErrorKind::GroupMissing, format!("group `{group}` does not exist"))
}

impl Requests {
    pub(super) async fn groups(&self) -> Result<Vec<Name>> {
        let timeout = self.timeout;
        let (mut names, failure) = self
            .ask(
                |client, queue, tag| {
                    client.list_groups(queue, tag, timeout);
                    Ok(())
                },
                |event| match event.failure() {
                    Some(failure) => (Vec::new(), Some(failure)),
                    None => event.groups(),
                },
            )
            .await?;
        if let Some(failure) = failure {
            return Err(self.failed("listing groups", &failure));
        }
        names.sort();
        Ok(names.into_iter().map(Name::from).collect())
    }

    /// Whether the group has this member.
    pub(crate) async fn has_member(&self, group: &str, id: &str) -> Result<bool> {
        let found = self.describe_group(group).await?;
        Ok(found.is_some_and(|info| info.members.iter().any(|(member, ..)| member == id)))
    }

    async fn describe_group(&self, group: &str) -> Result<Option<GroupInfo>> {
        let found = self
            .ask_coordinator(
                group,
                |client, queue, tag| {
                    client.describe_group(group, queue, tag);
                    Ok(())
                },
                |event| match event.failure() {
                    Some(failure) => Err(failure),
                    None => event.group().ok_or_else(|| Failure::new(Code::STATE)),
                },
            )
            .await?
            .map_err(|failure| self.failed(&format!("looking up group `{group}`"), &failure))?;
        match &found.failure {
            Some(failure) if failure.code == Code::GROUP_ID_NOT_FOUND => Ok(None),
            Some(failure) => Err(self.failed(&format!("looking up group `{group}`"), failure)),
            None if found.dead && found.members.is_empty() => Ok(None),
            None => Ok(Some(found)),
        }
    }

    /// What the group has stored, in any topic. A transaction that is being completed is waited for, because its
    /// commit may have been confirmed already; of one that stays open the state before it counts.
    pub(crate) async fn stored(&self, group: &str) -> Result<Vec<Part>> {
        let deadline = Instant::now() + UNSTABLE;
        loop {
            let stable = Instant::now() < deadline;
            let parts = self.offsets_of(group, stable).await?;
            if stable && parts.iter().any(|p| p.code == Code::UNSTABLE_OFFSET_COMMIT) {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
            return Ok(parts
                .into_iter()
                .filter(|p| p.code.is_ok() && p.offset >= 0)
                .collect());
        }
    }

    async fn offsets_of(&self, group: &str, stable: bool) -> Result<Vec<Part>> {
        let parts = self
            .ask_coordinator(
                group,
                |client, queue, tag| {
                    client.group_offsets(group, None, stable, queue, tag);
                    Ok(())
                },
                |event| event.group_parts(),
            )
            .await?;
        match parts {
            Ok(parts) => Ok(parts),
            Err(failure) if failure.code == Code::GROUP_ID_NOT_FOUND => Ok(Vec::new()),
            Err(failure) => Err(self.failed(&format!("reading positions of group `{group}`"), &failure)),
        }
    }

    pub(super) async fn group(&self, group: &str) -> Result<GroupSpec> {
        let info = self.describe_group(group).await?;
        let stored = self.stored(group).await?;
        if info.is_none() && stored.is_empty() {
            return Err(missing(group));
        }
        let members = info.map(|i| i.members).unwrap_or_default();
        let members = members
            .into_iter()
            .map(|(id, host, parts)| {
                let owned = parts
                    .into_iter()
                    .map(|p| (Name::from(p.topic), p.partition))
                    .collect();
                MemberSpec::new(id, host.trim_start_matches('/'), owned)
            })
            .collect();
        Ok(GroupSpec::new(group, members, self.behind(stored).await?))
    }

    pub(super) async fn lag(&self, group: &str) -> Result<Vec<TopicLag>> {
        let stored = self.stored(group).await?;
        if stored.is_empty() && self.describe_group(group).await?.is_none() {
            return Err(missing(group));
        }
        let mut lags = self.behind(stored).await?;
        lags.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        Ok(lags)
    }

    /// Stored positions with their distance to the end. Kafka counts offsets: what compaction and transactions took
    /// away counts too.
    async fn behind(&self, stored: Vec<Part>) -> Result<Vec<TopicLag>> {
        // A deleted topic's positions outlive it for a while.
        let mut names: Vec<Name> = stored.iter().map(|p| Name::from(p.topic.as_str())).collect();
        names.sort();
        names.dedup();
        let alive: Vec<_> = self
            .describe(&names)
            .await?
            .into_iter()
            .filter(|t| t.failure.is_none())
            .collect();
        let stored: Vec<Part> = stored
            .into_iter()
            .filter(|p| {
                alive
                    .iter()
                    .any(|t| t.name == p.topic && p.partition < t.partitions)
            })
            .collect();
        let place = |p: &Part| -> Place { (Name::from(p.topic.as_str()), p.partition) };
        let ask = |spec| {
            stored
                .iter()
                .map(|p| (place(p), Spec::Ask(spec)))
                .collect::<Vec<_>>()
        };
        let ends = self.resolve(&ask(END)).await?;
        let beginnings = self.resolve(&ask(BEGINNING)).await?;
        Ok(stored
            .iter()
            .filter_map(|p| {
                let end = *ends.get(&place(p))?;
                let first = p.offset.max(*beginnings.get(&place(p))?);
                let behind = u64::try_from(end - first).unwrap_or(0);
                Some(TopicLag::new(
                    p.topic.as_str(),
                    p.partition,
                    p.offset as u128,
                    end as u128,
                    behind,
                ))
            })
            .collect())
    }

    pub(super) async fn delete_group(&self, group: &str) -> Result<()> {
        let failure = self
            .ask_coordinator(
                group,
                |client, queue, tag| {
                    client.delete_group(group, queue, tag);
                    Ok(())
                },
                |event| event.deleted_group(),
            )
            .await?;
        match failure {
            None => Ok(()),
            Some(failure) if failure.code == Code::GROUP_ID_NOT_FOUND => Err(missing(group)),
            Some(failure) if failure.code == Code::NON_EMPTY_GROUP => Err(live(group)),
            Some(failure) => Err(self.failed(&format!("deleting group `{group}`"), &failure)),
        }
    }

    pub(super) async fn reset(&self, group: &str, topic: &str, to: &Start) -> Result<()> {
        bus_core::check_name(group)?;
        let positions = self.positions(topic, to).await?;
        if self
            .describe_group(group)
            .await?
            .is_some_and(|g| !g.members.is_empty())
        {
            return Err(live(group));
        }
        let mut list = List::new();
        for (partition, position) in positions {
            list.add(topic, partition, position as i64);
        }
        let what = format!("moving group `{group}` in topic `{topic}`");
        let parts = self
            .ask_coordinator(
                group,
                |client, queue, tag| {
                    client.alter_group_offsets(group, &list, queue, tag);
                    Ok(())
                },
                |event| event.group_parts(),
            )
            .await?;
        match parts {
            Ok(parts) => match parts.iter().find(|p| !p.code.is_ok()) {
                Some(part) if member_answer(part.code) => Err(live(group)),
                Some(part) => Err(error::of_code(what, part.code)),
                None => Ok(()),
            },
            Err(failure) if member_answer(failure.code) => Err(live(group)),
            Err(failure) => Err(self.failed(&what, &failure)),
        }
    }
}

/// What a broker answers to a commit from outside a group that has members.
fn member_answer(code: Code) -> bool {
    matches!(
        code,
        Code::UNKNOWN_MEMBER_ID
            | Code::ILLEGAL_GENERATION
            | Code::NON_EMPTY_GROUP
            | Code::REBALANCE_IN_PROGRESS
    )
}

fn live(group: &str) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!("group `{group}` has live members; stop them first, or wait for their session timeout"),
    )
}

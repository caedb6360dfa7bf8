//! Groups: who they are, where they are, how far behind.

use super::{RedisAdmin, topics::AT_ONCE};
use crate::{
    facts::Facts,
    id, keys,
    scripts::Script,
    start,
    topics::TopicInfo,
    wire::{Pipeline, Value},
};
use bus_core::{Error, ErrorKind, GroupSpec, MemberSpec, Name, Result, Start, TopicLag};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Entries counted in one call, where the server does not know the lag.
const PAGE: &[u8] = b"10000";

impl RedisAdmin {
    /// Those of the registry, and those that somebody made with `XGROUP CREATE` on a topic.
    pub(super) async fn list_groups(&self) -> Result<Vec<Name>> {
        let link = &self.context.link;
        let registered = link.ask(&[b"SMEMBERS", keys::GROUPS]).await?;
        let mut names: BTreeSet<Name> = registered
            .list()
            .iter()
            .filter_map(|n| n.text())
            .map(Name::from)
            .collect();
        let mut pipeline = Pipeline::new();
        for spec in self.list_topics().await? {
            let info = self.context.topics.get(&spec.name).await?;
            pipeline.add(&[b"XINFO", b"GROUPS", info.stream(0).as_bytes()]);
        }
        if !pipeline.is_empty() {
            for groups in link.call(&pipeline).await? {
                names.extend(
                    groups
                        .list()
                        .iter()
                        .filter_map(|g| g.field("name").text())
                        .map(Name::from),
                );
            }
        }
        Ok(names.into_iter().collect())
    }

    /// The topics in which a group has positions.
    async fn topics_of(&self, group: &str) -> Result<Vec<Arc<TopicInfo>>> {
        let link = &self.context.link;
        let registered = link.ask(&[b"HKEYS", keys::group(group).as_bytes()]).await?;
        let mut names: BTreeSet<String> = registered
            .list()
            .iter()
            .filter_map(|n| n.text())
            .map(str::to_owned)
            .collect();
        names.extend(self.list_topics().await?.iter().map(|spec| spec.name.to_string()));
        let mut infos = Vec::new();
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        for names in names.chunks(AT_ONCE) {
            for info in self.context.topics.look_up_all(names).await? {
                match info {
                    Ok(info) => infos.push(info),
                    Err(error) if error == ErrorKind::TopicMissing => {}
                    Err(error) => return Err(error),
                }
            }
        }
        let mut pipeline = Pipeline::new();
        for stream in infos.iter().flat_map(|info| info.streams()) {
            pipeline.add(&[b"XINFO", b"GROUPS", stream.as_bytes()]);
        }
        if pipeline.is_empty() {
            return Ok(infos);
        }
        let mut replies = link.call(&pipeline).await?.into_iter();
        infos.retain(|info| {
            let mine: Vec<Value> = replies.by_ref().take(info.partitions as usize).collect();
            mine.iter().any(|groups| find(groups, group).is_some())
        });
        Ok(infos)
    }

    async fn known_topics_of(&self, group: &str) -> Result<Vec<Arc<TopicInfo>>> {
        let infos = self.topics_of(group).await?;
        if infos.is_empty() {
            let member = self
                .context
                .link
                .ask(&[b"SISMEMBER", keys::GROUPS, group.as_bytes()])
                .await?;
            if member.int() != Some(1) {
                return Err(self.group_missing(group));
            }
        }
        Ok(infos)
    }

    pub(super) async fn lags(&self, group: &str) -> Result<Vec<TopicLag>> {
        let mut lags = Vec::new();
        for info in self.known_topics_of(group).await? {
            for partition in 0..info.partitions {
                lags.extend(self.lag_of(group, &info, partition).await?);
            }
        }
        Ok(lags)
    }

    async fn lag_of(&self, group: &str, info: &TopicInfo, partition: u32) -> Result<Option<TopicLag>> {
        let (link, stream) = (&self.context.link, info.stream(partition));
        let mut pipeline = Pipeline::new();
        pipeline.add(&[b"XINFO", b"GROUPS", stream.as_bytes()]).script(
            Script::Facts,
            &[stream.as_bytes()],
            &[],
        );
        let values = link.call(&pipeline).await?;
        let (Some(found), Some(facts)) = (find(&values[0], group), Facts::read(&values[1], 1)) else {
            return Ok(None);
        };
        let last = found
            .field("last-delivered-id")
            .bytes()
            .and_then(id::position)
            .unwrap_or(0);
        let behind = match found.field("lag").int() {
            Some(lag) => lag.max(0) as u64,
            None => self.count_after(&stream, last).await?,
        };
        let (position, end) = (last.saturating_add(1), facts.tip.saturating_add(1));
        Ok(Some(TopicLag::new(
            info.name.clone(),
            partition,
            position,
            end,
            behind,
        )))
    }

    async fn count_after(&self, stream: &str, mut last: u128) -> Result<u64> {
        let mut count = 0;
        loop {
            let after = format!("({}", id::id(last));
            let page = self
                .context
                .link
                .ask(&[
                    b"XRANGE",
                    stream.as_bytes(),
                    after.as_bytes(),
                    b"+",
                    b"COUNT",
                    PAGE,
                ])
                .await?;
            count += page.list().len() as u64;
            match page
                .list()
                .last()
                .and_then(|entry| entry.at(0).bytes())
                .and_then(id::position)
            {
                Some(position) => last = position,
                None => return Ok(count),
            }
        }
    }

    pub(super) async fn describe(&self, group: &str) -> Result<GroupSpec> {
        let infos = self.known_topics_of(group).await?;
        let mut members: BTreeMap<String, (String, Vec<(Name, u32)>)> = BTreeMap::new();
        for info in &infos {
            let (live, owners) = self.live_and_owners(group, info).await?;
            for row in live.list().chunks_exact(2) {
                if let (Some(id), Some(host)) = (row[0].text(), row[1].text()) {
                    members.entry(id.into()).or_default().0 = host.into();
                }
            }
            for (partition, owner) in owners.iter().enumerate() {
                if let Some(member) = owner.text().and_then(|id| members.get_mut(id)) {
                    member.1.push((info.name.clone(), partition as u32));
                }
            }
        }
        let members = members
            .into_iter()
            .map(|(id, (host, owned))| MemberSpec::new(id, host, owned))
            .collect();
        Ok(GroupSpec::new(group, members, self.lags(group).await?))
    }

    async fn live_and_owners(&self, group: &str, info: &TopicInfo) -> Result<(Value, Vec<Value>)> {
        let link = &self.context.link;
        let mut pipeline = Pipeline::new();
        pipeline.script(
            Script::Member,
            &[keys::members(group, &info.name).as_bytes()],
            &[b"", b"0", b""],
        );
        for stream in info.streams() {
            pipeline.add(&[b"HGET", keys::lease(&stream, group).as_bytes(), b"owner"]);
        }
        let mut values = link.call(&pipeline).await?;
        let live = link.check(values.remove(0))?;
        Ok((live, values))
    }

    /// `Conflict` while the group has live members on a topic.
    async fn refuse_live(&self, group: &str, infos: &[Arc<TopicInfo>]) -> Result<()> {
        for info in infos {
            let (live, _) = self.live_and_owners(group, info).await?;
            let live = live.list().len() / 2;
            if live > 0 {
                let sentence = format!(
                    "group `{group}` has {live} live members on topic `{}`; stop them first",
                    info.name
                );
                return Err(Error::new(ErrorKind::Conflict, sentence));
            }
        }
        Ok(())
    }

    pub(super) async fn remove_group(&self, group: &str) -> Result<()> {
        let (link, infos) = (&self.context.link, self.known_topics_of(group).await?);
        self.refuse_live(group, &infos).await?;
        let mut pipeline = Pipeline::new();
        for info in &infos {
            for stream in info.streams() {
                pipeline.add(&[b"XGROUP", b"DESTROY", stream.as_bytes(), group.as_bytes()]);
                pipeline.add(&[b"DEL", keys::lease(&stream, group).as_bytes()]);
            }
            pipeline.add(&[b"DEL", keys::members(group, &info.name).as_bytes()]);
        }
        pipeline.add(&[b"DEL", keys::group(group).as_bytes()]).add(&[
            b"SREM",
            keys::GROUPS,
            group.as_bytes(),
        ]);
        for reply in link.call(&pipeline).await? {
            link.check(reply)?;
        }
        Ok(())
    }

    pub(super) async fn reset_group(&self, group: &str, topic: &str, to: &Start) -> Result<()> {
        let link = &self.context.link;
        let info = self.context.topics.look_up(topic).await?;
        let infos = self.known_topics_of(group).await?;
        if !infos.iter().any(|known| known.name == info.name) {
            let sentence = format!("group `{group}` has no position in topic `{topic}`");
            return Err(Error::new(ErrorKind::GroupMissing, sentence));
        }
        if *to == Start::Stored {
            return Ok(());
        }
        self.refuse_live(group, std::slice::from_ref(&info)).await?;
        let mut pipeline = Pipeline::new();
        for (partition, stream) in info.streams().iter().enumerate() {
            let last = start::last_settled(to, partition as u32);
            let lease = keys::lease(stream, group);
            let words = [group.as_bytes(), last.as_bytes()];
            pipeline.script(Script::Reset, &[lease.as_bytes(), stream.as_bytes()], &words);
        }
        for reply in link.call(&pipeline).await? {
            if link.check(reply)?.at(0).text() != Some("OK") {
                return Err(Error::topic_missing(topic));
            }
        }
        Ok(())
    }
}

/// A group in the reply to `XINFO GROUPS`.
fn find<'a>(groups: &'a Value, name: &str) -> Option<&'a Value> {
    groups
        .list()
        .iter()
        .find(|group| group.field("name").text() == Some(name))
}

//! Making, growing and deleting topics.

use super::RedisAdmin;
use crate::{error::unexpected, facts::Facts, id, keys, scripts::Script, topics::TopicInfo, wire::Pipeline};
use bus_core::{Error, ErrorKind, Result, Start, TopicSpec, check_name, derived_from};
use std::sync::Arc;

/// Topics that are looked up in one round trip: what lists them stands before the first delayed publish and every join.
pub(super) const AT_ONCE: usize = 256;

impl RedisAdmin {
    pub(super) async fn create_one(&self, spec: &TopicSpec, together: &[TopicSpec]) -> Result<()> {
        let link = &self.context.link;
        let info = match self.context.topics.look_up(&spec.name).await {
            Ok(info) => info,
            Err(error) if error == ErrorKind::TopicMissing => {
                let origin = self.origin(&spec.name, together).await?;
                let origin = origin.as_ref().map(|(name, partitions)| (&**name, *partitions));
                self.describe_topic(spec, origin).await?
            }
            Err(error) => return Err(error),
        };
        // Empty streams, so that a publisher can tell a topic that was deleted from one that is new.
        self.make_streams(&info).await?;
        if info.id.is_empty() {
            // A stream that another program made becomes a topic with one partition, as it already was.
            self.describe_topic(&spec.clone().partitions(1), None).await?;
        }
        link.ask(&[b"SADD", keys::TOPICS, spec.name.as_bytes()]).await?;
        Ok(())
    }

    /// Writes the descriptor unless somebody else was faster.
    async fn describe_topic(&self, spec: &TopicSpec, origin: Option<(&str, u32)>) -> Result<Arc<TopicInfo>> {
        let key = keys::descriptor(&spec.name);
        let (first, rest) = keys::patterns(&spec.name, spec.partitions, origin);
        let id = uuid::Uuid::new_v4().simple().to_string();
        let partitions = spec.partitions.to_string();
        let retention = spec.retention.map_or(0, |r| r.as_millis()).to_string();
        let compact: &[u8] = if spec.compact { b"1" } else { b"0" };
        let from = origin.map_or("", |(name, _)| name);
        let words = [
            partitions.as_bytes(),
            b"0",
            b"id",
            id.as_bytes(),
            b"first",
            first.as_bytes(),
            b"rest",
            rest.as_bytes(),
            b"retention",
            retention.as_bytes(),
            b"compact",
            compact,
            b"derived-from",
            from.as_bytes(),
        ];
        self.context
            .link
            .run(Script::Create, &[key.as_bytes()], &words)
            .await?;
        self.context.topics.look_up(&spec.name).await
    }

    /// The topic whose slot a derived one shares: the longest beginning of its name that is a topic.
    async fn origin(&self, name: &str, together: &[TopicSpec]) -> Result<Option<(String, u32)>> {
        let Some(mut base) = derived_from(name) else {
            return Ok(None);
        };
        loop {
            if let Some(spec) = together.iter().find(|spec| &*spec.name == base) {
                return Ok(Some((base.into(), spec.partitions)));
            }
            match self.context.topics.get(base).await {
                Ok(info) => return Ok(Some((base.into(), info.partitions))),
                Err(error) if error == ErrorKind::TopicMissing => {}
                Err(error) => return Err(error),
            }
            match base.rsplit_once('.') {
                Some((shorter, _)) if !shorter.is_empty() => base = shorter,
                _ => return Ok(None),
            }
        }
    }

    async fn make_streams(&self, info: &TopicInfo) -> Result<()> {
        // The only way to an empty stream is through a group.
        const GROUP: &[u8] = b"bus:new";
        let mut pipeline = Pipeline::new();
        for stream in info.streams() {
            pipeline.add(&[b"XGROUP", b"CREATE", stream.as_bytes(), GROUP, b"0", b"MKSTREAM"]);
            pipeline.add(&[b"XGROUP", b"DESTROY", stream.as_bytes(), GROUP]);
        }
        for reply in self.context.link.call(&pipeline).await? {
            match self.context.link.check(reply) {
                // Left behind by a creation that was interrupted, or made by one at the same time.
                Err(error) if !error.message().contains("BUSYGROUP") => {
                    return Err(error.context(format!("topic `{}`", info.name)));
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) async fn delete_topic(&self, topic: &str) -> Result<()> {
        let (link, info) = (&self.context.link, self.context.topics.look_up(topic).await?);
        self.context.topics.forget(topic);
        let mut ask = Pipeline::new();
        for stream in info.streams() {
            ask.add(&[b"XINFO", b"GROUPS", stream.as_bytes()]);
        }
        let groups = link.call(&ask).await?;
        let mut pipeline = Pipeline::new();
        for (stream, groups) in info.streams().iter().zip(groups) {
            pipeline.add(&[b"UNLINK", stream.as_bytes()]);
            for group in groups.list().iter().filter_map(|g| g.field("name").text()) {
                pipeline.add(&[b"DEL", keys::lease(stream, group).as_bytes()]);
                pipeline.add(&[b"HDEL", keys::group(group).as_bytes(), topic.as_bytes()]);
                pipeline.add(&[b"DEL", keys::members(group, topic).as_bytes()]);
            }
        }
        for reply in link.call(&pipeline).await? {
            link.check(reply)?;
        }
        // The descriptor last: it may lie on another node, and who has to ask again must find what is left. Without its
        // streams the topic is missing already.
        let mut pipeline = Pipeline::new();
        pipeline.add(&[b"DEL", keys::descriptor(topic).as_bytes()]);
        pipeline.add(&[b"SREM", keys::TOPICS, topic.as_bytes()]);
        for reply in link.call(&pipeline).await? {
            link.check(reply)?;
        }
        Ok(())
    }

    pub(super) async fn list_topics(&self) -> Result<Vec<TopicSpec>> {
        let link = &self.context.link;
        let names = link.ask(&[b"SMEMBERS", keys::TOPICS]).await?;
        let names: Vec<_> = names.list().iter().filter_map(|n| n.text()).collect();
        let mut specs = Vec::new();
        for names in names.chunks(AT_ONCE) {
            for info in self.context.topics.look_up_all(names).await? {
                match info {
                    Ok(info) => specs.push(info.spec()),
                    Err(error) if error == ErrorKind::TopicMissing => {}
                    Err(error) => return Err(error),
                }
            }
        }
        specs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(specs)
    }

    pub(super) async fn grow_topic(&self, topic: &str, partitions: u32) -> Result<()> {
        let info = self.context.topics.look_up(topic).await?;
        if partitions < info.partitions {
            let sentence = format!(
                "topic `{topic}` has {} partitions; partitions can be added, not removed",
                info.partitions
            );
            return Err(Error::invalid(sentence));
        }
        if info.id.is_empty() {
            check_name(topic)?;
            self.create_one(&TopicSpec::new(topic), &[]).await?;
        }
        let info = self.context.topics.look_up(topic).await?;
        // Streams first: nobody may find a partition that is not there.
        self.make_streams(&info.with_partitions(partitions)).await?;
        let (key, count) = (keys::descriptor(topic), partitions.to_string());
        let reply = self
            .context
            .link
            .run(Script::Create, &[key.as_bytes()], &[count.as_bytes(), b"1"])
            .await?;
        self.context.topics.forget(topic);
        match reply.at(0).text() {
            Some("EXISTS") => Ok(()),
            Some("FEWER") => Err(Error::invalid(format!(
                "topic `{topic}` has more partitions by now"
            ))),
            _ => Err(Error::topic_missing(topic)),
        }
    }

    pub(super) async fn find_positions(&self, topic: &str, at: &Start) -> Result<Vec<(u32, u128)>> {
        let (link, info) = (&self.context.link, self.context.topics.look_up(topic).await?);
        if *at == Start::Stored {
            return Err(Error::invalid(
                "a stored position belongs to a group; ask for the group's lag instead",
            ));
        }
        let mut found = Vec::new();
        for partition in 0..info.partitions {
            let stream = info.stream(partition);
            let reply = link.run(Script::Facts, &[stream.as_bytes()], &[]).await?;
            let facts = Facts::read(&reply, 1).ok_or_else(|| Error::topic_missing(topic))?;
            let position = match at {
                Start::Latest => facts.tip.saturating_add(1),
                Start::Earliest => facts.begin(),
                Start::Time(_) => {
                    let after = format!("({}", crate::start::last_settled(at, partition));
                    let reply = link
                        .ask(&[
                            b"XRANGE",
                            stream.as_bytes(),
                            after.as_bytes(),
                            b"+",
                            b"COUNT",
                            b"1",
                        ])
                        .await?;
                    match reply.at(0).at(0).bytes() {
                        Some(word) => {
                            id::position(word).ok_or_else(|| unexpected(&self.address(), "XRANGE"))?
                        }
                        None => facts.tip.saturating_add(1),
                    }
                }
                Start::Positions(positions) => positions.get(&partition).copied().unwrap_or(facts.begin()),
                _ => facts.begin(),
            };
            found.push((partition, position));
        }
        Ok(found)
    }
}

//! Opening a subscription: topics and positions are resolved here, so that what can be wrong is an error of the call.

use super::{
    RedisSubscriber,
    ack::RedisAck,
    history::History,
    keeper::Keeper,
    observer::{self, Observer},
    reader::Reader,
    state::Shared,
    watch::Watched,
};
use crate::{Context, keys, scripts::Script, start, topics::TopicInfo, wire::Pipeline};
use bus_core::{Ack, Error, ErrorKind, Name, Result, Scope, Shard, Source, Start, Subscriber, check_name};
use bytes::Bytes;
use std::sync::Arc;

/// Joins a group, or opens partitions for everyone.
pub(crate) async fn join(
    context: Arc<Context>,
    source: Source,
) -> Result<(Box<dyn Subscriber>, Arc<dyn Ack>)> {
    let mut topics = Vec::new();
    for name in &source.topics {
        topics.push(context.topics.look_up(name).await?);
    }
    match &source.scope {
        Scope::Group(group) => group_member(context, group.clone(), &source, topics).await,
        Scope::Everyone { partitions } => everyone(context, partitions.clone(), &source, topics).await,
    }
}

async fn group_member(
    context: Arc<Context>,
    group: Name,
    source: &Source,
    topics: Vec<Arc<TopicInfo>>,
) -> Result<(Box<dyn Subscriber>, Arc<dyn Ack>)> {
    check_name(&group).map_err(|e| e.context("group"))?;
    for info in &topics {
        fix_start(&context, &group, info, &source.start).await?;
    }
    let member = format!("{}-{}", context.config.client_id, uuid::Uuid::new_v4().simple());
    let shared = Arc::new(Shared::default());
    let keeper = Keeper {
        context: context.clone(),
        shared: shared.clone(),
        link: context.link("lease"),
        group: group.clone(),
        member: member.clone(),
        topics: topics
            .iter()
            .enumerate()
            .map(|(i, info)| Watched::new(i as u32, info.clone(), &group))
            .collect(),
        runs: Vec::new(),
        places: Default::default(),
        history: History::default(),
    };
    let ack = RedisAck::new(
        context.clone(),
        shared.clone(),
        Some(member.clone()),
        group.clone(),
        source.topics.clone(),
        source.exactly_once,
    );
    let subscriber = RedisSubscriber {
        reader: Reader::new(context.clone()),
        context,
        shared,
        task: Some(tokio::spawn(keeper.run())),
        group: Some((group, member)),
        topics: source.topics.clone(),
    };
    Ok((Box::new(subscriber), Arc::new(ack)))
}

/// Fixes where the group begins in every partition that is there now; those that are added later begin at their start.
async fn fix_start(context: &Context, group: &str, info: &TopicInfo, start: &Start) -> Result<()> {
    let (link, registry) = (&context.link, keys::group(group));
    let fixed = link
        .ask(&[b"HGET", registry.as_bytes(), info.name.as_bytes()])
        .await?
        .int()
        .unwrap_or(0);
    let mut pipeline = Pipeline::new();
    for partition in 0..info.partitions {
        let id = match i64::from(partition) < fixed || fixed == 0 {
            true => start::last_settled(start, partition),
            false => "0-0".into(),
        };
        let stream = info.stream(partition);
        let lease = keys::lease(&stream, group);
        pipeline.script(
            Script::Start,
            &[stream.as_bytes(), lease.as_bytes()],
            &[group.as_bytes(), id.as_bytes()],
        );
    }
    for (partition, reply) in link.call(&pipeline).await?.into_iter().enumerate() {
        let reply = link.check(reply)?;
        match reply.at(0).text() {
            Some("OK" | "EXISTS") => {}
            Some("BUSY") => {
                let stream = info.stream(partition as u32);
                let (consumers, pending) = (reply.at(1).int().unwrap_or(0), reply.at(2).int().unwrap_or(0));
                return Err(Error::new(
                    ErrorKind::Conflict,
                    format!(
                        "group `{group}` of stream `{stream}` has {consumers} consumers and {pending} pending entries of \
                         another program's XREADGROUP; drain it first and delete its consumers, or use another group"
                    ),
                ));
            }
            Some("NONE") => {
                return Err(Error::new(
                    ErrorKind::GroupMissing,
                    format!(
                        "group `{group}` has no stored position in partition {partition} of topic `{}`; \
                         subscribe with another start, or reset the group first",
                        info.name
                    ),
                ));
            }
            _ => return Err(Error::topic_missing(&info.name)),
        }
    }
    let mut pipeline = Pipeline::new();
    pipeline.script(Script::Register, &[keys::GROUPS], &[b"SADD", group.as_bytes()]);
    let partitions = info.partitions.to_string();
    let words = [&b"HSET"[..], info.name.as_bytes(), partitions.as_bytes()];
    pipeline.script(Script::Register, &[registry.as_bytes()], &words);
    for reply in link.call(&pipeline).await? {
        link.check(reply)?;
    }
    Ok(())
}

async fn everyone(
    context: Arc<Context>,
    partitions: Option<Vec<u32>>,
    source: &Source,
    topics: Vec<Arc<TopicInfo>>,
) -> Result<(Box<dyn Subscriber>, Arc<dyn Ack>)> {
    if source.start == Start::Stored {
        return Err(Error::invalid(
            "only a group has a stored position; read from another start",
        ));
    }
    let shared = Arc::new(Shared::default());
    for (index, info) in topics.iter().enumerate() {
        let wanted: Vec<u32> = match &partitions {
            None => (0..info.partitions).collect(),
            Some(wanted) => wanted.clone(),
        };
        if let Some(wrong) = wanted.iter().find(|p| **p >= info.partitions) {
            let sentence = format!(
                "topic `{}` has {} partitions, there is no partition {wrong}",
                info.name, info.partitions
            );
            return Err(Error::invalid(sentence));
        }
        for partition in wanted {
            let found = observer::look_at(&context, info, info.stream(partition).into()).await?;
            let found = found.ok_or_else(|| Error::topic_missing(&info.name))?;
            let shard = Shard {
                topic: index as u32,
                partition,
                epoch: 1,
            };
            observer::open(&shared, shard, &info.name, found, &source.start, Bytes::new());
        }
    }
    let observer = Observer {
        context: context.clone(),
        shared: shared.clone(),
        topics: topics.into_iter().map(Some).collect(),
        partitions,
    };
    let ack = RedisAck::new(
        context.clone(),
        shared.clone(),
        None,
        "".into(),
        source.topics.clone(),
        source.exactly_once,
    );
    let subscriber = RedisSubscriber {
        reader: Reader::new(context.clone()),
        context,
        shared,
        task: Some(tokio::spawn(observer.run())),
        group: None,
        topics: source.topics.clone(),
    };
    Ok((Box::new(subscriber), Arc::new(ack)))
}

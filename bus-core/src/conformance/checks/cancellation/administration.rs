//! What an administrator asks for, and gives up.

use super::{stopping, there};
use crate::{
    Bus, Delivery, ErrorKind, Start,
    conformance::{
        Lab, Proof,
        lab::Feed,
        member::payloads,
        moments::Moments,
        work::{names, unkeyed},
    },
};

pub(crate) async fn administration_may_be_given_up_anywhere(lab: &Lab) -> Proof {
    let (bus, other) = (stopping(lab).await?, lab.bus().await?);
    let admin = bus.admin();
    let (mut moments, mut n) = (Moments::polled(), 0);
    let (mut growing, mut deleting) = (Moments::polled(), Moments::polled());
    while moments.more()? || growing.more()? || deleting.more()? {
        let topic = Feed::named(lab.name(&format!("t{n}"))).partitions(4);
        let ensure = bus.ensure_topics([topic.spec()]);
        moments.call(lab, "creating", ensure).await?;
        lab.create(&other, [topic.spec()]).await?;
        has(lab, &other, &topic, 4).await?;
        growing.call(lab, "growing", admin.grow(topic.name(), 6)).await?;
        match lab
            .within("growing again", other.admin().grow(topic.name(), 6))
            .await?
        {
            // It has them already.
            Err(error) if error.kind() == ErrorKind::Invalid => {}
            grown => grown?,
        }
        has(lab, &other, &topic, 6).await?;
        let sent = unkeyed("m", 6, 12);
        lab.store(&other, topic.name(), sent.clone()).await?;
        ensure_eq!(
            there(lab, &other, &topic).await?,
            names(&sent),
            "what a topic holds that was made twice"
        );
        deleting.call(lab, "deleting", admin.delete(topic.name())).await?;
        match lab
            .within("deleting again", other.admin().delete(topic.name()))
            .await?
        {
            Err(error) if error.kind() == ErrorKind::TopicMissing => {}
            deleted => deleted?,
        }
        // A topic of that name is a new one, with nothing of the old.
        lab.poll("the topic can be made anew", || async {
            Ok(other.ensure_topics([topic.spec()]).await.is_ok())
        })
        .await?;
        has(lab, &other, &topic, 4).await?;
        ensure_eq!(
            there(lab, &other, &topic).await?,
            Vec::<String>::new(),
            "what a new topic holds"
        );
        n += 1;
    }
    groups_given_up(lab, &bus, &other).await
}

async fn has(lab: &Lab, bus: &Bus, topic: &Feed, partitions: u32) -> Proof {
    lab.poll(&format!("a topic has {partitions} partitions"), || async {
        let topics = bus.admin().topics().await?;
        let found = topics.iter().find(|t| &*t.name == topic.name());
        Ok(found.is_some_and(|t| t.partitions == partitions))
    })
    .await
}

async fn groups_given_up(lab: &Lab, bus: &Bus, other: &Bus) -> Proof {
    let topic = lab.topic(other, "read", 4).await?;
    let (name, group, sent) = (topic.name(), lab.group("g"), unkeyed("m", 4, 12));
    lab.store(other, name, sent.clone()).await?;
    let read = async || {
        let mut reader = lab.join(lab.subscribe(other, &topic, &group)).await?;
        let rest = lab.take(&mut reader, 12).await?;
        ensure_eq!(
            payloads(&rest),
            names(&sent),
            "what follows a reset, or a group that was deleted"
        );
        rest.into_iter().for_each(Delivery::ack);
        Proof::Ok(lab.within("closing", reader.close()).await??)
    };
    let admin = bus.admin();
    let (mut resets, mut deletes) = (Moments::polled(), Moments::polled());
    while resets.more()? || deletes.more()? {
        read().await?;
        idle(lab, other, &group).await?;
        let reset = admin.reset(&group, name, Start::Earliest);
        resets.call(lab, "a reset", reset).await?;
        lab.within(
            "a reset again",
            other.admin().reset(&group, name, Start::Earliest),
        )
        .await??;
        read().await?;
        idle(lab, other, &group).await?;
        let delete = admin.delete_group(&group);
        deletes.call(lab, "deleting a group", delete).await?;
        match lab
            .within("deleting a group again", other.admin().delete_group(&group))
            .await?
        {
            Err(error) if error.kind() == ErrorKind::GroupMissing => {}
            deleted => deleted?,
        }
    }
    read().await?;
    let mut looks = [(); 6].map(|()| Moments::polled());
    let [topics, groups, one, lag, positions, facts] = &mut looks;
    while topics.more()? {
        topics.call(lab, "topics", admin.topics()).await?;
    }
    while groups.more()? {
        groups.call(lab, "groups", admin.groups()).await?;
    }
    while one.more()? {
        one.call(lab, "a group", admin.group(&group)).await?;
    }
    while lag.more()? {
        lag.call(lab, "the lag", admin.lag(&group)).await?;
    }
    while positions.more()? {
        let at = admin.positions(name, Start::Latest);
        positions.call(lab, "positions", at).await?;
    }
    while facts.more()? {
        facts.call(lab, "facts", admin.facts()).await?;
    }
    lab.within("closing a bus", bus.close()).await??;
    Ok(())
}

/// Somebody may have to notice first that a group's last member left.
async fn idle(lab: &Lab, bus: &Bus, group: &str) -> Proof {
    lab.poll("the group has no member", || async {
        Ok(bus.admin().group(group).await?.members.is_empty())
    })
    .await
}

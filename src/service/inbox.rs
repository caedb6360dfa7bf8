//! Where the replies to a bus's requests arrive.

use super::{
    Reply,
    mailbox::Mailbox,
    reply::header,
    waiting::{Expected, Strays, Waiting},
};
use crate::event;
use bus_core::{
    Bus, Bytes, Control, Delivery, ErrorKind, LossPolicy, Name, Raw, Result, Start, Topic, TopicSpec,
};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

/// Partitions that a topic of replies is made with: processes that ask share them.
const PARTITIONS: u32 = 4;
/// How long replies are kept: nobody waits for them that long.
const RETENTION: Duration = Duration::from_secs(3600);

/// Reads one partition of a topic of replies, from now on.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(super) topic: Name,
    pub(super) partition: u32,
    /// Others read the same partition.
    pub(super) instance: String,
    pub(super) waiting: Arc<Waiting>,
    control: Control,
}

impl Inbox {
    /// Makes the topic if it is missing, and begins to read before it returns, so that no reply can come earlier.
    pub(crate) async fn open(bus: &Bus, topic: Name, mailbox: Option<Arc<Mailbox>>) -> Result<Arc<Self>> {
        let spec = TopicSpec::new(topic.clone())
            .partitions(PARTITIONS)
            .retention(RETENTION);
        let there = bus.admin().topics().await?;
        let partitions = match there.iter().find(|there| there.name == topic) {
            Some(there) => there.partitions.max(1),
            None => {
                bus.ensure_topics([spec]).await?;
                PARTITIONS
            }
        };
        let id = Uuid::new_v4();
        let partition = (id.as_u128() % u128::from(partitions)) as u32;
        let replies: Topic<Bytes, Raw> = Topic::named(&*topic);
        let reading = bus
            .observe(&replies)
            .partitions([partition])
            .start(Start::Latest)
            // What retention took was waited for by nobody any more.
            .on_data_loss(LossPolicy::GoOn)
            .await?;
        let (instance, waiting) = (id.simple().to_string(), Arc::new(Waiting::default()));
        let control = reading.control();
        let handler = {
            let (instance, waiting) = (instance.clone(), waiting.clone());
            move |delivery: Delivery<Bytes>| {
                take(&instance, &waiting, mailbox.as_deref(), &delivery);
                delivery.ack();
                std::future::ready(())
            }
        };
        let (name, told) = (topic.clone(), waiting.clone());
        tokio::spawn(async move {
            let ended = reading.for_each(1, handler).await;
            told.close();
            if let Err(error) = ended
                && error.kind() != ErrorKind::Closed
            {
                tracing::error!(topic = &*name, %error, "replies are not read any more");
            }
        });
        Ok(Arc::new(Self {
            topic,
            partition,
            instance,
            waiting,
            control,
        }))
    }
    /// Replies are not read any more: its topic was deleted, or reading it failed for good.
    pub(crate) fn is_over(&self) -> bool {
        self.waiting.is_closed()
    }
    pub(crate) fn strays(&self) -> Strays {
        self.waiting.strays()
    }
    pub(super) fn expect(
        &self,
        id: &str,
        replies: usize,
    ) -> std::result::Result<Expected, super::RequestError> {
        self.waiting.expect(id, replies)
    }
}

/// Nobody is left who could ask.
impl Drop for Inbox {
    fn drop(&mut self) {
        self.control.abort();
    }
}

fn take(instance: &str, waiting: &Waiting, mailbox: Option<&Mailbox>, delivery: &Delivery<Bytes>) {
    let headers = delivery.headers();
    if headers
        .text(header::INSTANCE)
        .is_some_and(|asked| asked != instance)
    {
        return;
    }
    let id = headers.text(event::header::CORRELATION).unwrap_or_default();
    waiting.deliver(id, Reply::new(delivery.record().clone()), mailbox);
}

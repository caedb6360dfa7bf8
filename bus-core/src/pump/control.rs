//! What the application asks of partitions, and what it is told about them.

use super::{Pump, Running, answered};
use crate::{Error, ErrorKind, Event, Name, Notice, Result, Shard, Start, flow::Which, notices::Panicked};
use std::{pin::pin, time::Duration};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until, timeout},
};

/// How long a backend may take to store a position that was sought.
const SEEK: Duration = Duration::from_secs(15);
/// How long the application may take to let go of its partitions at the end.
const TELL: Duration = Duration::from_secs(5);

impl Pump {
    /// Which shards a seek is about. Known here, because only the pump knows what is owned when it is carried out.
    pub(super) fn plan_seek(
        &self,
        running: &mut Running,
        which: Which,
        to: &Start,
        reply: oneshot::Sender<Result<()>>,
    ) {
        let shards = self.shared.core.lock().flow.covered(which);
        if shards.is_empty() {
            let text = match which {
                Which::All => "no partition is owned by this member now".to_owned(),
                Which::One(topic, partition) => format!(
                    "partition {partition} of `{}` is not owned by this member now",
                    self.shared.topics.name(topic)
                ),
            };
            let _ = reply.send(Err(Error::invalid(text)));
        } else {
            running.seeks.push_back((shards, to.clone(), reply));
        }
    }

    /// Seeks one shard after the other. The commit under way goes on meanwhile: a backend may wait for it.
    pub(super) async fn seek(
        &mut self,
        running: &mut Running,
        (shards, to, reply): (Vec<Shard>, Start, oneshot::Sender<Result<()>>),
    ) {
        let mut result = Ok(());
        for shard in shards {
            let limit = Instant::now() + SEEK;
            let mut answers = None;
            {
                let mut seek = pin!(self.subscriber.seek(shard, to.clone()));
                result = loop {
                    tokio::select! {
                        sought = &mut seek => break sought,
                        results = answered(&mut running.commit) => {
                            running.commit = None;
                            answers = Some(results);
                        }
                        () = sleep_until(limit) => {
                            let text = format!("the position sought was not stored within {SEEK:?}");
                            break Err(Error::new(ErrorKind::Timeout, text));
                        }
                    }
                };
            }
            if let Some(answers) = answers {
                self.committed(running, answers);
            }
            if result.is_err() {
                break;
            }
        }
        let _ = reply.send(result);
    }

    /// Tells the application of an event.
    pub(super) fn tell(&mut self, event: &Event) {
        if !self.notices.is_on() {
            return;
        }
        let name = |shard: &Shard| Name::from(self.shared.topics.name(shard.topic));
        let (notice, waits) = match event {
            Event::Gained {
                shard, topic, next, ..
            } => {
                let (topic, partition, position) = (topic.clone(), shard.partition, *next);
                let gained = Notice::Gained {
                    topic,
                    partition,
                    position,
                };
                (gained, Some(*shard))
            }
            Event::Lost(shard) => (lost(name(shard), shard.partition), None),
            Event::CaughtUp(shard) => {
                let (topic, partition) = (name(shard), shard.partition);
                (Notice::CaughtUp { topic, partition }, None)
            }
            Event::DataLoss { shard, from, to } => {
                let (topic, partition, from, to) = (name(shard), shard.partition, *from, *to);
                let loss = Notice::DataLoss {
                    topic,
                    partition,
                    from,
                    to,
                };
                (loss, None)
            }
            Event::PartitionsChanged { topic, partitions } => {
                let (topic, partitions) = (topic.clone(), *partitions);
                (Notice::PartitionsChanged { topic, partitions }, None)
            }
            _ => return,
        };
        self.notices.tell(notice, waits);
    }

    /// The hook has returned: what waited for it may be handed out.
    pub(super) fn told(&self, running: &mut Running, told: Result<Option<Shard>, Panicked>) {
        match told {
            Ok(Some(shard)) => {
                self.shared.core.lock().flow.let_go_on(shard);
                self.shared.wake_readers();
            }
            Ok(None) => {}
            Err(Panicked) => {
                let text = "the hook for notices panicked; what it keeps may be in any state";
                self.fail(running, Error::new(ErrorKind::Other, text));
            }
        }
    }

    /// The end: what is still owned is told as lost, behind everything that was not told yet.
    pub(super) async fn tell_the_end(&mut self) {
        if !self.notices.is_on() {
            return;
        }
        let owned = self.shared.core.lock().flow.assignment();
        for owned in owned {
            self.notices.tell(lost(owned.topic, owned.partition), None);
        }
        let all = async {
            while !self.notices.is_idle() {
                if self.notices.told().await.is_err() {
                    return;
                }
            }
        };
        if timeout(TELL, all).await.is_err() {
            tracing::warn!("the hook for notices took too long at the end and was given up");
        }
    }
}

fn lost(topic: Name, partition: u32) -> Notice {
    Notice::Lost { topic, partition }
}

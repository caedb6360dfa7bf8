//! What the application asks of partitions, and what it is told about them.

use super::{Pump, Running, Sought, answered};
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
    /// Which shards a seek is about: known here, because only the pump knows what is owned when it is carried out.
    fn about(&self, which: Which) -> Result<Vec<Shard>> {
        let shards = self.shared.core.lock().flow.covered(which);
        if !shards.is_empty() {
            return Ok(shards);
        }
        Err(Error::invalid(match which {
            Which::All => "no partition is owned by this member now".to_owned(),
            Which::One(topic, partition) => format!(
                "partition {partition} of `{}` is not owned by this member now",
                self.shared.topics.name(topic)
            ),
        }))
    }

    /// Seeks one shard after the other. The commit under way goes on meanwhile: a backend may wait for it.
    pub(super) async fn seek(
        &mut self,
        running: &mut Running,
        (which, to, reply): (Which, Start, oneshot::Sender<Result<()>>),
    ) {
        let shards = match self.about(which) {
            Ok(shards) => shards,
            Err(error) => return drop(reply.send(Err(error))),
        };
        let mut moved = Vec::with_capacity(shards.len());
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
            moved.push(shard);
        }
        running.sought = Some(Sought {
            shards: moved,
            result,
            reply,
            limit: Instant::now() + SEEK,
        });
    }

    /// Answers a seek once its partitions were gained again.
    pub(super) fn sought(&self, running: &mut Running) {
        let Some(sought) = &mut running.sought else {
            return;
        };
        let owned = self.shared.core.lock().flow.owned();
        let again = |old: &Shard| {
            let place = |s: &Shard| (s.topic, s.partition);
            owned
                .iter()
                .any(|s| place(s) == place(old) && s.epoch != old.epoch)
        };
        sought.shards.retain(|old| !again(old));
        if let Some(left) = sought.shards.first()
            && sought.result.is_ok()
        {
            if Instant::now() < sought.limit {
                return;
            }
            let (topic, partition) = (self.shared.topics.name(left.topic), left.partition);
            let text = format!(
                "partition {partition} of `{topic}` was not gained again within {SEEK:?} of a seek: another member may have it"
            );
            sought.result = Err(Error::new(ErrorKind::Timeout, text));
        }
        if let Some(sought) = running.sought.take() {
            let _ = sought.reply.send(sought.result);
        }
    }

    /// A partition left before its seek was stored. If it comes back, that is no word about the seek.
    pub(super) fn seek_failed(&self, running: &mut Running, shard: Shard) {
        if let Some(sought) = &mut running.sought
            && sought.shards.contains(&shard)
            && sought.result.is_ok()
        {
            let (topic, partition) = (self.shared.topics.name(shard.topic), shard.partition);
            let text = format!(
                "partition {partition} of `{topic}` left before the position sought was known to be stored: \
                 seek again where it is owned"
            );
            sought.result = Err(Error::new(ErrorKind::Fenced, text));
        }
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

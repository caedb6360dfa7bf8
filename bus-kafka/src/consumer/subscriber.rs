//! [`bus_core::Subscriber`]: takes what the thread has put into the mailbox.

use super::{Command, Line, leave::SLACK, mailbox::Mailbox};
use async_trait::async_trait;
use bus_core::{Error, Event, Result, Room, Shard, Start, Subscriber};
use std::{sync::Arc, time::Duration};
use tokio::sync::oneshot;

#[derive(Debug)]
pub(super) struct KafkaSubscriber {
    mail: Arc<Mailbox>,
    line: Line,
    session_timeout: Duration,
    closed: bool,
}

impl KafkaSubscriber {
    pub(super) fn new(mail: Arc<Mailbox>, line: Line, session_timeout: Duration) -> Self {
        Self {
            mail,
            line,
            session_timeout,
            closed: false,
        }
    }
}

#[async_trait]
impl Subscriber for KafkaSubscriber {
    async fn receive(&mut self, room: Room, events: &mut Vec<Event>) -> Result<()> {
        if self.closed {
            return Err(Error::closed("the subscription"));
        }
        loop {
            if self.mail.take(room, events)? {
                return Ok(());
            }
            // Nothing is taken out before this point, so a call that is dropped here loses nothing.
            if self.mail.is_frozen() {
                let _ = tokio::time::timeout(Duration::from_millis(50), self.mail.notify.notified()).await;
            } else {
                self.mail.notify.notified().await;
            }
        }
    }

    fn pause(&mut self, shard: Shard, paused: bool) {
        self.mail.pause(shard, paused);
        if !paused {
            self.mail.notify.notify_one();
        }
    }

    async fn seek(&mut self, shard: Shard, to: Start) -> Result<()> {
        self.line.ask(|reply| Command::Seek(shard, to, reply)).await?
    }

    async fn close(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        let (reply, closed) = oneshot::channel();
        if self.line.send(Command::Close(reply)).is_err() {
            return Ok(());
        }
        // The thread bounds itself; destroying a client with its sockets in trouble may add a little.
        let bound = self.session_timeout + SLACK + Duration::from_secs(3);
        if tokio::time::timeout(bound, closed).await.is_err() {
            tracing::warn!(target: "bus::kafka", "a subscription is still closing after {bound:?}; it goes on by itself");
        }
        Ok(())
    }
}

impl Drop for KafkaSubscriber {
    fn drop(&mut self) {
        if !self.closed {
            let (reply, _) = oneshot::channel();
            let _ = self.line.send(Command::Close(reply));
        }
    }
}

//! Closing, bounded also with the brokers down.

use super::reader::Reader;
use crate::native::Kind;
use bus_core::Error;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Beyond the session timeout: by then the group has gone on without this member anyway.
pub(super) const SLACK: Duration = Duration::from_secs(2);

impl Reader {
    /// Leaves the group and drops the client, then tells.
    pub(super) fn leave(mut self, reply: Option<oneshot::Sender<()>>) {
        let deadline = Instant::now() + self.config.session_timeout + SLACK;
        let turn = self.turn.take().filter(|_| !self.my_turn);
        // What a transaction has begun with stays ours until it has ended.
        let mine = turn.as_ref().is_some_and(|turn| turn.take_until(deadline));
        self.mail.fail(Error::closed("the subscription"));
        self.tell_held(None);
        self.answer_commits_with(|| Error::closed("the subscription"));
        if self.revoke.is_some() {
            self.void_all();
        }
        if let Some(turn) = turn.filter(|_| mine) {
            turn.give_back();
        }
        match self.client.close(&self.main) {
            Ok(()) => self.wait_closed(deadline),
            // After a fatal error there is nothing to leave.
            Err(failure) => tracing::debug!(target: "bus::kafka", "closing: {}", failure.text),
        }
        self.main.quiet();
        self.replies.quiet();
        for part in self.parts.values() {
            if let Some(queue) = &part.queue {
                queue.quiet();
            }
        }
        // Queues go first, the client with the last of them, and the socket that they signal through at the end.
        let wake = self.wake.clone();
        drop(self);
        drop(wake);
        if let Some(reply) = reply {
            let _ = reply.send(());
        }
    }

    fn wait_closed(&mut self, deadline: Instant) {
        while !self.client.closed() {
            if Instant::now() >= deadline {
                tracing::warn!(target: "bus::kafka", group = ?self.group, "left without an answer from the group's coordinator");
                return;
            }
            let rebalance = self
                .main
                .poll(Duration::from_millis(20))
                .is_some_and(|e| e.kind() == Kind::Rebalance);
            if rebalance {
                self.give_back_everything();
            }
        }
    }
}

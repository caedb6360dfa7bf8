//! Who waits for which reply.

use super::{Letter, Reply, RequestError, mailbox::Mailbox};
use bus_core::{Error, ErrorKind};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::mpsc;

/// Requests of one bus that wait at the same time, at most.
const MOST: usize = 10_000;
/// Requests that are over and remembered, so that a late reply is told from a second one.
const REMEMBERED: usize = 1_024;

/// What became of replies that nobody waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strays {
    /// They came after their request had been given up, or belong to none that is remembered.
    pub late: u64,
    /// Their request had all its replies.
    pub duplicate: u64,
}

#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    waiters: HashMap<String, Waiter>,
    /// Whether each was answered.
    over: HashMap<String, bool>,
    order: VecDeque<String>,
    strays: Strays,
    /// Nobody reads replies any more.
    closed: bool,
}

#[derive(Debug)]
struct Waiter {
    replies: mpsc::UnboundedSender<Reply>,
    left: usize,
}

impl Waiting {
    /// Waits for so many replies, until they are here or what is returned is dropped.
    pub(super) fn expect(self: &Arc<Self>, id: &str, replies: usize) -> Result<Expected, RequestError> {
        let mut state = self.lock();
        if state.closed {
            return Err(Error::closed("the inbox of replies").into());
        }
        if state.waiters.len() >= MOST {
            let text = format!("{MOST} requests wait for their replies: try again when some have come");
            return Err(Error::new(ErrorKind::Unavailable, text).into());
        }
        if state.waiters.contains_key(id) {
            let text =
                format!("a request with the correlation id `{id}` waits already: give this one another");
            return Err(RequestError::invalid(text));
        }
        let (sender, receiver) = mpsc::unbounded_channel();
        let waiter = Waiter {
            replies: sender,
            left: replies.max(1),
        };
        state.waiters.insert(id.to_owned(), waiter);
        Ok(Expected {
            waiting: self.clone(),
            id: id.to_owned(),
            replies: receiver,
        })
    }
    /// Gives a reply to whoever waits for it, or to the mailbox if nobody ever did, or counts it.
    pub(super) fn deliver(&self, id: &str, reply: Reply, mailbox: Option<&Mailbox>) {
        let mut state = self.lock();
        let Some(waiter) = state.waiters.get_mut(id) else {
            return match state.over.get(id) {
                Some(true) => state.strays.duplicate += 1,
                Some(false) => state.strays.late += 1,
                None => match mailbox {
                    Some(mailbox) => mailbox.put(Letter::reply(&reply)),
                    None => state.strays.late += 1,
                },
            };
        };
        waiter.left -= 1;
        let is_last = waiter.left == 0;
        let _ = waiter.replies.send(reply);
        if is_last {
            state.waiters.remove(id);
            state.remember(id, true);
        }
    }
    /// Nothing will be delivered any more: who waits is told, and so is who comes.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.waiters.clear();
    }
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }
    pub(super) fn strays(&self) -> Strays {
        self.lock().strays
    }
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remember(&mut self, id: &str, answered: bool) {
        if self.over.insert(id.to_owned(), answered).is_some() {
            return;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.over.remove(&oldest);
        }
    }
}

/// Replies that are waited for.
#[derive(Debug)]
pub(super) struct Expected {
    waiting: Arc<Waiting>,
    id: String,
    replies: mpsc::UnboundedReceiver<Reply>,
}

impl Expected {
    /// The next one; `None` when there will be no more.
    pub(super) async fn next(&mut self) -> Option<Reply> {
        self.replies.recv().await
    }
}

/// Whoever does not wait any more leaves nothing behind.
impl Drop for Expected {
    fn drop(&mut self) {
        let mut state = self.waiting.lock();
        if state.waiters.remove(&self.id).is_some() {
            state.remember(&self.id, false);
        }
    }
}

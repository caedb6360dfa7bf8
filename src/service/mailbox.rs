//! What came for a service and waits until somebody takes it.

use super::Letter;
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

/// Replies that are kept for who takes them by hand; beyond that the oldest is given up.
const MOST: usize = 1_024;
/// How long such a reply is kept.
const KEPT: Duration = Duration::from_secs(300);

/// Events are bounded by what the subscription has in flight, replies by number and age.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    letters: VecDeque<(Instant, Letter)>,
    replies: usize,
    /// Ids that somebody waits for: nobody else gets what has one.
    wanted: HashMap<String, usize>,
    given_up: u64,
    closed: bool,
}

impl Mailbox {
    pub(super) fn put(&self, letter: Letter) {
        let mut state = self.lock();
        if state.closed {
            drop(state);
            return letter.put_back();
        }
        state.replies += usize::from(letter.is_reply());
        state.letters.push_back((Instant::now(), letter));
        // The rest is for those who look: here it would be a walk over all letters for each that comes.
        state.bound();
        drop(state);
        self.changed.notify_waiters();
    }
    /// Gives back every event, which nobody has tried, and those that are on their way here. The subscription is paused.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.replies = 0;
        let letters = std::mem::take(&mut state.letters);
        drop(state);
        letters.into_iter().for_each(|(_, letter)| letter.put_back());
    }
    /// A partition was lost: its events are let go, which makes room for others.
    pub(super) fn let_go(&self) {
        self.lock().give_up();
    }
    /// Replies that were given up because nobody took them.
    pub(super) fn given_up(&self) -> u64 {
        let mut state = self.lock();
        state.give_up();
        state.given_up
    }
    /// The oldest one that nobody waits for; waits for one until then.
    pub(super) async fn next(&self, until: Option<Instant>) -> Option<Letter> {
        self.wait(until, |state| {
            let free = |(_, letter): &(Instant, Letter)| !state.wanted.contains_key(letter.id());
            let at = state.letters.iter().position(free)?;
            state.remove(at)
        })
        .await
    }
    /// The one with this id; waits for it until then.
    pub(super) async fn take(&self, id: &str, until: Instant) -> Option<Letter> {
        let _wanted = Wanted::new(self, id);
        self.wait(Some(until), |state| {
            let at = state.letters.iter().position(|(_, letter)| letter.id() == id)?;
            state.remove(at)
        })
        .await
    }
    /// All that nobody waits for, by id; of one id the oldest.
    pub(super) fn drain(&self) -> BTreeMap<String, Letter> {
        let mut state = self.lock();
        state.give_up();
        let (mut drained, mut left) = (BTreeMap::new(), VecDeque::new());
        for (came, letter) in std::mem::take(&mut state.letters) {
            if state.wanted.contains_key(letter.id()) || drained.contains_key(letter.id()) {
                left.push_back((came, letter));
            } else {
                state.replies -= usize::from(letter.is_reply());
                drained.insert(letter.id().to_owned(), letter);
            }
        }
        state.letters = left;
        drained
    }
    async fn wait(
        &self,
        until: Option<Instant>,
        mut look: impl FnMut(&mut State) -> Option<Letter>,
    ) -> Option<Letter> {
        // Once: events that are lost later are let go by who hears of it.
        self.lock().give_up();
        loop {
            let changed = self.changed.notified();
            let found = look(&mut self.lock());
            if found.is_some() {
                return found;
            }
            match until {
                None => changed.await,
                Some(until) => timeout_at(until, changed).await.ok()?,
            }
        }
    }
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remove(&mut self, at: usize) -> Option<Letter> {
        let (_, letter) = self.letters.remove(at)?;
        self.replies -= usize::from(letter.is_reply());
        Some(letter)
    }
    /// Events are given up only once they are another member's: until then they are not settled. Replies by their age.
    fn give_up(&mut self) {
        let (now, mut old) = (Instant::now(), 0);
        self.letters.retain(|(came, letter)| {
            let is_old = letter.is_reply() && now.duration_since(*came) > KEPT;
            old += usize::from(is_old);
            !is_old && !letter.is_lost()
        });
        self.replies -= old;
        self.given_up += old as u64;
    }
    /// Replies are given up by their number, the oldest first.
    fn bound(&mut self) {
        while self.replies > MOST
            && let Some(at) = self.letters.iter().position(|(_, letter)| letter.is_reply())
        {
            self.remove(at);
            self.given_up += 1;
        }
    }
}

/// Somebody waits for an id.
struct Wanted<'a> {
    mailbox: &'a Mailbox,
    id: &'a str,
}

impl<'a> Wanted<'a> {
    fn new(mailbox: &'a Mailbox, id: &'a str) -> Self {
        *mailbox.lock().wanted.entry(id.to_owned()).or_default() += 1;
        Self { mailbox, id }
    }
}

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        let mut state = self.mailbox.lock();
        if let Some(count) = state.wanted.get_mut(self.id) {
            *count -= 1;
            if *count == 0 {
                state.wanted.remove(self.id);
            }
        }
        drop(state);
        // What came meanwhile is anybody's again.
        self.mailbox.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bus;
    use bus_core::{Raw, Topic};

    #[tokio::test(start_paused = true)]
    async fn replies_are_given_up_by_number_and_by_age() {
        let bus = Bus::connect("memory://").await.unwrap().create_topics(true);
        bus.publish_bytes("t", "reply").await.unwrap();
        let topic: Topic<bus_core::Bytes, Raw> = Topic::new("t");
        let mut events = bus.subscribe(&topic, "g").await.unwrap();
        let delivery = events.next().await.unwrap().unwrap();
        let reply = super::super::Reply::new(delivery.record().clone());
        delivery.ack();
        let mailbox = Mailbox::default();
        for _ in 0..=MOST {
            mailbox.put(Letter::reply(&reply));
        }
        assert_eq!((mailbox.given_up(), mailbox.lock().letters.len()), (1, MOST));
        tokio::time::advance(KEPT + Duration::from_secs(1)).await;
        mailbox.put(Letter::reply(&reply));
        // The newest came in the place of one that is old.
        assert_eq!((mailbox.given_up(), mailbox.lock().replies), (MOST as u64 + 1, 1));
        assert!(mailbox.next(None).await.is_some());
        assert!(mailbox.drain().is_empty());
        assert_eq!(mailbox.lock().replies, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_once_it_is_closed_is_given_back_untried() {
        const T: Topic<bus_core::Bytes, Raw> = Topic::new("t");
        let bus = Bus::connect("memory://").await.unwrap().create_topics(true);
        bus.publish_bytes("t", "late").await.unwrap();
        let mut events = bus.subscribe(&T, "g").await.unwrap();
        let delivery = events.next().await.unwrap().unwrap();
        let mailbox = Mailbox::default();
        mailbox.close();
        mailbox.put(Letter::event(delivery.record().clone(), delivery));
        let again = events.next();
        let again = tokio::time::timeout(Duration::from_secs(30), again).await;
        let again = again.expect("it is given back").unwrap().unwrap();
        assert_eq!((again.attempt(), mailbox.lock().letters.len()), (1, 0));
    }
}

//! One topic's delays: what is known of it, and what waits for that, in call order.

use super::{SUFFIX, layout::Layout};
use crate::{Error, Message, Name, Pending, Result, topic::check_name};
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
};
use tokio::sync::oneshot;

/// What may wait for an answer: the same as what may be on its way to the broker.
const MESSAGES: usize = crate::gate::MESSAGES;
const BYTES: usize = crate::gate::BYTES;

#[derive(Debug)]
pub(super) struct Line {
    pub(super) topic: Name,
    /// The topic of its delays, which is the name of the mover's group too.
    pub(super) delays: Name,
    state: Mutex<State>,
    moving: AtomicBool,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Unknown,
    /// Somebody asks; these wait for the answer.
    Asking(VecDeque<Waiter>, usize, usize),
    Known(Layout),
}

/// What waits for an answer.
#[derive(Debug)]
pub(super) enum Waiter {
    /// Messages, and who waits for their outcomes.
    Batch(Vec<Message>, oneshot::Sender<Pending>),
    /// Whoever wants to know.
    Question(oneshot::Sender<Result<Layout>>),
}

/// What becomes of a batch or a question.
#[derive(Debug)]
pub(super) enum Turn<T> {
    /// It is known.
    Now(T, Layout),
    /// Wait for this; `true`: the caller has to see to it that somebody asks.
    Wait(bool),
    /// There is no room.
    Full,
}

impl Line {
    /// # Errors
    /// `Invalid`: no message can wait for this topic.
    pub(super) fn new(topic: &str) -> Result<Self> {
        if topic.ends_with(SUFFIX) {
            let text = format!("`{topic}` holds delayed messages itself: publish to the topic they are for");
            return Err(Error::invalid(text));
        }
        let delays = format!("{topic}{SUFFIX}");
        check_name(&delays).map_err(|e| e.context("the topic for delayed messages"))?;
        Ok(Self {
            topic: topic.into(),
            delays: delays.into(),
            state: Mutex::default(),
            moving: AtomicBool::new(false),
        })
    }
    /// Takes a batch: its turn is now, or it waits in call order. It is given back where it does not wait.
    pub(super) fn take(
        &self,
        batch: Vec<Message>,
        reply: &mut Option<oneshot::Receiver<Pending>>,
    ) -> Turn<Vec<Message>> {
        let mut state = self.state.lock();
        let highest = batch.iter().filter_map(|m| m.partition).max();
        match &mut *state {
            State::Known(layout) if layout.is_fresh() && highest.is_none_or(|p| p < layout.partitions) => {
                Turn::Now(batch, *layout)
            }
            State::Asking(waiting, messages, bytes) => {
                let size: usize = batch.iter().map(Message::size).sum();
                if *messages > 0 && (*messages + batch.len() > MESSAGES || *bytes + size > BYTES) {
                    return Turn::Full;
                }
                (*messages, *bytes) = (*messages + batch.len(), *bytes + size);
                let (send, receive) = oneshot::channel();
                *reply = Some(receive);
                waiting.push_back(Waiter::Batch(batch, send));
                Turn::Wait(false)
            }
            State::Unknown | State::Known(_) => {
                let (send, receive) = oneshot::channel();
                *reply = Some(receive);
                let (messages, bytes) = (batch.len(), batch.iter().map(Message::size).sum());
                *state = State::Asking([Waiter::Batch(batch, send)].into(), messages, bytes);
                Turn::Wait(true)
            }
        }
    }
    /// What is known, and not too old.
    pub(super) fn known(&self) -> Option<Layout> {
        match &*self.state.lock() {
            State::Known(layout) if layout.is_fresh() => Some(*layout),
            _ => None,
        }
    }
    /// What is known, or will be.
    pub(super) fn question(&self) -> (Turn<()>, Option<oneshot::Receiver<Result<Layout>>>) {
        let mut state = self.state.lock();
        if let State::Known(layout) = &*state
            && layout.is_fresh()
        {
            return (Turn::Now((), *layout), None);
        }
        let (send, receive) = oneshot::channel();
        let question = Waiter::Question(send);
        let ask = match &mut *state {
            State::Asking(waiting, ..) => {
                waiting.push_back(question);
                false
            }
            _ => {
                *state = State::Asking([question].into(), 0, 0);
                true
            }
        };
        (Turn::Wait(ask), Some(receive))
    }
    /// The next that waits for this answer. After the last one the answer is what is known; what comes in between waits,
    /// so that call order stays.
    pub(super) fn answered(&self, answer: &Result<Layout>) -> Option<Waiter> {
        let mut state = self.state.lock();
        let next = match &mut *state {
            State::Asking(waiting, ..) => waiting.pop_front(),
            _ => None,
        };
        if next.is_none() {
            *state = match answer {
                Ok(layout) => State::Known(*layout),
                Err(_) => State::Unknown,
            };
        }
        next
    }
    /// What is known is wrong.
    pub(super) fn forget(&self) {
        let mut state = self.state.lock();
        if let State::Known(_) = &*state {
            *state = State::Unknown;
        }
    }
    /// True for who is to start a mover.
    pub(super) fn begins_to_move(&self) -> bool {
        !self.moving.swap(true, SeqCst)
    }
    pub(super) fn is_moving(&self) -> bool {
        self.moving.load(SeqCst)
    }
    /// Its mover is gone.
    pub(super) fn stopped_moving(&self) {
        self.moving.store(false, SeqCst);
    }
    /// Why a message for a partition that is not there is refused.
    pub(super) fn no_partition(&self, partition: u32, layout: &Layout) -> Error {
        let (topic, count) = (&self.topic, layout.partitions);
        Error::invalid(format!(
            "topic `{topic}` has no partition {partition}; it has {count}, from 0"
        ))
    }
}

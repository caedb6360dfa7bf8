//! The first message to a partition goes alone.
//!
//! A broker that has seen nothing of a producer in a partition accepts any sequence number, and a fresh partition's
//! leader may refuse one request and take the next. So if two requests are under way, the second may be stored first;
//! the first is then sent again, is taken for a duplicate by its lower number, and counts as stored although it is
//! not. Once a broker knows the producer it keeps the order, so only the first message has to be waited for.

use crate::native::Delivery;
use std::{collections::VecDeque, sync::Arc};

/// Brokers forget a producer that was idle for long (a day by default); well before that it is new again. Seconds.
const FORGOTTEN: u64 = 3_600;

/// One gate for each partition of a topic.
#[derive(Default)]
pub(super) struct Gates(Vec<Gate>);

#[derive(Default)]
struct Gate {
    state: State,
    /// When something last went through, in seconds.
    used: u64,
    /// What waits behind the first message, in order.
    held: VecDeque<Held>,
}

/// A message that was taken and not given to librdkafka yet.
pub(super) type Held = (Arc<Delivery>, usize);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    New,
    /// The first message is under way.
    Probing,
    /// It was stored; what waited can go as soon as there is room.
    Ready,
    Open,
}

/// What a gate says to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// Go, as the first.
    First,
    Go,
    Wait,
}

impl Gates {
    fn of(&mut self, partition: u32) -> &mut Gate {
        let at = partition as usize;
        if self.0.len() <= at {
            self.0.resize_with(at + 1, Gate::default);
        }
        &mut self.0[at]
    }

    pub(super) fn pass(&mut self, partition: u32, now: u64) -> Pass {
        let gate = self.of(partition);
        if gate.state == State::Open && now > gate.used + FORGOTTEN {
            gate.state = State::New;
        }
        gate.used = now;
        match gate.state {
            State::New => {
                gate.state = State::Probing;
                Pass::First
            }
            State::Open => Pass::Go,
            State::Probing | State::Ready => Pass::Wait,
        }
    }
    pub(super) fn hold(&mut self, partition: u32, message: Held) {
        self.of(partition).held.push_back(message);
    }
    /// The first message did not even go.
    pub(super) fn not_gone(&mut self, partition: u32) {
        let gate = self.of(partition);
        if gate.state == State::Probing {
            gate.state = State::New;
        }
    }
    /// The first message was stored.
    pub(super) fn stored(&mut self, partition: u32) {
        let gate = self.of(partition);
        if gate.state == State::Probing {
            gate.state = State::Ready;
        }
    }
    /// The first message failed: what waited behind it fails too, and the next one is the first.
    pub(super) fn failed(&mut self, partition: u32) -> VecDeque<Held> {
        let gate = self.of(partition);
        if gate.state != State::Probing {
            return VecDeque::new();
        }
        gate.state = State::New;
        std::mem::take(&mut gate.held)
    }
    /// Gives what waits while `give` takes it; a gate that nothing waits at any more is open.
    pub(super) fn open(&mut self, mut give: impl FnMut(u32, &Held) -> bool) {
        for (partition, gate) in self.0.iter_mut().enumerate() {
            if gate.state != State::Ready {
                continue;
            }
            while let Some(message) = gate.held.front() {
                if !give(partition as u32, message) {
                    break;
                }
                gate.held.pop_front();
            }
            if gate.held.is_empty() {
                gate.state = State::Open;
            }
        }
    }
    /// Whether reports are waited for, or room.
    pub(super) fn is_waiting(&self) -> bool {
        self.0
            .iter()
            .any(|g| matches!(g.state, State::Probing | State::Ready))
    }
    /// The topic was made anew: its brokers know nothing of this producer.
    pub(super) fn forget(&mut self) {
        for gate in &mut self.0 {
            if gate.state == State::Open {
                gate.state = State::New;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_first_and_the_rest_when_it_is_stored() {
        let mut gates = Gates::default();
        assert_eq!(gates.pass(3, 0), Pass::First);
        assert_eq!(gates.pass(3, 0), Pass::Wait);
        assert_eq!(
            gates.pass(1, 0),
            Pass::First,
            "partitions do not wait for each other"
        );
        gates.stored(3);
        assert_eq!(gates.pass(3, 1), Pass::Wait, "not before what waits");
        gates.open(|_, _| true);
        assert_eq!(gates.pass(3, 1), Pass::Go);
        assert_eq!(gates.pass(3, 1 + FORGOTTEN), Pass::Go);
        assert!(gates.is_waiting(), "partition 1");
        assert!(gates.failed(1).is_empty());
        assert!(!gates.is_waiting());
        assert_eq!(
            gates.pass(3, 2 + 2 * FORGOTTEN),
            Pass::First,
            "forgotten by the broker"
        );
        gates.stored(3);
        gates.open(|_, _| true);
        gates.forget();
        assert_eq!(gates.pass(3, 0), Pass::First);
    }
}

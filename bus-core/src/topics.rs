//! The topics of one subscription by their number: a list that only grows, so that a delivery can borrow a name from it.

use crate::{Name, flow::DeadLetter};
use std::{fmt, sync::OnceLock};

/// One topic of a subscription.
#[derive(Clone, Debug)]
pub(crate) struct Subscribed {
    pub(crate) name: Name,
    /// Where its messages go that were given up.
    pub(crate) dead_letter: Option<DeadLetter>,
}

/// Grows by blocks of twice the size, which never move: reading takes no lock.
pub(crate) struct Topics([OnceLock<Box<[OnceLock<Subscribed>]>>; 32]);

impl Topics {
    pub(crate) fn new(topics: impl IntoIterator<Item = Subscribed>) -> Self {
        let this = Self([const { OnceLock::new() }; 32]);
        for (number, topic) in topics.into_iter().enumerate() {
            this.set(number as u32, topic);
        }
        this
    }
    /// The first topic that is given this number keeps it.
    pub(crate) fn set(&self, number: u32, topic: Subscribed) {
        let (block, at) = place(number);
        let block = self.0[block].get_or_init(|| (0..1usize << block).map(|_| OnceLock::new()).collect());
        let _ = block[at].set(topic);
    }
    pub(crate) fn get(&self, number: u32) -> Option<&Subscribed> {
        let (block, at) = place(number);
        self.0[block].get()?[at].get()
    }
    /// Its name; empty for a number that nothing has.
    pub(crate) fn name(&self, number: u32) -> &str {
        self.get(number).map_or("", |topic| &topic.name)
    }
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Subscribed> + '_ {
        (0..).map_while(|number| self.get(number))
    }
    /// The number of a topic.
    pub(crate) fn number(&self, name: &str) -> Option<u32> {
        self.iter()
            .position(|topic| &*topic.name == name)
            .map(|n| n as u32)
    }
}

/// Block and place in it: block `b` holds `2^b` topics, from number `2^b - 1` on.
fn place(number: u32) -> (usize, usize) {
    let from_one = u64::from(number) + 1;
    let block = from_one.ilog2() as usize;
    (block.min(31), (from_one - (1 << block)) as usize)
}

impl fmt::Debug for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|topic| &topic.name))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_topics() {
        let topic = |n: u32| Subscribed {
            name: format!("t{n}").into(),
            dead_letter: None,
        };
        let topics = Topics::new((0..3).map(topic));
        let borrowed = topics.name(2);
        (3..100).for_each(|n| topics.set(n, topic(n)));
        topics.set(2, topic(7));
        assert_eq!((borrowed, topics.name(2), topics.name(100)), ("t2", "t2", ""));
        assert_eq!((topics.number("t99"), topics.number("t100")), (Some(99), None));
        assert_eq!(topics.iter().count(), 100);
    }
}

//! What becomes of one dead letter.

use super::{
    DeadLetter, DeadLetters,
    marks::{ORIGIN_ID, REPLAY_FOR, REPLAYS, TOLD},
};
use crate::{Error, Message, Name, Record, Result};

/// Replays after which a dead letter is parked: what failed in four rounds fails for a reason that time does not heal.
pub(super) const REPLAYS_AT_MOST: u32 = 3;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    PutBack,
    Park,
}

/// What becomes of one.
#[derive(Debug)]
pub(super) enum Fate {
    /// It goes back.
    Back(Message),
    /// It was put back too often, or is to be parked.
    Park(Message),
    /// It stays: nobody knows where to, or it would not fit.
    Stay(Error),
}

/// Decides, the same for the same record each time.
#[derive(Debug)]
pub(super) struct Judge {
    action: Action,
    /// Where to, and how many partitions that has.
    pub(super) target: Name,
    partitions: u32,
    /// The target is not where they came from.
    elsewhere: bool,
    /// Who else must not handle it again: `None`, nobody.
    only_for: Option<String>,
    /// What was replayed so often is parked.
    guard: u32,
    limit: usize,
}

impl Judge {
    /// # Errors
    /// `TopicMissing`: there is nowhere to put them back to. `GroupMissing`: nobody for whom. `Invalid`: into themselves.
    pub(super) async fn new(
        letters: &DeadLetters,
        action: Action,
        into: Option<Name>,
        every_group: bool,
    ) -> Result<Self> {
        if action == Action::Park && letters.parked {
            return Err(Error::invalid("what is parked cannot be parked"));
        }
        let elsewhere = into.is_some();
        let target = into.unwrap_or_else(|| letters.topic.clone());
        if target == letters.stored_in() || target == letters.parking() {
            let text = format!("`{target}` holds dead letters itself: replay into another topic");
            return Err(Error::invalid(text));
        }
        let mut partitions = 0;
        if action == Action::PutBack {
            partitions = letters.partitions(&target).await?;
            if !elsewhere && !every_group {
                letters.has_a_reader().await?;
            }
        }
        Ok(Self {
            action,
            only_for: (!elsewhere && !every_group).then(|| format!("{target}/{}", letters.group)),
            target,
            partitions,
            elsewhere,
            guard: if letters.parked { u32::MAX } else { REPLAYS_AT_MOST },
            limit: letters.bus.backend().limits().message,
        })
    }
    pub(super) fn of(&self, letter: &DeadLetter, record: &Record) -> Fate {
        if self.action == Action::Park || letter.replays >= self.guard {
            return Fate::Park(record.to_message().to_partition(letter.partition));
        }
        if !self.elsewhere && letter.origin.is_none() {
            return Fate::Stay(Error::invalid(format!(
                "dead letter `{}` does not say where it came from: replay it into a topic that you name, or park it",
                letter.id
            )));
        }
        let message = self.put_back(letter, record);
        match message.size() > self.limit {
            // Without its count it could come round for ever.
            true => Fate::Stay(Error::too_large(&self.target, message.size(), self.limit)),
            false => Fate::Back(message),
        }
    }
    /// The message as it was given up, its id and the count of its replays with it.
    fn put_back(&self, letter: &DeadLetter, record: &Record) -> Message {
        let mut message = record.to_message();
        let headers = &mut message.headers;
        TOLD.into_iter().for_each(|name| headers.remove(name));
        if let (false, Some(origin)) = (headers.contains(ORIGIN_ID), &letter.origin) {
            headers.push(ORIGIN_ID, origin.id());
        }
        headers.set(REPLAYS, (letter.replays + 1).to_string());
        headers.remove(REPLAY_FOR);
        if let Some(whom) = &self.only_for {
            headers.push(REPLAY_FOR, whom.clone());
        }
        let partition = letter.origin.as_ref().map(|origin| origin.partition);
        message.partition = partition.filter(|partition| !self.elsewhere && *partition < self.partitions);
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BatchBuilder, flow};
    use std::sync::Arc;

    const JUDGE: fn(Action, u32) -> Judge = |action, guard| Judge {
        action,
        target: "t".into(),
        partitions: 4,
        elsewhere: false,
        only_for: Some("t/g".to_owned()),
        guard,
        limit: 1_000,
    };

    fn record(position: u128, message: &Message) -> Record {
        let mut batch = BatchBuilder::default();
        let (key, payload) = (message.key.as_deref(), message.payload.as_deref());
        batch.push(position, 99, key, payload, message.headers.iter());
        Record::new(Arc::new(batch.finish()), 0)
    }

    fn given_up(message: &Message, position: u128) -> Record {
        let to = flow::DeadLetter {
            topic: "t.g.dlq".into(),
            partitions: 4,
            by_reason: Vec::new(),
        };
        let why = flow::divert::Reason {
            reason: "rejected",
            error: "no",
            attempts: 1,
            group: "g",
            topic: "t",
            partition: 2,
            time: 5,
        };
        record(
            0,
            &flow::divert::dead_letter(&to, &record(position, message), &why, 1_000).1,
        )
    }

    fn judged(judge: &Judge, letter: &Record) -> Fate {
        judge.of(&DeadLetter::read("t.g.dlq", 2, letter), letter)
    }

    #[test]
    fn it_comes_round_three_times_with_its_bytes_and_its_id() {
        let judge = JUDGE(Action::PutBack, REPLAYS_AT_MOST);
        let mut sent = Message::new(&b"\xff"[..])
            .keyed("")
            .header("a", "1")
            .timestamp(99);
        sent.headers.push_null("a");
        let mut message = sent.clone();
        for round in 1..=3u32 {
            let Fate::Back(back) = judged(&judge, &given_up(&message, 70 + u128::from(round))) else {
                panic!("round {round}")
            };
            let expected = sent
                .clone()
                .header(ORIGIN_ID, "t/2/71")
                .header(REPLAYS, round.to_string())
                .header(REPLAY_FOR, "t/g")
                .to_partition(2);
            assert_eq!(back, expected);
            message = back;
        }
        let letter = given_up(&message, 99);
        let Fate::Park(parked) = judged(&judge, &letter) else {
            panic!("not parked")
        };
        assert_eq!(parked, letter.to_message().to_partition(2));
        assert!(matches!(
            judged(&JUDGE(Action::PutBack, u32::MAX), &letter),
            Fate::Back(_)
        ));
    }

    #[test]
    fn what_cannot_go_back_stays_and_says_why() {
        let foreign = record(0, &Message::new("x"));
        let Fate::Stay(error) = judged(&JUDGE(Action::PutBack, 3), &foreign) else {
            panic!("moved")
        };
        assert!(error.to_string().contains("t.g.dlq/2/0"), "{error}");
        assert!(matches!(judged(&JUDGE(Action::Park, 3), &foreign), Fate::Park(_)));
        let elsewhere = Judge {
            elsewhere: true,
            only_for: None,
            ..JUDGE(Action::PutBack, 3)
        };
        let Fate::Back(back) = judged(&elsewhere, &foreign) else {
            panic!("stays")
        };
        assert_eq!(back, Message::new("x").header(REPLAYS, "1").timestamp(99));
        // There was just room for where it came from, and there is none for its count.
        let close = Message::new(vec![b'x'; 880]);
        let fate = judged(
            &Judge {
                limit: 900,
                ..JUDGE(Action::PutBack, 3)
            },
            &given_up(&close, 7),
        );
        assert!(matches!(fate, Fate::Stay(error) if error.kind() == crate::ErrorKind::TooLarge));
    }
}

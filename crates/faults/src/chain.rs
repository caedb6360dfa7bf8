//! A chain of topics: what comes into one goes, handled, into the next.

use crate::{
    actor::{Consume, Produce, Role},
    observer::{self, Logged},
    stage::{PARTITIONS, Stage},
    test::Numbers,
};
use bus::TopicSpec;
use bus_core::conformance::{
    Failure, Id, Place,
    checkers::{Sent, Told, log_holds},
};
use std::collections::HashSet;

/// Three topics with two groups between them; the second group writes each message to two topics, so that half a
/// transaction would show.
#[derive(Debug)]
pub(crate) struct Chain {
    exactly_once: bool,
}

const TOPICS: [&str; 3] = ["orders", "invoices", "payments"];
const AUDIT: &str = "audit";
const GROUPS: [&str; 2] = ["billing", "paying"];
/// Members of each group.
const MEMBERS: usize = 2;

impl Chain {
    /// Makes the topics; the stage's own is the first.
    pub(crate) async fn open(stage: &mut Stage<'_>, exactly_once: bool) -> Result<Self, Failure> {
        let specs = TOPICS[1..]
            .iter()
            .chain([&AUDIT])
            .map(|t| TopicSpec::new(*t).partitions(PARTITIONS));
        stage.bus.ensure_topics(specs).await?;
        stage.hops = TOPICS
            .iter()
            .zip(GROUPS)
            .map(|(t, g)| ((*t).to_owned(), g.to_owned()))
            .collect();
        Ok(Self { exactly_once })
    }
    /// Two members of each group, two publishers of this rate together, who end after so many messages.
    pub(crate) async fn cast(
        &self,
        stage: &mut Stage<'_>,
        rate: u32,
        count: Option<u64>,
    ) -> Result<(), Failure> {
        for hop in 0..GROUPS.len() {
            for _ in 0..MEMBERS {
                self.join(stage, hop)?;
            }
        }
        stage.all_own().await?;
        for _ in 0..2 {
            let role = Produce {
                rate: rate / 2,
                count: count.map(|n| n / 2),
                ..Produce::new(TOPICS[0], PARTITIONS)
            };
            stage.publish_as(role)?;
        }
        Ok(())
    }
    fn join(&self, stage: &mut Stage<'_>, hop: usize) -> Result<u32, Failure> {
        let mut into = vec![TOPICS[hop + 1].to_owned()];
        if hop + 1 == GROUPS.len() {
            into.push(AUDIT.to_owned());
        }
        let role = Consume {
            into,
            exactly_once: self.exactly_once,
            ..Consume::new(TOPICS[hop], GROUPS[hop])
        };
        stage.start(Role::Consume(role))
    }
    /// Any member of any group.
    pub(crate) fn any(&self, stage: &Stage<'_>) -> u32 {
        let members = stage.members();
        members[stage.test.random(0..=members.len() as u64 - 1) as usize]
    }
    fn hop_of(stage: &mut Stage<'_>, member: u32) -> usize {
        let topic = stage.actor(member).spec.topic().to_owned();
        TOPICS.iter().position(|t| *t == topic).unwrap_or(0)
    }
    /// Kills a member, or now and then a publisher, and starts another in its place.
    pub(crate) fn replace(&self, stage: &mut Stage<'_>) -> Result<(), Failure> {
        let publishers = stage.publishers();
        if !publishers.is_empty() && stage.test.random(0..=4) == 0 {
            let publisher = publishers[stage.test.random(0..=publishers.len() as u64 - 1) as usize];
            return stage.replace_a_publisher(publisher);
        }
        let member = self.any(stage);
        let hop = Self::hop_of(stage, member);
        stage.kill(member)?;
        self.join(stage, hop)?;
        Ok(())
    }
    /// One member leaves in order, and another joins.
    pub(crate) async fn leave_and_join(&self, stage: &mut Stage<'_>) -> Result<(), Failure> {
        let member = self.any(stage);
        let hop = Self::hop_of(stage, member);
        self.join(stage, hop)?;
        stage.end(vec![member]).await
    }
    /// Drains everything, checks the first topic and its group as always, and holds the others against it.
    pub(crate) async fn finish(&self, stage: &mut Stage<'_>) -> Result<Numbers, Failure> {
        let mut numbers = stage.finish().await?;
        let input = observer::log(&stage.bus, TOPICS[0]).await?;
        for name in TOPICS[1..].iter().chain([&AUDIT]) {
            let mut output = observer::log(&stage.bus, name).await?;
            let stored = output.len();
            if !self.exactly_once {
                let mut seen = HashSet::new();
                output.retain(|l| seen.insert(l.id.clone()));
            }
            equals(&input, &output).map_err(|f| f.context(format_args!("{name} against {}", TOPICS[0])))?;
            numbers.add(name, stored);
        }
        Ok(numbers)
    }
}

/// The output has every message of the input, once, each key in order and in its partition.
fn equals(input: &[Logged], output: &[Logged]) -> Result<(), Failure> {
    let sent = |l: &Logged| Sent {
        id: l.id.clone(),
        key: Some(crate::payload::key(&l.id).into()),
        told: Told::Stored,
    };
    let sent: Vec<_> = input.iter().map(sent).collect();
    let log: Vec<(Id, Place)> = output.iter().map(|l| (l.id.clone(), l.place)).collect();
    log_holds(&sent, &log)
}

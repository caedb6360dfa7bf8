//! What the topics and the group of a run are called.

use crate::{flight::Flight, logbook::Entry};
use bus::{Bus, Error, Result, Topic, dead_letter_topic};

/// Eight partitions: enough for four members, and for one of them to end.
pub(crate) const PARTITIONS: u32 = 8;

/// The names of a run, all after the topic of its flights.
#[derive(Clone, Debug)]
pub(crate) struct Names(pub(crate) String);

impl Names {
    pub(crate) fn flights(&self) -> Topic<Flight> {
        Topic::named(self.0.clone()).partitions(PARTITIONS)
    }
    pub(crate) fn logbook(&self) -> Topic<Entry> {
        Topic::named(format!("{}.logbook", self.0)).partitions(PARTITIONS)
    }
    pub(crate) fn group(&self) -> String {
        format!("{}.crew", self.0)
    }
    /// Makes the topics. Flights of an earlier run would be counted with those of this one.
    pub(crate) async fn create(&self, bus: &Bus) -> Result<()> {
        let (flights, logbook) = (self.flights(), self.logbook());
        let there = bus.admin().topics().await?;
        if there
            .iter()
            .any(|topic| [flights.name(), logbook.name()].contains(&&*topic.name))
        {
            let text = format!(
                "the topics of an earlier run are there: name others by `--topic`, or `bus topics delete {} {}`",
                flights.name(),
                logbook.name()
            );
            return Err(Error::invalid(text));
        }
        bus.ensure_topics([flights.spec(), logbook.spec()]).await?;
        Ok(())
    }
    /// Leaves nothing behind.
    pub(crate) async fn delete(&self, bus: &Bus) -> Result<()> {
        let admin = bus.admin();
        let letters = dead_letter_topic("{topic}.{group}.dlq", &self.0, &self.group())?;
        for topic in [self.flights().name(), self.logbook().name(), &letters] {
            admin.delete(topic).await?;
        }
        admin.delete_group(&self.group()).await
    }
}

//! Topics as an application defines them, and as they are.

use crate::{Bus, Name, Result, TopicSpec};
use std::{fmt, time::Duration};

/// How long creating topics is tried again while the broker cannot be reached.
const CREATE: Duration = Duration::from_secs(15);

/// What [`Bus::ensure_topics`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ensured {
    /// In what topics that were there already differ from what was asked for.
    pub differences: Vec<Difference>,
    /// Topics that got partitions ([`Bus::grow_topics`]).
    pub grown: Vec<Name>,
}

/// Something of a topic that is not as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The topic.
    pub topic: Name,
    /// Of what: `partitions`, `replication`, `retention`, `compact`.
    pub what: &'static str,
    /// What was asked for.
    pub asked: String,
    /// What there is.
    pub there: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            topic,
            what,
            asked,
            there,
        } = self;
        write!(
            f,
            "topic `{topic}`: {what} {asked} was asked for, there is {there}"
        )
    }
}

impl Bus {
    /// Creates what is missing of these topics and waits until it is usable. Nothing is changed or deleted: in what a topic
    /// that was there already differs (partitions and compaction, and copies and retention where something is said of them) is
    /// returned, and a line in the log each.
    ///
    /// ```
    /// # use bus_core::{Bus, Raw, Topic};
    /// # async fn ensured(bus: &Bus) -> bus_core::Result<()> {
    /// const ORDERS: Topic<String, Raw> = Topic::new("orders").partitions(8);
    /// let ensured = bus.ensure_topics([ORDERS.spec()]).await?;
    /// assert!(ensured.differences.is_empty(), "it was there, and made otherwise");
    /// # Ok(())
    /// # }
    /// ```
    /// # Errors
    /// `Invalid` for an illegal name or no partitions, before anything is created.
    pub async fn ensure_topics(&self, topics: impl IntoIterator<Item = TopicSpec>) -> Result<Ensured> {
        let topics: Vec<_> = topics.into_iter().collect();
        self.ensure(&topics, false).await
    }
    /// As [`ensure_topics`](Self::ensure_topics), and adds partitions where a topic has fewer than asked for. **Keys move** to
    /// other partitions: their order is void until the old ones are drained, and running members are told
    /// ([`Notice::PartitionsChanged`](crate::Notice::PartitionsChanged)).
    /// # Errors
    /// As there.
    pub async fn grow_topics(&self, topics: impl IntoIterator<Item = TopicSpec>) -> Result<Ensured> {
        let topics: Vec<_> = topics.into_iter().collect();
        self.ensure(&topics, true).await
    }
    async fn ensure(&self, topics: &[TopicSpec], grow: bool) -> Result<Ensured> {
        topics.iter().try_for_each(TopicSpec::check)?;
        let admin = self.admin();
        crate::again(CREATE, || admin.create(topics)).await?;
        let mut ensured = Ensured::default();
        for mut there in crate::again(CREATE, || admin.topics()).await? {
            let Some(asked) = topics.iter().find(|asked| asked.name == there.name) else {
                continue;
            };
            if grow && there.partitions < asked.partitions {
                crate::again(CREATE, || admin.grow(&asked.name, asked.partitions)).await?;
                there.partitions = asked.partitions;
                ensured.grown.push(asked.name.clone());
            }
            ensured.differences.extend(differences(asked, &there));
        }
        for difference in &ensured.differences {
            tracing::warn!(topic = &*difference.topic, "{difference}; it stays as it is");
        }
        Ok(ensured)
    }
    /// What a topic is made of.
    /// # Errors
    /// `TopicMissing`; what the backend says.
    pub async fn topic(&self, name: &str) -> Result<TopicSpec> {
        let topics = self.admin().topics().await?;
        let found = topics.into_iter().find(|topic| *topic.name == *name);
        found.ok_or_else(|| crate::Error::topic_missing(name))
    }
}

/// In what a topic is not as it was asked for; copies and retention that were left to the backend never differ.
fn differences(asked: &TopicSpec, there: &TopicSpec) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut compare = |what, asked_for: &dyn fmt::Debug, is: &dyn fmt::Debug, differs: bool| {
        if differs {
            found.push(Difference {
                topic: asked.name.clone(),
                what,
                asked: format!("{asked_for:?}"),
                there: format!("{is:?}"),
            });
        }
    };
    compare(
        "partitions",
        &asked.partitions,
        &there.partitions,
        asked.partitions != there.partitions,
    );
    if let (Some(one), Some(other)) = (asked.replication, there.replication) {
        compare("replication", &one, &other, one != other);
    }
    if let (Some(one), Some(other)) = (asked.retention, there.retention) {
        compare("retention", &one, &other, one != other);
    }
    compare(
        "compact",
        &asked.compact,
        &there.compact,
        asked.compact != there.compact,
    );
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_asked_for_differs() {
        let day = Duration::from_secs(86_400);
        let there = TopicSpec::new("t").partitions(4).replication(3).retention(day);
        let none = differences(&TopicSpec::new("t").partitions(4), &there);
        assert!(none.is_empty(), "{none:?}");
        let asked = TopicSpec::new("t")
            .partitions(8)
            .replication(1)
            .retention(2 * day)
            .compact(true);
        let said: Vec<_> = differences(&asked, &there)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            said,
            [
                "topic `t`: partitions 8 was asked for, there is 4",
                "topic `t`: replication 1 was asked for, there is 3",
                "topic `t`: retention 172800s was asked for, there is 86400s",
                "topic `t`: compact true was asked for, there is false",
            ]
        );
    }
}

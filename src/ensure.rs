//! Topics that services and applications make before they begin.

use bus_core::{Bus, Result, TopicSpec};

/// Only named: it says nothing of how the topic is made.
pub(crate) fn is_bare(topic: &TopicSpec) -> bool {
    *topic == TopicSpec::new(topic.name.clone())
}

/// As [`Bus::ensure_topics`], and of a topic that is only named, and is there, nothing was asked that it could differ in.
pub(crate) async fn missing(bus: &Bus, mut topics: Vec<TopicSpec>) -> Result<()> {
    // A broker that does not answer is asked again by what follows.
    if topics.iter().any(is_bare)
        && let Ok(there) = bus.admin().topics().await
    {
        topics.retain(|topic| !is_bare(topic) || there.iter().all(|one| one.name != topic.name));
    }
    if !topics.is_empty() {
        bus.ensure_topics(topics).await?;
    }
    Ok(())
}

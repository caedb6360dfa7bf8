//! The names of topics and groups: those of a run may end with something of its own.

use bus::{Bus, Raw, Result, Start, Topic};
use std::sync::OnceLock;

static SUFFIX: OnceLock<String> = OnceLock::new();

pub(crate) fn end_with(suffix: &str) {
    let _ = SUFFIX.set(suffix.to_owned());
}

pub(crate) fn name(name: &str) -> String {
    format!("{name}{}", SUFFIX.get().map_or("", String::as_str))
}

/// A topic of JSON.
pub(crate) fn topic<T>(called: &str) -> Topic<T> {
    Topic::named(name(called))
}

/// Everything that a topic holds, as text.
pub(crate) async fn stored(bus: &Bus, topic: &str) -> Result<Vec<String>> {
    let topic: Topic<String, Raw> = Topic::named(topic);
    let mut reading = bus
        .observe(&topic)
        .start(Start::Earliest)
        .until(Start::Latest)
        .await?;
    let mut all = Vec::new();
    while let Some(one) = reading.next().await.transpose()? {
        all.push(one.value().clone());
        one.ack();
    }
    Ok(all)
}

//! What is known of a topic and its topic of delays, asked of the backend and believed for a while.

use super::tiers::TIERS;
use crate::{Admin, Error, ErrorKind, Result, Start, TopicSpec, again};
use std::time::Duration;
use tokio::time::Instant;

/// How long asking and creating are tried again while the broker cannot be reached: as long as elsewhere in the core.
const ASK: Duration = Duration::from_secs(15);
/// How long it is believed: so long a topic that was deleted is not missed at a publish.
const FRESH: Duration = Duration::from_secs(30);
/// How long delays are kept: 36 hours in a tier at most, and more than five days in which no mover runs.
const RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);

/// Partitions of a topic and of its topic of delays.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) partitions: u32,
    pub(super) tiers: u32,
    asked: Instant,
}

impl Layout {
    /// Asks, and creates the topic of delays where that is missing and may be.
    /// # Errors
    /// `TopicMissing`: the topic, or that of its delays, which the error says how to create.
    pub(super) async fn ask(admin: &dyn Admin, topic: &str, delays: &str, create: bool) -> Result<Self> {
        let asked = Instant::now();
        let known = again(ASK, || admin.topics()).await?;
        let find = |name: &str| known.iter().find(|t| &*t.name == name);
        let partitions = match find(topic) {
            Some(topic) => topic.partitions,
            None => count(admin, topic).await?,
        };
        let tiers = match find(delays) {
            Some(there) => there.partitions,
            None => {
                let how = || format!("create it with `bus topics create {delays} --partitions {TIERS}`");
                if !create {
                    let text = format!("topic `{delays}`, where messages wait, does not exist; {}", how());
                    return Err(Error::new(ErrorKind::TopicMissing, text));
                }
                let mut spec = TopicSpec::new(delays).partitions(TIERS).retention(RETENTION);
                // What waits is to be as safe as where it goes.
                spec.replication = find(topic).and_then(|t| t.replication);
                let specs = [spec];
                let cannot = |e: Error| {
                    e.context(format_args!(
                        "creating `{delays}`, where messages wait ({})",
                        how()
                    ))
                };
                again(ASK, || admin.create(&specs)).await.map_err(cannot)?;
                tracing::info!(
                    topic = delays,
                    partitions = TIERS,
                    "created the topic in which delayed messages wait"
                );
                // Somebody else may have made it, in another way.
                count(admin, delays).await?
            }
        };
        Ok(Self {
            partitions,
            tiers,
            asked,
        })
    }
    pub(super) fn is_fresh(&self) -> bool {
        self.asked.elapsed() < FRESH
    }
}

async fn count(admin: &dyn Admin, topic: &str) -> Result<u32> {
    let positions = again(ASK, || admin.positions(topic, Start::Earliest)).await?;
    u32::try_from(positions.len()).map_err(|_| Error::invalid(format!("`{topic}` has too many partitions")))
}

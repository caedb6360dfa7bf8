//! When nothing comes any more.

use crate::session::Session;
use bus::ErrorKind;
use std::time::Duration;
use tokio::time::Instant;

/// How much longer than `--idle` the first message of a group may take: a member that died keeps its partitions until
/// its session or lease has run out (6 s on Kafka, 10 s on Redis), and joining takes a moment.
const JOINING: Duration = Duration::from_secs(20);

/// Counts the time without a message.
#[derive(Debug)]
pub(super) struct Idle<'a> {
    limit: Option<Duration>,
    since: Instant,
    /// Until then a group may still be taking over what waits for it.
    joining: Option<Instant>,
    session: &'a Session,
    group: Option<&'a str>,
    topics: &'a [String],
}

impl<'a> Idle<'a> {
    pub(super) fn new(
        session: &'a Session,
        limit: Option<Duration>,
        group: Option<&'a str>,
        topics: &'a [String],
    ) -> Self {
        let since = Instant::now();
        let joining = group.and(limit).map(|limit| since + limit + JOINING);
        Self {
            limit,
            since,
            joining,
            session,
            group,
            topics,
        }
    }
    /// A message came.
    pub(super) fn over(&mut self) {
        self.since = Instant::now();
        self.joining = None;
    }
    /// Waits until no message came for the whole time. Not at all where a group that has printed nothing yet has
    /// something waiting for it: that is no idleness, that is a takeover.
    pub(super) async fn passed(&mut self) {
        let Some(limit) = self.limit else {
            return std::future::pending().await;
        };
        tokio::time::sleep_until(self.since + limit).await;
        while let (Some(until), Some(group)) = (self.joining, self.group) {
            if Instant::now() >= until || !self.is_waited_for(group).await {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    /// Whether the group has not read everything, or owns partitions that nobody has begun.
    async fn is_waited_for(&self, group: &str) -> bool {
        let admin = self.session.admin();
        let lag = match admin.lag(group).await {
            Ok(lag) => lag,
            Err(error) => return error.kind() == ErrorKind::GroupMissing || error.is_transient(),
        };
        for topic in self.topics {
            let known: Vec<_> = lag.iter().filter(|lag| *lag.topic == **topic).collect();
            let partitions = self.session.partitions(topic).await.unwrap_or(0) as usize;
            if known.len() < partitions || known.iter().any(|lag| lag.behind > 0) {
                return true;
            }
        }
        false
    }
}

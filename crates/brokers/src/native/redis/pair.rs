//! A primary and its replica.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Redis, RedisOptions};
use crate::error::{Doing, Error, Result};
use crate::wait;

/// How long the first copy may take.
const COPY: Duration = Duration::from_secs(30);

/// Two Redises of the caller's own, the second a replica of the first. Nobody fails over by himself: a test promotes
/// the replica and points its clients there, through a proxy whose address stays.
#[derive(Debug)]
pub struct RedisPair {
    /// The server that was started as primary, whatever it became.
    pub first: Redis,
    /// The server that was started as replica, whatever it became.
    pub second: Redis,
}

impl RedisPair {
    /// Starts both with the same options, and waits until the replica has what the primary has.
    ///
    /// # Errors
    ///
    /// When a server does not come up or the replica does not get its copy.
    pub fn start(options: RedisOptions) -> Result<Self> {
        Self::start_behind(options, Ok)
    }

    /// The same with a proxy between the two: `link` is told where the primary listens, and says where the replica is
    /// to find it. What the proxy holds back is the replica's lag.
    ///
    /// # Errors
    ///
    /// As [`RedisPair::start`], and when `link` fails.
    pub fn start_behind(
        options: RedisOptions,
        link: impl FnOnce(SocketAddr) -> std::io::Result<SocketAddr>,
    ) -> Result<Self> {
        let first = Redis::start(options.clone())?;
        let at = link(first.peer).doing(|| "starting a proxy between two Redises".into())?;
        let second = Redis::start(options.replica_of(at))?;
        let pair = Self { first, second };
        pair.wait_in_sync(COPY)?;
        Ok(pair)
    }

    /// Waits until the second server is a replica that has everything the first one has at this moment.
    ///
    /// # Errors
    ///
    /// When it is not within `limit`; the message says what was seen last.
    pub fn wait_in_sync(&self, limit: Duration) -> Result<()> {
        let mut seen = String::new();
        let done = wait::poll(limit, || match self.behind() {
            Ok(0) => Some(()),
            other => {
                seen = format!("{other:?}");
                None
            }
        });
        done.ok_or_else(|| {
            let seconds = limit.as_secs();
            Error::State(format!(
                "the replica is not in sync after {seconds} s; bytes behind: {seen}"
            ))
        })
    }

    /// How many bytes of the first server's history the second lacks.
    ///
    /// # Errors
    ///
    /// When one of them does not answer, or the second has no link to the first.
    pub fn behind(&self) -> Result<u64> {
        let offset = |server: &Redis, name: &str| {
            let text = server.info(name)?;
            text.parse::<u64>()
                .map_err(|_| Error::State(format!("{name} is {text}")))
        };
        let link = self.second.info("master_link_status")?;
        if link != "up" {
            return Err(Error::State(format!("the replica's link is {link}")));
        }
        let ahead = offset(&self.first, "master_repl_offset")?;
        Ok(ahead.saturating_sub(offset(&self.second, "slave_repl_offset")?))
    }

    /// Makes the second server a primary, with what it has now.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub fn promote_second(&self) -> Result<()> {
        self.second.ask(&["REPLICAOF", "NO", "ONE"]).map(drop)
    }

    /// Makes the first server a replica of the second: what it had for itself alone is discarded.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub fn demote_first(&self) -> Result<()> {
        let at = self.second.peer;
        let (host, port) = (at.ip().to_string(), at.port().to_string());
        self.first.ask(&["REPLICAOF", &host, &port]).map(drop)
    }
}

//! Sentinels.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Redis, RedisOptions, RedisPair};
use crate::error::{Error, Result};
use crate::wait;

/// How long they may take to find each other and the replica: they look every two seconds.
const MEET: Duration = Duration::from_secs(30);

/// Three sentinels that watch a primary with its replica, and fail over by themselves when two of them have not heard
/// of it for half a second.
#[derive(Debug)]
pub struct RedisSentinels {
    /// The sentinels.
    pub sentinels: Vec<Redis>,
    name: String,
}

impl RedisSentinels {
    /// Starts them with the same options, and waits until they know each other and the pair's second server.
    ///
    /// # Errors
    ///
    /// When one does not come up, or they do not find what they look for.
    pub fn start(name: &str, pair: &RedisPair, options: RedisOptions) -> Result<Self> {
        let start = |_| Redis::start(options.clone().sentinel_of(name, pair.first.peer, 2));
        let sentinels = (0..3).map(start).collect::<Result<Vec<_>>>()?;
        let all = Self {
            sentinels,
            name: name.into(),
        };
        all.meet()?;
        Ok(all)
    }

    fn meet(&self) -> Result<()> {
        let knows = |sentinel: &Redis| {
            let words = sentinel.ask(&["SENTINEL", "MASTER", &self.name]).ok()?;
            let words: Vec<&str> = words.lines().collect();
            let value = |name| words.chunks(2).find(|pair| pair[0] == name).map(|pair| pair[1]);
            let knows = value("num-slaves") == Some("1") && value("num-other-sentinels") == Some("2");
            knows.then_some(())
        };
        let met = wait::poll(MEET, || self.sentinels.iter().try_for_each(knows));
        let seconds = MEET.as_secs();
        met.ok_or_else(|| Error::State(format!("the sentinels have not found each other in {seconds} s")))
    }

    /// Where the first of them says that the primary is.
    ///
    /// # Errors
    ///
    /// When it does not answer, or what it says is no address.
    pub fn primary(&self) -> Result<SocketAddr> {
        let told = self.sentinels[0].ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", &self.name])?;
        let address = told.replace('\n', ":");
        address
            .parse()
            .map_err(|_| Error::State(format!("a sentinel says `{address}`")))
    }

    /// The hosts of a URL: `127.0.0.1:port,127.0.0.1:port,127.0.0.1:port`.
    pub fn hosts(&self) -> String {
        let hosts: Vec<String> = self.sentinels.iter().map(|s| s.peer.to_string()).collect();
        hosts.join(",")
    }
}

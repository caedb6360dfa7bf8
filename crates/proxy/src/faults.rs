//! What a proxy does to connections.

use crate::frame::Call;
use std::{ops::RangeInclusive, time::Duration};

/// What a proxy does to connections; the default is nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// From clients to the server.
    pub to_server: Link,
    /// From the server to clients.
    pub to_client: Link,
    /// Resets each connection (RST) after a random time within this range. Live ones count from when it was set.
    pub lifetime: Option<RangeInclusive<Duration>>,
    /// Refuses new connections: nobody listens, live ones go on.
    pub refuse: bool,
    /// What happens to requests; the first rule that strikes wins.
    pub rules: Vec<Rule>,
    /// Connections up to this number are silent, however the links are.
    pub(crate) frozen: u64,
}

/// What happens to the bytes of one direction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Link {
    /// Each chunk of bytes arrives this much later. Throughput stays.
    pub delay: Duration,
    /// And up to this much later still, at random. Bytes never overtake each other.
    pub jitter: Duration,
    /// Bytes a second; `None` is as fast as it goes.
    pub rate: Option<u64>,
    /// Accepts bytes (some megabytes, like a network's buffers) and forwards nothing, no end of stream either, as if a
    /// cable were pulled. What was accepted arrives when it is healed.
    pub hold: bool,
    /// Closes each connection after a random number of bytes within this range, in the middle of a frame as likely as
    /// not. Live ones count from when it was set.
    pub cut: Option<RangeInclusive<u64>>,
}

/// What happens to some requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub(crate) filter: Filter,
    pub(crate) chance: f64,
    pub(crate) action: Action,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    DropReply,
    Hold { time: Duration, late: Late },
}

/// What the client of a held request sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Late {
    /// Its connection ends at once, so that it sends the request again on another one, and both copies arrive.
    #[default]
    HungUp,
    /// It waits, until it gives up by itself. What it sends behind the request on this connection waits too.
    Waiting,
}

impl Rule {
    /// This share (0 to 1) of the requests is carried out, but the answer is swallowed and the connection closed.
    pub fn drop_reply(filter: Filter, chance: f64) -> Self {
        Self {
            filter,
            chance,
            action: Action::DropReply,
        }
    }
    /// This share (0 to 1) of the requests arrives after `time`, when the client has given up or sent it again.
    pub fn hold_request(filter: Filter, chance: f64, time: Duration, late: Late) -> Self {
        let action = Action::Hold { time, late };
        Self {
            filter,
            chance,
            action,
        }
    }
}

/// Which requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    calls: Option<Vec<Call>>,
    marker: Option<Vec<u8>>,
}

impl Filter {
    /// All of them.
    pub fn any() -> Self {
        Self::default()
    }
    /// Kafka's, by api key: Produce 0, Fetch 1, OffsetCommit 8, JoinGroup 11, Heartbeat 12, AddOffsetsToTxn 25,
    /// EndTxn 26, TxnOffsetCommit 28.
    pub fn kafka(keys: impl IntoIterator<Item = i16>) -> Self {
        Self {
            calls: Some(keys.into_iter().map(Call::Kafka).collect()),
            marker: None,
        }
    }
    /// Redis's, by command name in any case. Of a transaction, `EXEC` is the request that carries it out.
    pub fn redis<'a>(commands: impl IntoIterator<Item = &'a str>) -> Self {
        let call = |name: &str| Call::Redis(name.to_ascii_uppercase());
        Self {
            calls: Some(commands.into_iter().map(call).collect()),
            marker: None,
        }
    }
    /// Of those, the ones whose bytes contain this, such as a topic's name.
    pub fn containing(mut self, marker: impl Into<Vec<u8>>) -> Self {
        self.marker = Some(marker.into());
        self
    }
    pub(crate) fn matches(&self, call: &Call, bytes: &[u8]) -> bool {
        let contains = |m: &Vec<u8>| m.is_empty() || bytes.windows(m.len()).any(|w| w == &m[..]);
        self.calls.as_ref().is_none_or(|calls| calls.contains(call))
            && self.marker.as_ref().is_none_or(contains)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_takes_names_and_markers() {
        let exec = Call::Redis("EXEC".into());
        assert!(Filter::any().matches(&exec, b""));
        assert!(Filter::redis(["multi", "exec"]).matches(&exec, b""));
        assert!(!Filter::redis(["multi"]).matches(&exec, b""));
        assert!(!Filter::kafka([0]).matches(&exec, b""));
        let marked = Filter::kafka([0, 8]).containing("orders");
        assert!(marked.matches(&Call::Kafka(8), b"..orders.."));
        assert!(!marked.matches(&Call::Kafka(8), b"..order.."));
    }
}

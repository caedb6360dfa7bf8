//! What a proxy has done so far.

use crate::frame::Call;
use std::collections::HashMap;

/// What a proxy has done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections that were made through it.
    pub connections: u64,
    /// Of those, the ones that are open now.
    pub open: u64,
    /// Connections that were turned away because the upstream is not known or not there.
    pub turned_away: u64,
    /// Connections that it reset, or whose reset by one side it passed on to the other.
    pub resets: u64,
    /// Connections that it cut after so many bytes.
    pub cuts: u64,
    /// Answers that it swallowed.
    pub dropped_replies: u64,
    /// Requests that it delivered late.
    pub held_requests: u64,
    /// Bytes that it forwarded to the server.
    pub bytes_to_server: u64,
    /// Bytes that it forwarded to clients.
    pub bytes_to_client: u64,
    pub(crate) requests: HashMap<Call, u64>,
}

impl Counters {
    /// Kafka requests with this api key that came from clients.
    pub fn kafka_requests(&self, key: i16) -> u64 {
        self.requests.get(&Call::Kafka(key)).copied().unwrap_or(0)
    }
    /// Redis commands of this name that came from clients.
    pub fn redis_requests(&self, command: &str) -> u64 {
        self.requests
            .get(&Call::Redis(command.to_ascii_uppercase()))
            .copied()
            .unwrap_or(0)
    }
}

//! Requests and replies in a stream of bytes.

mod kafka;
mod resp;

use bytes::BytesMut;

/// What clients and server speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Anything: no rule ever strikes.
    Raw,
    /// Kafka's: a length of four bytes, then the frame.
    Kafka,
    /// RESP 2 and 3, pipelined. Each command has one reply: publish and subscribe, `MONITOR` and `CLIENT REPLY` are
    /// not understood.
    Redis,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    Kafka(i16),
    Redis(String),
}

/// A piece of the stream that is forwarded as a whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) bytes: BytesMut,
    /// What tells a request and its reply from others on their connection; `None` where it is neither.
    pub(crate) id: Option<u64>,
    /// What is asked for; `None` in replies.
    pub(crate) call: Option<Call>,
}

/// A stream that does not follow its protocol.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// One direction of one connection, cut into frames. A stream that is not what it should be is passed on as it comes.
#[derive(Debug)]
pub(crate) struct Framing {
    protocol: Protocol,
    requests: bool,
    count: u64,
}

impl Framing {
    pub(crate) fn requests(protocol: Protocol) -> Self {
        Self {
            protocol,
            requests: true,
            count: 0,
        }
    }
    pub(crate) fn replies(protocol: Protocol) -> Self {
        Self {
            protocol,
            requests: false,
            count: 0,
        }
    }
    /// Takes the first frame out of `buffer`, if it is there as a whole.
    pub(crate) fn split(&mut self, buffer: &mut BytesMut) -> Option<Frame> {
        if buffer.is_empty() {
            return None;
        }
        let length = match self.protocol {
            Protocol::Raw => Ok(Some(buffer.len())),
            Protocol::Kafka => kafka::length(buffer),
            Protocol::Redis => resp::length(buffer),
        };
        let Ok(length) = length else {
            self.protocol = Protocol::Raw;
            return self.split(buffer);
        };
        let bytes = buffer.split_to(length?);
        let (id, call) = match self.protocol {
            Protocol::Raw => (None, None),
            Protocol::Kafka if self.requests => kafka::request(&bytes),
            Protocol::Kafka => (kafka::reply(&bytes), None),
            Protocol::Redis if resp::is_push(&bytes) => (None, None),
            Protocol::Redis => {
                self.count += 1;
                let call = self.requests.then(|| Call::Redis(resp::command(&bytes)));
                (Some(self.count), call)
            }
        };
        Some(Frame { bytes, id, call })
    }
}

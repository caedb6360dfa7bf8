//! What a confirmed publish survives.

use crate::wire::{Pipeline, Value, encode};
use bus_core::{Error, ErrorKind, Result};
use std::time::Duration;

/// What the server has done with a record when its publish is confirmed. Outputs of commits are as durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// It is in the memory of the primary, and survives what the server's own persistence survives (default: the fastest;
    /// with `appendfsync always` nothing is lost all the same).
    #[default]
    Memory,
    /// It is on the primary's disk (`WAITAOF`, from 7.2 on): one wait for each pack of up to 1 000 messages. With `appendfsync
    /// everysec` that takes up to a second.
    Fsync,
    /// So many replicas have it in memory (`WAIT`).
    Replicas(u32),
}

impl Durability {
    /// Whether a confirmation has to be waited for.
    pub(crate) fn waits(self) -> bool {
        self != Self::Memory
    }
    /// The command that waits, for so long; `None` where nothing is waited for.
    fn command(self, limit: Duration) -> Option<Vec<String>> {
        let millis = limit.as_millis().max(1).to_string();
        match self {
            Self::Memory => None,
            Self::Fsync => Some(vec!["WAITAOF".into(), "1".into(), "0".into(), millis]),
            Self::Replicas(count) => Some(vec!["WAIT".into(), count.to_string(), millis]),
        }
    }
    /// Writes the command that waits for everything this connection has written.
    pub(crate) fn write(self, limit: Duration, out: &mut Vec<u8>) {
        if let Some(words) = self.command(limit) {
            encode::command(out, &words.iter().map(|w| w.as_bytes()).collect::<Vec<_>>());
        }
    }
    /// The same, as the last command of a pipeline.
    pub(crate) fn add(self, limit: Duration, pipeline: &mut Pipeline) {
        if let Some(words) = self.command(limit) {
            pipeline.add(&words.iter().map(|w| w.as_bytes()).collect::<Vec<_>>());
        }
    }
    /// Whether the reply says that enough have it.
    pub(crate) fn is_enough(self, reply: &Value) -> bool {
        match self {
            Self::Memory => true,
            Self::Fsync => reply.at(0).int().is_some_and(|local| local >= 1),
            Self::Replicas(count) => reply.int().is_some_and(|n| n >= i64::from(count)),
        }
    }
    /// What a publish is told that was not confirmed in time.
    pub(crate) fn unconfirmed(self, topic: &str, address: &str) -> Error {
        let what = match self {
            Self::Fsync => "was not written to disk in time; look at the server's disk",
            _ => "did not reach enough replicas in time; look at them, or lower `durability`",
        };
        let sentence = format!("publish to topic `{topic}` is in memory of redis at {address}, but {what}");
        Error::new(ErrorKind::Timeout, sentence)
    }
    /// Refuses a server that cannot do it.
    pub(crate) fn check(self, version: &str, info: impl Fn(&str) -> String, address: &str) -> Result<()> {
        let refused = |why: String| {
            Err(Error::new(
                ErrorKind::Unsupported,
                format!("redis at {address} {why}"),
            ))
        };
        match self {
            Self::Memory => Ok(()),
            Self::Fsync if !has_waitaof(version) => refused(format!(
                "is version {version}; `durability=fsync` needs `WAITAOF` of 7.2 or newer; use `appendfsync always` instead"
            )),
            Self::Fsync if info("aof_enabled") != "1" => refused(
                "has no append-only file, which `durability=fsync` needs; set `appendonly yes`".into(),
            ),
            Self::Fsync => Ok(()),
            Self::Replicas(count) => match info("connected_slaves").parse::<u32>().unwrap_or(0) {
                there if there < count => refused(format!(
                    "has {there} replicas; `durability=replicas({count})` needs {count}; add some, or lower it"
                )),
                _ => Ok(()),
            },
        }
    }
}

fn has_waitaof(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    version >= (7, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_cannot_is_refused_with_what_to_set() {
        let info = |field: &str| {
            if field == "connected_slaves" {
                "1".into()
            } else {
                "0".to_owned()
            }
        };
        let check = |durability: Durability, version| durability.check(version, info, "h:1");
        assert!(check(Durability::Memory, "7.0.15").is_ok());
        let old = check(Durability::Fsync, "7.0.15").unwrap_err();
        assert!(old == ErrorKind::Unsupported && old.message().contains("WAITAOF"));
        assert!(
            check(Durability::Fsync, "7.2.4")
                .unwrap_err()
                .message()
                .contains("appendonly yes")
        );
        assert!(check(Durability::Replicas(1), "7.0.15").is_ok());
        assert!(
            check(Durability::Replicas(2), "7.0.15")
                .unwrap_err()
                .message()
                .contains("has 1 replicas")
        );
    }

    #[test]
    fn replies_are_counted() {
        assert!(Durability::Fsync.is_enough(&Value::List(vec![Value::Int(1), Value::Int(0)])));
        assert!(!Durability::Fsync.is_enough(&Value::List(vec![Value::Int(0), Value::Int(0)])));
        assert!(
            Durability::Replicas(2).is_enough(&Value::Int(2))
                && !Durability::Replicas(2).is_enough(&Value::Int(1))
        );
        assert!(!Durability::Replicas(1).is_enough(&Value::Error("ERR".into())));
    }
}

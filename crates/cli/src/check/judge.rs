//! What a backend tells about itself, judged: what endangers data is a warning or wrong, with what to do.

use bus::Name;
use serde::Serialize;
use std::time::{SystemTime, UNIX_EPOCH};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// Worth knowing, neither good nor bad.
    Info,
    /// As it should be.
    Ok,
    /// Somebody should have decided this.
    Warning,
    /// Messages get lost, or cannot be stored.
    Wrong,
}

/// One line of `bus check`.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    pub(super) check: String,
    pub(super) status: Verdict,
    pub(super) value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) advice: Option<&'static str>,
}

impl Finding {
    pub(super) fn new(check: &str, status: Verdict, value: impl Into<String>) -> Self {
        Self {
            check: check.to_owned(),
            status,
            value: value.into(),
            advice: None,
        }
    }
}

type Judged = (Verdict, Option<&'static str>);
const OK: Judged = (Verdict::Ok, None);
const INFO: Judged = (Verdict::Info, None);

const fn warning(advice: &'static str) -> Judged {
    (Verdict::Warning, Some(advice))
}
const fn wrong(advice: &'static str) -> Judged {
    (Verdict::Wrong, Some(advice))
}

/// All facts of one backend, and when they were told.
pub(super) struct Facts<'a> {
    pub(super) facts: &'a [(Name, String)],
    pub(super) now: SystemTime,
}

impl Facts<'_> {
    /// Judges one of them; what nobody knows is information.
    pub(super) fn judge(&self, name: &str, value: &str) -> Finding {
        let (status, advice) = self
            .redis(name, value)
            .or_else(|| self.kafka(name, value))
            .unwrap_or(INFO);
        Finding {
            advice,
            ..Finding::new(name, status, value)
        }
    }
    fn get(&self, name: &str) -> Option<&str> {
        self.facts
            .iter()
            .find(|(known, _)| **known == *name)
            .map(|(_, value)| &**value)
    }
    fn number(&self, name: &str) -> Option<i64> {
        self.get(name)?.parse().ok()
    }

    fn redis(&self, name: &str, value: &str) -> Option<Judged> {
        Some(match (name, value) {
            ("eviction", "noeviction") => OK,
            ("eviction", _) if self.number("memory limit").unwrap_or(0) == 0 => warning(
                "set `maxmemory-policy noeviction`: with a memory limit, which there is none now, records would be evicted",
            ),
            ("eviction", _) => wrong("set `maxmemory-policy noeviction`: a full memory evicts records now"),
            ("memory used", used) => match (used.parse::<i64>().ok(), self.number("memory limit")) {
                (Some(used), Some(limit @ 1..)) if used / 4 > limit / 5 => {
                    warning("over 80 % of the limit: shorten the retention or raise `maxmemory`")
                }
                _ => INFO,
            },
            ("append-only file", "1") => OK,
            ("append-only file", _) => warning("a restart loses messages: set `appendonly yes`"),
            ("append-only fsync", "no") => warning(
                "a power loss loses whatever the system had not written: set `appendfsync everysec` or `always`",
            ),
            ("append-only fsync", _) => OK,
            ("last append-only write", "ok") | ("last snapshot", "ok") | ("role", "master") => OK,
            ("last append-only write", _) => {
                wrong("the append-only file cannot be written: look at the disk and the log")
            }
            ("last snapshot", _) => warning("the last snapshot failed: look at the disk and the log"),
            ("role", _) => wrong("connect to the primary: a replica takes no messages"),
            ("replicas", "0") => {
                warning("one copy: when this server is lost, so are its messages; add a replica")
            }
            ("replicas", _) => OK,
            ("clock ahead of ours (ms)", ahead) => clock(ahead.parse().ok()?),
            // The memory bus tells its time itself.
            ("clock", time) => {
                let ours = self.now.duration_since(UNIX_EPOCH).ok()?.as_millis() as i64;
                clock(time.parse::<i64>().ok()? - ours)
            }
            _ => return None,
        })
    }

    fn kafka(&self, name: &str, value: &str) -> Option<Judged> {
        let number = value.parse::<i64>().ok();
        Some(match (name, number) {
            ("unclean.leader.election", _) if value == "true" => wrong(
                "set `unclean.leader.election.enable=false`: a broker that lags behind may lead and lose messages",
            ),
            ("auto.create.topics", _) if value == "true" => warning(
                "set `auto.create.topics.enable=false`: other programs create a topic by misspelling its name (this one never does)",
            ),
            ("unclean.leader.election" | "auto.create.topics", _) => OK,
            ("log.message.timestamp.type", _) if value == "LogAppendTime" => warning(
                "the broker replaces the timestamps of messages: set `log.message.timestamp.type=CreateTime`",
            ),
            ("log.message.timestamp.type", _) => OK,
            ("settings", _) => {
                warning("this user may not read the broker's settings: grant DescribeConfigs on the cluster")
            }
            ("brokers", Some(1)) => {
                warning("one broker: when it is lost, so are its messages; three are usual")
            }
            ("default.replication.factor", Some(1)) => warning(
                "new topics have one copy: set `default.replication.factor=3`, or give --replication at creation",
            ),
            ("min.insync.replicas", Some(copies)) => match self.number("default.replication.factor") {
                Some(all) if copies > all => wrong(
                    "more copies than topics have by default: nothing can be stored in those; raise the replication",
                ),
                _ if copies == 1 => {
                    warning("a message counts as stored with one copy: set `min.insync.replicas=2`")
                }
                _ => OK,
            },
            ("offsets.retention.minutes", Some(..10_080)) => warning(
                "a group that rests loses its positions within a week: set `offsets.retention.minutes=10080`",
            ),
            ("offset.metadata.max.bytes", Some(..4_096)) => warning(
                "little room to remember messages acknowledged out of order: set `offset.metadata.max.bytes=4096`",
            ),
            ("group.min.session.timeout.ms", Some(6_001..)) => {
                wrong("members ask for 6 s: lower it, or raise `session.timeout.ms` in the URL")
            }
            (
                "brokers"
                | "default.replication.factor"
                | "offsets.retention.minutes"
                | "offset.metadata.max.bytes"
                | "group.min.session.timeout.ms",
                Some(_),
            ) => OK,
            _ => return None,
        })
    }
}

fn clock(ahead: i64) -> Judged {
    const ADVICE: &str =
        "the clocks differ: start times and retention go by the broker's; run NTP on both machines";
    match ahead.abs() {
        0..1_000 => OK,
        1_000..60_000 => warning(ADVICE),
        _ => wrong(ADVICE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(name: &str, facts: &[(&str, &str)]) -> Verdict {
        let facts: Vec<_> = facts
            .iter()
            .map(|(name, value)| (Name::from(*name), (*value).to_owned()))
            .collect();
        let facts = Facts {
            facts: &facts,
            now: UNIX_EPOCH,
        };
        let finding = facts.judge(name, facts.get(name).unwrap());
        assert_eq!(
            finding.advice.is_some(),
            finding.status >= Verdict::Warning,
            "{finding:?}"
        );
        finding.status
    }

    #[test]
    fn redis() {
        assert_eq!(judged("eviction", &[("eviction", "noeviction")]), Verdict::Ok);
        assert_eq!(
            judged("eviction", &[("eviction", "allkeys-lru"), ("memory limit", "0")]),
            Verdict::Warning
        );
        assert_eq!(
            judged("eviction", &[("eviction", "allkeys-lru"), ("memory limit", "9")]),
            Verdict::Wrong
        );
        assert_eq!(
            judged("memory used", &[("memory used", "90"), ("memory limit", "100")]),
            Verdict::Warning
        );
        assert_eq!(
            judged("memory used", &[("memory used", "70"), ("memory limit", "100")]),
            Verdict::Info
        );
        assert_eq!(
            judged("append-only file", &[("append-only file", "0")]),
            Verdict::Warning
        );
        assert_eq!(
            judged(
                "clock ahead of ours (ms)",
                &[("clock ahead of ours (ms)", "-90000")]
            ),
            Verdict::Wrong
        );
        assert_eq!(judged("clock", &[("clock", "3")]), Verdict::Ok);
    }

    #[test]
    fn kafka() {
        assert_eq!(
            judged("unclean.leader.election", &[("unclean.leader.election", "true")]),
            Verdict::Wrong
        );
        assert_eq!(
            judged("min.insync.replicas", &[("min.insync.replicas", "1")]),
            Verdict::Warning
        );
        let both = [("min.insync.replicas", "2"), ("default.replication.factor", "1")];
        assert_eq!(judged("min.insync.replicas", &both), Verdict::Wrong);
        assert_eq!(judged("brokers", &[("brokers", "3")]), Verdict::Ok);
        assert_eq!(
            judged(
                "group.min.session.timeout.ms",
                &[("group.min.session.timeout.ms", "6000")]
            ),
            Verdict::Ok
        );
    }

    #[test]
    fn what_nobody_knows_is_information() {
        assert_eq!(judged("weather", &[("weather", "fine")]), Verdict::Info);
    }
}

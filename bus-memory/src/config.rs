//! What a memory bus can be told.

use bus_core::{Error, Result};
use std::time::Duration;

/// What happens to a publish when its topic is at its limit and no record is left that every group has settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Full {
    /// It waits for room (default: nothing is lost, a slow group slows its publishers).
    #[default]
    Wait,
    /// The oldest records make room; readers that had not read them get `DataLoss`.
    DropOldest,
}

/// Settings of a memory bus.
///
/// ```
/// use bus_memory::{Full, Memory, MemoryConfig};
/// let memory = Memory::with_config(MemoryConfig::default().max_messages(10_000).when_full(Full::DropOldest));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryConfig {
    pub(crate) session_timeout: Duration,
    pub(crate) grace: Duration,
    pub(crate) publish_timeout: Duration,
    pub(crate) max_messages: usize,
    pub(crate) max_bytes: usize,
    pub(crate) max_message: usize,
    pub(crate) when_full: Full,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self {
            session_timeout: Duration::from_secs(10),
            grace: Duration::from_secs(10),
            publish_timeout: Duration::from_secs(30),
            max_messages: 1_000_000,
            max_bytes: 1 << 30,
            max_message: 16 << 20,
            when_full: Full::Wait,
        }
    }
}

impl MemoryConfig {
    /// How long a subscriber that was dropped without `close` keeps what it owned (default 10 s, as a lease on Redis).
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.session_timeout = timeout;
        self
    }
    /// How long a member may keep a partition that another one is to get (default 10 s: twice the time that core
    /// drains, so that the commit behind the drain still arrives).
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }
    /// How long a publish or a commit's output waits for room before it fails (default 30 s: a stall must be seen).
    pub fn publish_timeout(mut self, timeout: Duration) -> Self {
        self.publish_timeout = timeout;
        self
    }
    /// Messages that a topic holds (default 1 000 000).
    pub fn max_messages(mut self, messages: usize) -> Self {
        self.max_messages = messages.max(1);
        self
    }
    /// Bytes that a topic holds, the index of 64 bytes a message included (default 1 GiB).
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes.max(1);
        self
    }
    /// Bytes of the largest message: key, payload and headers (default 16 MiB, what a subscription holds in flight; at
    /// most 1 GiB, and half of what a topic holds).
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }
    /// What a publish to a full topic does (default: it waits).
    pub fn when_full(mut self, full: Full) -> Self {
        self.when_full = full;
        self
    }

    /// The largest message that a topic can hold at all.
    pub(crate) fn message_limit(&self) -> usize {
        // Headers take more bytes in the log than they are counted for, and a batch counts its own with 32 bits.
        self.max_message.min(self.max_bytes / 2).min(1 << 30)
    }

    /// Applies the settings of a URL, `memory://name?setting=value&…`.
    /// # Errors
    /// `Invalid` for another scheme, an unknown setting or a value that is not allowed.
    pub fn merge_url(mut self, url: &str) -> Result<Self> {
        let (_, query) = parts(url)?;
        for setting in query.split('&').filter(|s| !s.is_empty()) {
            let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
            self = self.option(key, value)?;
        }
        Ok(self)
    }
    /// Applies one setting by its name, as a URL's query does. Times are in milliseconds, sizes in bytes.
    /// # Errors
    /// `Invalid` for an unknown setting or a value that is not allowed.
    pub fn option(self, name: &str, value: &str) -> Result<Self> {
        let number = || {
            value.parse::<u64>().map_err(|_| {
                Error::invalid(format!(
                    "setting `{name}` of memory:// needs a number, not `{value}`"
                ))
            })
        };
        let size = || number().map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        let time = || number().map(Duration::from_millis);
        Ok(match name {
            "session_timeout_ms" => self.session_timeout(time()?),
            "grace_ms" => self.grace(time()?),
            "publish_timeout_ms" => self.publish_timeout(time()?),
            "max_messages" => self.max_messages(size()?),
            "max_bytes" => self.max_bytes(size()?),
            "max_message" => self.max_message(size()?),
            "when_full" => self.when_full(match value {
                "wait" => Full::Wait,
                "drop_oldest" => Full::DropOldest,
                _ => {
                    return Err(Error::invalid(
                        "setting `when_full` of memory:// is `wait` or `drop_oldest`",
                    ));
                }
            }),
            _ => {
                return Err(Error::invalid(format!(
                    "unknown setting `{name}` of memory://; there are session_timeout_ms, grace_ms, \
                     publish_timeout_ms, max_messages, max_bytes, max_message, when_full"
                )));
            }
        })
    }
}

/// The name and the settings of a URL.
pub(crate) fn parts(url: &str) -> Result<(&str, &str)> {
    let rest = url.strip_prefix("memory://").ok_or_else(|| {
        Error::invalid("a memory URL is `memory://` or `memory://name`, with settings as `?name=value&…`")
    })?;
    Ok(rest.split_once('?').unwrap_or((rest, "")))
}

//! Where the server is and how the backend behaves.

use crate::{
    Durability, Password, Tls,
    security::PasswordSource,
    servers::{Host, Sentinels, Servers},
};
use bus_core::{Result, partition::Partitioner};
use std::{future::Future, path::PathBuf, time::Duration};

/// Settings of a [`Redis`](crate::Redis) backend. Every setter consumes and returns it.
///
/// ```
/// use bus_redis::RedisConfig;
/// use std::time::Duration;
///
/// let config = RedisConfig::new("redis.example.org", 6379)
///     .user("billing")
///     .password("s3cret")
///     .client_id("billing-1")
///     .ttl(Duration::from_secs(10));
/// assert!(!format!("{config:?}").contains("s3cret"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisConfig {
    pub(crate) servers: Servers,
    pub(crate) database: u32,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<PasswordSource>,
    pub(crate) sentinel_user: Option<String>,
    pub(crate) sentinel_password: Option<Password>,
    pub(crate) tls: Tls,
    pub(crate) client_id: String,
    pub(crate) ttl: Duration,
    pub(crate) grace: Duration,
    pub(crate) publish_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) retention: Duration,
    pub(crate) abandoned_after: Duration,
    pub(crate) durability: Durability,
    pub(crate) message_max: usize,
    pub(crate) partitioner: Partitioner,
}

impl RedisConfig {
    /// The largest `message_max`: entries travel as one string, and `proto-max-bulk-len` is 512 MiB.
    pub const MESSAGE_MAX: usize = 256 * 1024 * 1024;
    /// The shortest `ttl`: below it one slow fork of the server would cost an owner its partitions.
    pub const TTL_MIN: Duration = Duration::from_millis(500);

    /// A server at this address, with the defaults.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self::with(Servers::One(Host::new(host, port)))
    }
    /// The primary that sentinels call `primary`, wherever it is at the moment: each connection asks all of them for it, and
    /// takes no server that does not say of itself that it is a primary.
    ///
    /// ```
    /// use bus_redis::RedisConfig;
    ///
    /// let hosts = [("s1.example.org", 26379), ("s2.example.org", 26379), ("s3.example.org", 26379)];
    /// let config = RedisConfig::sentinel("orders", hosts).sentinel_password("s3cret");
    /// assert!(!format!("{config:?}").contains("s3cret"));
    /// ```
    pub fn sentinel<H: Into<String>>(
        primary: impl Into<String>,
        hosts: impl IntoIterator<Item = (H, u16)>,
    ) -> Self {
        Self::with(Servers::Sentinels(Sentinels {
            hosts: hosts
                .into_iter()
                .map(|(name, port)| Host::new(name, port))
                .collect(),
            primary: primary.into(),
        }))
    }
    /// A cluster, of which these nodes are asked for the others; one that answers is enough. Database 0 is the only one.
    pub fn cluster<H: Into<String>>(nodes: impl IntoIterator<Item = (H, u16)>) -> Self {
        let nodes = nodes.into_iter().map(|(name, port)| Host::new(name, port));
        Self::with(Servers::Cluster(nodes.collect()))
    }
    fn with(servers: Servers) -> Self {
        Self {
            servers,
            database: 0,
            user: None,
            password: None,
            sentinel_user: None,
            sentinel_password: None,
            tls: Tls::default(),
            client_id: "bus".into(),
            ttl: Duration::from_secs(10),
            grace: Duration::from_secs(5),
            publish_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            retention: Duration::from_secs(7 * 24 * 3600),
            abandoned_after: Duration::from_secs(7 * 24 * 3600),
            durability: Durability::Memory,
            message_max: 64 * 1024 * 1024,
            partitioner: Partitioner::Murmur2,
        }
    }
    /// The database's number (default 0).
    pub fn database(mut self, database: u32) -> Self {
        self.database = database;
        self
    }
    /// The ACL user (default: the server's `default` user).
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }
    /// The password; it appears in no error, log line or `Debug`.
    pub fn password(mut self, password: impl Into<Password>) -> Self {
        self.password = Some(PasswordSource::Fixed(password.into()));
        self
    }
    /// A file that holds the password (and nothing else; a line's end behind it does not count), read whenever a
    /// connection is made: one that was changed there is used without a restart.
    pub fn password_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.password = Some(PasswordSource::File(path.into()));
        self
    }
    /// Where to ask for the password whenever a connection is made, within `connect_timeout`: a vault, a token that
    /// runs out. An error that is transient is tried again.
    ///
    /// ```
    /// # use bus_redis::RedisConfig;
    /// let config = RedisConfig::new("localhost", 6379).user("billing").password_from(|| async {
    ///     Ok("from the vault".into())
    /// });
    /// ```
    pub fn password_from<F, A>(mut self, ask: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<Password>> + Send + 'static,
    {
        self.password = Some(PasswordSource::asked(ask));
        self
    }
    /// TLS, towards sentinels too (default: none). It needs the feature `tls`.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }
    /// The sentinels' own ACL user (default: their `default` user). Nothing changes where there are no sentinels.
    pub fn sentinel_user(mut self, user: impl Into<String>) -> Self {
        self.sentinel_user = Some(user.into());
        self
    }
    /// The sentinels' own password, which is not the primary's; it appears in no error, log line or `Debug`. Nothing
    /// changes where there are no sentinels.
    pub fn sentinel_password(mut self, password: impl Into<Password>) -> Self {
        self.sentinel_password = Some(password.into());
        self
    }
    /// What the connections and members of this process are called in `CLIENT LIST` and in groups (default `bus`).
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.client_id = id.into();
        self
    }
    /// How long a partition stays with an owner that shows no life (default 10 s: longer than any usual pause of a
    /// process or a server; a member that vanishes keeps its partitions that long).
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }
    /// How long handlers of a partition may go on when it moves to another member (default 5 s).
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }
    /// How long a publish is tried before it fails (default 30 s: longer than a restart or failover of a server).
    pub fn publish_timeout(mut self, timeout: Duration) -> Self {
        self.publish_timeout = timeout;
        self
    }
    /// How long connecting may take (default 5 s), and how long any answer may.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }
    /// How long records of topics without a retention of their own are kept (default 7 days).
    pub fn retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }
    /// How long a group without a live member still holds back trimming (default 7 days: longer than any planned stop;
    /// a test group that was forgotten must not fill the server). Such a group is named in a warning and by
    /// [`Admin::facts`](bus_core::Admin::facts), and gets `DataLoss` for what is gone when it comes back.
    pub fn abandoned_after(mut self, time: Duration) -> Self {
        self.abandoned_after = time;
        self
    }
    /// What a confirmed publish survives (default: what the server's own persistence does). A publish that did not get
    /// there in `publish_timeout` is *unknown*. A server that cannot do it is refused when connecting.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }
    /// How long a confirmation is waited for in one go: other packs wait behind it.
    pub(crate) fn confirm_timeout(&self) -> Duration {
        self.connect_timeout / 2
    }
    /// The largest message: key, payload and headers in bytes (default 64 MiB: the server and every reader hold a
    /// message in memory as a whole, several times; at most 256 MiB).
    pub fn message_max(mut self, bytes: usize) -> Self {
        self.message_max = bytes.min(Self::MESSAGE_MAX);
        self
    }
    /// How keys become partitions (default: as Kafka's Java client).
    pub fn partitioner(mut self, partitioner: Partitioner) -> Self {
        self.partitioner = partitioner;
        self
    }
    /// `host:port`, as errors and logs name it; with sentinels, theirs and the primary's name.
    pub fn address(&self) -> String {
        self.servers.to_string()
    }
}

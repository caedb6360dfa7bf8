//! A redis-server of one's own, for what would disturb others.

use bus_brokers::{Redis as Broker, RedisOptions, RedisVersion};
use bus_core::Name;
use bus_redis::Redis;

pub struct Server {
    pub port: u16,
    redis: Broker,
}

impl Server {
    /// A backend on it, with these options behind its URL, and a new topic of one partition.
    pub async fn with_topic(&self, options: &str) -> (Redis, Name) {
        let url = format!("{}{options}", self.url());
        let backend = Redis::connect_url(&url).await.unwrap();
        let topic = super::new_topic(&backend, 1).await;
        (backend, topic)
    }
    /// The oldest supported version, with these settings.
    pub fn start(arguments: &[&str]) -> Self {
        Self::with(RedisOptions::new(), arguments)
    }
    /// Redis 8, with these settings.
    pub fn start_8(arguments: &[&str]) -> Self {
        Self::with(RedisOptions::new().version(RedisVersion::V8), arguments)
    }
    fn with(options: RedisOptions, arguments: &[&str]) -> Self {
        let options = arguments.iter().fold(options, |options, word| options.arg(word));
        let redis = Broker::start(options).unwrap();
        let port = redis.url().rsplit(':').next().unwrap().parse().unwrap();
        Self { port, redis }
    }
    pub fn url(&self) -> String {
        self.redis.url().into()
    }
    /// Ends it at once, as a crash does.
    pub fn kill(&self) {
        self.redis.kill9().unwrap();
    }
    /// Starts it again with what it has on its disk.
    pub fn restart(&self) {
        self.redis.restart().unwrap();
    }
    /// Stops its process without ending it.
    pub fn pause(&self) {
        self.redis.pause().unwrap();
    }
    pub fn resume(&self) {
        self.redis.resume().unwrap();
    }
    pub fn pid(&self) -> u32 {
        self.redis.pid().unwrap()
    }
    /// One command of an independent client.
    pub fn command<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let (name, rest) = words.split_first().unwrap();
        redis::cmd(name)
            .arg(rest)
            .query(&mut super::foreign(&self.url()))
            .unwrap()
    }
    /// A field of `INFO`.
    pub fn info(&self, field: &str) -> String {
        let info: String = self.command(&["INFO"]);
        let prefix = format!("{field}:");
        let value = info.lines().find_map(|line| line.strip_prefix(&*prefix));
        value.unwrap_or_default().trim().to_owned()
    }
}

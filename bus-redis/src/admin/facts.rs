//! What is worth knowing of a server before trusting it.

use super::RedisAdmin;
use crate::{
    keys,
    wire::{Pipeline, info_field},
};
use bus_core::{Name, Result};
use std::time::{SystemTime, UNIX_EPOCH};

/// Fields of `INFO`, by what they are called here.
const FIELDS: [(&str, &str); 14] = [
    ("version", "redis_version"),
    ("mode", "redis_mode"),
    ("run", "run_id"),
    ("role", "role"),
    ("replicas", "connected_slaves"),
    ("uptime (s)", "uptime_in_seconds"),
    ("clients", "connected_clients"),
    ("client limit", "maxclients"),
    ("memory used", "used_memory"),
    ("memory limit", "maxmemory"),
    ("eviction", "maxmemory_policy"),
    ("append-only file", "aof_enabled"),
    ("last append-only write", "aof_last_write_status"),
    ("last snapshot", "rdb_last_bgsave_status"),
];

impl RedisAdmin {
    pub(super) async fn server_facts(&self) -> Result<Vec<(Name, String)>> {
        let link = &self.context.link;
        let info = link.ask(&[b"INFO"]).await?;
        let info = info.text().unwrap_or_default();
        let mut facts: Vec<(Name, String)> = vec![("address".into(), self.address())];
        for (name, field) in FIELDS {
            if let Some(value) = info_field(info, field) {
                facts.push((name.into(), value.into()));
            }
        }
        let before = SystemTime::now();
        let time = link.ask(&[b"TIME"]).await?;
        let ours = before
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_millis() as i64);
        if let (Some(seconds), Some(micros)) = (time.at(0).int(), time.at(1).int()) {
            let ahead = seconds * 1000 + micros / 1000 - ours;
            facts.push(("clock ahead of ours (ms)".into(), ahead.to_string()));
        }
        let seconds = time.at(0).int().unwrap_or(0);
        facts.push(("abandoned groups".into(), self.abandoned_groups(seconds).await?));
        // Many services do not allow it; the rest is worth knowing all the same.
        if let Ok(fsync) = link.ask(&[b"CONFIG", b"GET", b"appendfsync"]).await
            && let Some(value) = fsync.at(1).text()
        {
            facts.push(("append-only fsync".into(), value.into()));
        }
        Ok(facts)
    }

    /// Groups that no longer hold back trimming, because nobody has been in them for too long; `none` where there are
    /// none.
    async fn abandoned_groups(&self, now: i64) -> Result<String> {
        let (link, topics) = (&self.context.link, self.list_topics().await?);
        let mut streams = Vec::with_capacity(topics.len());
        let mut ask = Pipeline::new();
        for spec in &topics {
            // A group that lives owns every partition, so the first one tells.
            let stream = self.context.topics.get(&spec.name).await?.stream(0);
            ask.add(&[b"XINFO", b"GROUPS", stream.as_bytes()]);
            streams.push(stream);
        }
        let (mut pairs, mut look) = (Vec::new(), Pipeline::new());
        if !ask.is_empty() {
            let replies = link.call(&ask).await?;
            for ((spec, stream), groups) in topics.iter().zip(&streams).zip(replies) {
                for group in groups.list().iter().filter_map(|g| g.field("name").text()) {
                    look.add(&[b"HGET", keys::lease(stream, group).as_bytes(), b"seen"]);
                    pairs.push((group.to_owned(), spec.name.clone()));
                }
            }
        }
        let mut found = Vec::new();
        if !look.is_empty() {
            let limit = self.context.config.abandoned_after.as_secs() as i64;
            for ((group, topic), seen) in pairs.into_iter().zip(link.call(&look).await?) {
                match seen.int().map(|seen| now - seen / 1000) {
                    Some(idle) if idle > limit => {
                        found.push(format!("{group} of {topic} (no member for {idle} s)"));
                    }
                    _ => {}
                }
            }
        }
        Ok(if found.is_empty() {
            "none".into()
        } else {
            found.join(", ")
        })
    }
}

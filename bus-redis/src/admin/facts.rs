//! What is worth knowing of a server before trusting it.

use super::RedisAdmin;
use crate::wire::info_field;
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
        // Many services do not allow it; the rest is worth knowing all the same.
        if let Ok(fsync) = link.ask(&[b"CONFIG", b"GET", b"appendfsync"]).await
            && let Some(value) = fsync.at(1).text()
        {
            facts.push(("append-only fsync".into(), value.into()));
        }
        Ok(facts)
    }
}

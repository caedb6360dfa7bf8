//! Compaction: of each key only the newest entry stays. Entries without a key, which other programs may have added, stay.

use crate::{Context, id, keys, scripts::Script, topics::TopicInfo, wire::Pipeline};
use bus_core::Result;
use std::{
    collections::HashMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Entries that one call looks at: a few milliseconds of the server.
const PAGE: &[u8] = b"2000";
/// Entries that one call deletes.
const DELETED: usize = 500;
/// How long a tombstone stays where the topic has no retention: a reader that was away for less still sees it.
const TOMBSTONES: Duration = Duration::from_secs(24 * 3600);

/// How long between two rounds.
pub(crate) fn period(info: &TopicInfo) -> Duration {
    crate::retention::period(info.retention.unwrap_or(TOMBSTONES))
}

/// Compacts one partition, unless somebody else just did or little has come since it had `kept` entries; how many it has
/// now.
pub(crate) async fn compact(
    context: &Context,
    info: &TopicInfo,
    partition: u32,
    kept: usize,
) -> Result<Option<usize>> {
    let (link, stream) = (&context.link, info.stream(partition));
    let length = link.ask(&[b"XLEN", stream.as_bytes()]).await?.int().unwrap_or(0) as usize;
    if length <= kept + kept / 10 {
        return Ok(None);
    }
    let (gate, millis) = (
        keys::gate(&stream, &info.name, partition),
        period(info).as_millis().to_string(),
    );
    let words = [&b"SET"[..], b"1", b"NX", b"PX", millis.as_bytes()];
    if link
        .run(Script::Register, &[gate.as_bytes()], &words)
        .await?
        .text()
        .is_none()
    {
        return Ok(None);
    }
    let gone = superseded(context, info, &stream).await?;
    for ids in gone.chunks(DELETED) {
        let ids: Vec<String> = ids.iter().map(|position| id::id(*position)).collect();
        let mut words = vec![&b"XDEL"[..], stream.as_bytes()];
        words.extend(ids.iter().map(|id| id.as_bytes()));
        link.ask(&words).await?;
    }
    if !gone.is_empty() {
        tracing::debug!(topic = &*info.name, partition, removed = gone.len(), "compacted");
    }
    Ok(Some(length.saturating_sub(gone.len())))
}

/// The entries that are not the newest of their key, and tombstones that everybody has seen.
async fn superseded(context: &Context, info: &TopicInfo, stream: &str) -> Result<Vec<u128>> {
    let link = &context.link;
    let mut newest: HashMap<Vec<u8>, (u128, bool)> = HashMap::new();
    let (mut gone, mut at) = (Vec::new(), "0-0".to_owned());
    loop {
        let reply = link
            .run(Script::Keys, &[stream.as_bytes()], &[at.as_bytes(), PAGE])
            .await?;
        let entries = reply.list().get(1..).unwrap_or_default();
        for entry in entries.chunks_exact(3) {
            let (Some(position), Some(key)) = (entry[0].bytes().and_then(id::position), entry[1].bytes())
            else {
                continue;
            };
            if key.is_empty() {
                continue;
            }
            let entry = (position, entry[2].int() == Some(1));
            if let Some((older, _)) = newest.insert(key.to_vec(), entry) {
                gone.push(older);
            }
        }
        match entries
            .chunks_exact(3)
            .next_back()
            .and_then(|last| last[0].text())
        {
            Some(last) => at = last.to_owned(),
            None => break,
        }
    }
    let mut groups = Pipeline::new();
    groups.add(&[b"XINFO", b"GROUPS", stream.as_bytes()]);
    let groups = link.check(link.call(&groups).await?.remove(0))?;
    let passed = groups
        .list()
        .iter()
        .filter_map(|group| group.field("last-delivered-id").bytes().and_then(id::position))
        .min();
    // Readers without a group are not known: a tombstone is there for them for a while.
    let age = info.retention.unwrap_or(TOMBSTONES);
    let old = SystemTime::now()
        .checked_sub(age)
        .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let old = old.map_or(0, |at| at.as_millis()) << 64;
    let seen = |position: u128| position < old && passed.is_none_or(|passed| position <= passed);
    gone.extend(
        newest
            .into_values()
            .filter(|(p, tombstone)| *tombstone && seen(*p))
            .map(|(p, _)| p),
    );
    Ok(gone)
}

//! Trimming: what is older than the retention goes, up to the slowest group that is in use.

use crate::{keys, scripts::Script, wire::Link};
use bus_core::Result;
use std::time::Duration;

/// A group without a live member for so long holds back nothing any more.
const FORGOTTEN: Duration = Duration::from_secs(7 * 24 * 3600);

/// Trims one partition.
pub(crate) async fn trim(link: &Link, topic: &str, stream: &str, retention: Duration) -> Result<()> {
    let groups = link.ask(&[b"XINFO", b"GROUPS", stream.as_bytes()]).await?;
    let names: Vec<&str> = groups
        .list()
        .iter()
        .filter_map(|g| g.field("name").text())
        .collect();
    let leases: Vec<String> = names.iter().map(|name| keys::lease(stream, name)).collect();
    let mut all = vec![stream.as_bytes()];
    all.extend(leases.iter().map(|l| l.as_bytes()));
    let (keep, forgotten) = (
        retention.as_millis().to_string(),
        FORGOTTEN.as_millis().to_string(),
    );
    let mut words = vec![keep.as_bytes(), forgotten.as_bytes()];
    words.extend(names.iter().map(|n| n.as_bytes()));
    let reply = link.run(Script::Trim, &all, &words).await?;
    if let Some(removed) = reply.at(1).int().filter(|n| *n > 0) {
        tracing::debug!(topic, stream, removed, "trimmed");
    }
    for group in reply.list().iter().skip(2).filter_map(|g| g.text()) {
        tracing::warn!(
            topic,
            group,
            "the group has had no member for a week and does not hold back trimming; delete it or let it catch up"
        );
    }
    Ok(())
}

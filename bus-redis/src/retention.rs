//! Trimming: what is older than the retention goes, up to the slowest group that is in use.

use crate::{Context, keys, scripts::Script, topics::TopicInfo, wire::Pipeline};
use bus_core::Result;
use std::time::Duration;

/// Entries that one approximate `XTRIM` removes at most, by the server's own default; as many mean that there is more.
const MOST: i64 = 10_000;
/// A full server is trimmed this often, whatever the retention.
const FULL: Duration = Duration::from_secs(1);

/// How long between two rounds: what is kept too long is a tenth of the retention, and a round costs next to nothing.
pub(crate) fn period(retention: Duration) -> Duration {
    (retention / 10).clamp(Duration::from_secs(1), Duration::from_secs(30))
}

/// Trims one partition, unless somebody else just did.
pub(crate) async fn trim(context: &Context, info: &TopicInfo, partition: u32, full: bool) -> Result<()> {
    let (link, stream) = (&context.link, info.stream(partition));
    let gate = keys::gate(&stream, &info.name, partition);
    let retention = info.retention.unwrap_or(context.config.retention);
    let mut apart = if full { FULL } else { period(retention) };
    let mut ask = Pipeline::new();
    ask.add(&[b"XINFO", b"GROUPS", stream.as_bytes()]);
    loop {
        let groups = link.check(link.call(&ask).await?.remove(0))?;
        let names: Vec<&str> = groups
            .list()
            .iter()
            .filter_map(|g| g.field("name").text())
            .collect();
        let leases: Vec<String> = names.iter().map(|name| keys::lease(&stream, name)).collect();
        let mut all = vec![stream.as_bytes(), gate.as_bytes()];
        all.extend(leases.iter().map(|l| l.as_bytes()));
        let times = [retention, context.config.abandoned_after, apart].map(|t| t.as_millis().to_string());
        let mut words: Vec<&[u8]> = times.iter().map(|t| t.as_bytes()).collect();
        words.extend(names.iter().map(|n| n.as_bytes()));
        let reply = link.run(Script::Trim, &all, &words).await?;
        let removed = reply.at(1).int().unwrap_or(0);
        if removed > 0 {
            tracing::debug!(topic = &*info.name, partition, removed, "trimmed");
        }
        for group in reply.list().iter().skip(2).filter_map(|g| g.text()) {
            context
                .janitor
                .abandoned(info, group, context.config.abandoned_after);
        }
        if removed < MOST {
            return Ok(());
        }
        apart = Duration::ZERO;
    }
}

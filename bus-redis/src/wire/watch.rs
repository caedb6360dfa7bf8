//! Whether there was a failover. A primary that is replaced while it lives on, as by `SENTINEL FAILOVER`, or that was
//! frozen, breaks no connection before a sentinel demotes it, which takes up to some 20 s; what it confirms until then is
//! gone. So while a backend has connections behind sentinels, one of them is asked about every second.

use super::{Topology, sentinel};
use crate::servers::Servers;
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::time::{MissedTickBehavior, interval};

/// As often as sentinels ask their primary themselves.
const APART: Duration = Duration::from_secs(1);

/// Watches until `topology` is gone.
pub(super) fn start(topology: &Arc<Topology>) {
    if matches!(topology.config().servers, Servers::Sentinels(_)) {
        tokio::spawn(watch(Arc::downgrade(topology)));
    }
}

async fn watch(topology: Weak<Topology>) {
    let mut ticks = interval(APART);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut turn = 0;
    loop {
        ticks.tick().await;
        let Some(topology) = topology.upgrade() else {
            return;
        };
        let Servers::Sentinels(sentinels) = &topology.config().servers else {
            return;
        };
        // Another one each time: one that is behind, or gone, hides a failover for no more than that.
        sentinel::look(&topology, sentinels, turn).await;
        turn += 1;
    }
}

//! What earlier runs have left on a broker.

use super::connect::seconds;
use bus_core::Admin;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

/// What the names of topics and groups of tests begin with; the time follows, in seconds since 1970, in hexadecimal.
pub(super) const OURS: &str = "bus-test-";
/// No test takes longer.
const OLD: u64 = 3600;
/// No test waits longer for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Deletes what is old, once a process, as far as it can be done in a few seconds.
pub(super) async fn once(admin: &Arc<dyn Admin>) {
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.swap(true, Relaxed) {
        return;
    }
    // What is not done now is left to the next run.
    let _ = tokio::time::timeout(PATIENCE, sweep(admin.as_ref(), seconds())).await;
}

async fn sweep(admin: &dyn Admin, now: u64) {
    for group in admin.groups().await.unwrap_or_default() {
        if is_old(&group, now) {
            let _ = admin.delete_group(&group).await;
        }
    }
    for topic in admin.topics().await.unwrap_or_default() {
        if is_old(&topic.name, now) {
            let _ = admin.delete(&topic.name).await;
        }
    }
}

fn is_old(name: &str, now: u64) -> bool {
    let made = name
        .strip_prefix(OURS)
        .and_then(|rest| rest.split_once('-'))
        .filter(|(_, rest)| rest.contains('.'))
        .and_then(|(time, _)| u64::from_str_radix(time, 16).ok());
    made.is_some_and(|made| made + OLD < now)
}

#[cfg(all(test, feature = "memory"))]
mod tests {
    use super::*;
    use bus_core::{Backend, TopicSpec};

    #[tokio::test]
    async fn only_old_topics_of_tests_go() {
        let memory = bus_memory::Memory::new();
        let admin = memory.admin();
        let now = 0x6000_0000;
        let old = format!("{OURS}{:08x}-00ff.orders", now - OLD - 1);
        let young = format!("{OURS}{:08x}-00ff.orders", now - OLD);
        let all = [
            &*old,
            &*young,
            "orders",
            "bus-test-orders",
            "bus-test-00000001-orders",
        ];
        admin.create(&all.map(TopicSpec::new)).await.unwrap();
        sweep(admin.as_ref(), now).await;
        let left: Vec<_> = admin
            .topics()
            .await
            .unwrap()
            .into_iter()
            .map(|topic| topic.name.to_string())
            .collect();
        let mut expected = all[1..].to_vec();
        expected.sort_unstable();
        assert_eq!(left, expected);
    }
}

//! Listening to `tracing` on one thread, while others do not.

use std::{sync::LazyLock, time::Duration};
use tracing::{
    Dispatch, Subscriber,
    subscriber::{DefaultGuard, NoSubscriber},
};

/// While there is a single one, `tracing` asks only the thread that comes to a callsite first, and where that has none it turns
/// the callsite off for all. With two it asks both.
static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::default()));

pub(crate) fn listen(subscriber: impl Subscriber + Send + Sync + 'static) -> DefaultGuard {
    LazyLock::force(&SECOND);
    let guard = tracing::subscriber::set_default(subscriber);
    // Another thread may be registering a callsite right now, having seen no listener, and would turn it off for good:
    // `tracing` does not exclude that. It takes microseconds.
    std::thread::sleep(Duration::from_millis(20));
    tracing::callsite::rebuild_interest_cache();
    guard
}

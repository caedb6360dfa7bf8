//! Trying a call again that failed for a passing reason.

use crate::{Result, Retry};
use std::{future::Future, time::Duration};
use tokio::time::Instant;

const WAITS: Retry = Retry::exponential(Duration::from_millis(50)).cap(Duration::from_secs(1));

/// Calls until it succeeds, fails for good, or `limit` has passed since the first call.
pub(crate) async fn again<T, R: Future<Output = Result<T>>>(
    limit: Duration,
    mut call: impl FnMut() -> R,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    let mut attempt = 0;
    loop {
        attempt += 1;
        let wait = WAITS.wait(attempt);
        match call().await {
            Err(error) if error.is_transient() && Instant::now() + wait < deadline => {
                tracing::warn!(%error, attempt, "trying again");
                tokio::time::sleep(wait).await;
            }
            result => return result,
        }
    }
}

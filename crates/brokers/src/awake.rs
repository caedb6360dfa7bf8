//! Time without the pauses of a machine that stands.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often it counts.
const STEP: Duration = Duration::from_millis(20);
/// What one step counts for at most: enough for a busy machine's scheduler, next to nothing of a pause of seconds.
const MOST: Duration = Duration::from_millis(60);

/// Time that this process was awake: a machine that stands for seconds, or a process that is stopped, costs one step.
///
/// It is for upper bounds that say "nothing waited for a long timer here". It is wrong where the timer is another process's
/// and goes on while this one stands, as a broker's session does.
#[derive(Debug)]
pub struct Awake(Arc<AtomicU64>);

impl Awake {
    /// Counts from now on, in a thread that ends soon after this was dropped.
    #[must_use]
    pub fn begin() -> Self {
        let counted = Arc::new(AtomicU64::new(0));
        let count = Arc::downgrade(&counted);
        std::thread::spawn(move || {
            let mut last = Instant::now();
            while let Some(counted) = count.upgrade() {
                std::thread::sleep(STEP);
                let now = Instant::now();
                let step = (now - last).min(MOST).as_micros();
                counted.fetch_add(u64::try_from(step).unwrap_or(u64::MAX), Ordering::Relaxed);
                last = now;
            }
        });
        Self(counted)
    }
    /// How long it was awake since then; up to one step is not counted yet.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }
}

//! The mover of one topic's delays: a subscription that is begun again for as long as its bus lives.

use super::{
    delays::{Delays, stopped},
    line::Line,
    session::{End, session},
};
use crate::Retry;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// Waits before a mover that failed begins again: a broker that restarts is not asked by everybody at once.
const AGAIN: Retry = Retry::exponential(Duration::from_millis(200))
    .forever()
    .cap(Duration::from_secs(30));
/// One that went well for so long has got over its failures.
const WELL: Duration = Duration::from_secs(60);

pub(super) async fn run(delays: Arc<Delays>, line: Arc<Line>, after: Duration) {
    let mut stop = delays.stop.subscribe();
    tokio::select! {
        biased;
        () = stopped(&mut stop) => {}
        () = sleep(after) => moves(&delays, &line).await,
    }
    // Whoever publishes next asks, and starts another one.
    line.forget();
    line.stopped_moving();
}

async fn moves(delays: &Arc<Delays>, line: &Line) {
    let mut stop = delays.stop.subscribe();
    // Whether the target may refuse something: then each message is asked about, and the others get past it.
    let mut carefully = false;
    let mut failures = 0;
    loop {
        let began = Instant::now();
        match session(delays, line, carefully, &mut stop).await {
            End::Stopped => return,
            End::Gone => {
                tracing::info!(
                    topic = &*line.delays,
                    "the topic of delayed messages is gone; nothing is moved any more"
                );
                return;
            }
            End::Calm => (carefully, failures) = (false, 0),
            End::Failed(error) => {
                carefully = carefully || !error.is_transient();
                failures = if began.elapsed() > WELL { 1 } else { failures + 1 };
                tracing::warn!(topic = &*line.delays, %error, failures, "moving delayed messages failed, beginning again");
                tokio::select! {
                    () = stopped(&mut stop) => return,
                    () = sleep(AGAIN.wait(failures)) => {}
                }
            }
        }
    }
}

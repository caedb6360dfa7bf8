//! What a program waits for is there from the call on. A process of its own: the signals are its own.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use bus::app::interrupted;
use rustix::process::{Signal, getpid, kill_process};
use std::time::Duration;
use tokio::time::timeout;

#[tokio::test]
async fn signals_are_caught_before_anybody_waits_for_them() {
    for signal in [Signal::TERM, Signal::INT] {
        let waits = interrupted();
        // By default it would end this process.
        kill_process(getpid(), signal).unwrap();
        timeout(Duration::from_secs(20), waits).await.expect("it is kept");
        // Who calls later waits for the next one.
        let early = timeout(Duration::from_millis(100), interrupted()).await;
        assert!(early.is_err(), "{signal:?}");
    }
}

//! The log of librdkafka, for tests that wait for what it says.

use super::SOON;
use std::{
    io::Write,
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

/// What librdkafka has to say: nothing else tells what state it is in. Once a process.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    pub(crate) fn record(filter: &str) -> Self {
        let lines = Self::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt().with_env_filter(filter);
        log.with_writer(move || writer.clone()).with_ansi(false).init();
        lines
    }
    /// The same for all tests of a process.
    pub(crate) fn shared() -> &'static Self {
        static LINES: OnceLock<Lines> = OnceLock::new();
        LINES.get_or_init(|| Self::record("librdkafka=debug,bus=info"))
    }
    pub(crate) async fn until(&self, text: &str) {
        let deadline = Instant::now() + SOON;
        while !String::from_utf8_lossy(&self.0.lock().unwrap()).contains(text) {
            assert!(Instant::now() < deadline, "librdkafka does not say {text:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        std::io::stderr().write(line)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

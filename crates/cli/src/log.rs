//! Logs, on standard error.

use crate::{output, secret};
use std::{
    collections::HashMap,
    io::{self, Write},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use tracing_subscriber::EnvFilter;

/// What is logged where nothing is asked for: warnings, but not what a backend says at every start and `bus check`
/// says better, and not the client library's own lines, which the backend says too.
const DEFAULT: &str = "warn,bus_redis::preflight=error,librdkafka=off";
/// The same line is not said again within this time: a broker that is down is news once.
const NEWS: Duration = Duration::from_secs(10);

/// When each line was said last; `None` before the bus is connected, because until then the error that ends the
/// command says everything.
static SAID: Mutex<Option<HashMap<String, Instant>>> = Mutex::new(None);

/// Starts logging by this filter, else by `RUST_LOG`, else warnings. Who names a filter gets every line.
pub(crate) fn start(filter: Option<&str>) {
    let filter = filter
        .map(str::to_owned)
        .or_else(|| std::env::var("RUST_LOG").ok())
        .filter(|f| !f.is_empty());
    let parsed = EnvFilter::try_new(filter.as_deref().unwrap_or(DEFAULT));
    let wrong = parsed.as_ref().err().map(ToString::to_string);
    let all = filter.is_some();
    tracing_subscriber::fmt()
        .with_env_filter(parsed.unwrap_or_else(|_| EnvFilter::new(DEFAULT)))
        .with_ansi(output::stderr_is_styled())
        .with_writer(move || Lines { all })
        .init();
    if let Some(wrong) = wrong {
        tracing::warn!("the log filter is not understood ({wrong}), logging warnings");
    }
}

/// The bus is connected: warnings are news from now on.
pub(crate) fn connected() {
    SAID.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get_or_insert_default();
}

/// Standard error without passwords. A line comes in one call.
struct Lines {
    all: bool,
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        if self.all || is_news(&text) {
            io::stderr().write_all(secret::hide(&text).as_bytes())?;
        }
        Ok(line.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn is_news(line: &str) -> bool {
    // What follows the time.
    let text = line.split_once(' ').map_or(line, |(_, text)| text);
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(said) = said.as_mut() else { return false };
    let now = Instant::now();
    said.retain(|_, at| now.duration_since(*at) < NEWS);
    if said.contains_key(text) {
        return false;
    }
    said.insert(text.to_owned(), now);
    true
}

//! How far it is, for a person who waits.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

/// What is done sooner needs no bar.
const PATIENCE: Duration = Duration::from_secs(1);

/// A bar on standard error, where that is a terminal and the wait is long.
#[derive(Debug)]
pub(crate) struct Progress {
    since: Instant,
    total: Option<u64>,
    /// How much of the total is done.
    done: u64,
    bar: Option<ProgressBar>,
    wanted: bool,
}

impl Progress {
    /// Bytes are what a file's size is known in.
    pub(crate) fn new(total: Option<u64>) -> Self {
        let person = std::io::stdin().is_terminal();
        Self::if_wanted(total, !person)
    }
    /// Messages, which were counted before.
    pub(crate) fn of_messages(total: u64) -> Self {
        Self::if_wanted(Some(total), true)
    }
    fn if_wanted(total: Option<u64>, wanted: bool) -> Self {
        Self {
            since: Instant::now(),
            total,
            done: 0,
            bar: None,
            wanted: wanted && std::io::stderr().is_terminal(),
        }
    }
    /// So many of the messages are done.
    pub(crate) fn moved(&mut self, messages: u64) {
        self.done = messages;
        self.stored(messages);
    }
    /// So many bytes were read.
    pub(crate) fn read(&mut self, bytes: usize) {
        self.done += bytes as u64;
    }
    /// So many messages are stored.
    pub(crate) fn stored(&mut self, messages: u64) {
        if !self.wanted || self.since.elapsed() < PATIENCE {
            return;
        }
        let bar = self
            .bar
            .get_or_insert_with(|| bar(self.total).with_elapsed(self.since.elapsed()));
        bar.set_position(self.done);
        let rate = messages as f64 / self.since.elapsed().as_secs_f64();
        bar.set_message(format!("{messages} messages, {rate:.0}/s"));
    }
    /// Takes the bar away, so that what is said next stands alone.
    pub(crate) fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
    /// Says something above the bar.
    pub(crate) fn aside<T>(&self, say: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(say),
            None => say(),
        }
    }
}

fn bar(total: Option<u64>) -> ProgressBar {
    let (bar, form) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{elapsed_precise} {wide_bar} {percent}% {msg}",
        ),
        None => (ProgressBar::no_length(), "{elapsed_precise} {spinner} {msg}"),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template(form) {
        bar.set_style(style);
    }
    bar
}

//! Everything that a test program says, and a search through it for secrets: what is logged on any thread at any level, and
//! what is shown of errors and values. `mod overheard` by path; then [`listen`] first, [`secret`] for each password, [`show`]
//! for each error or value, and [`search`] at the end of each test.
#![allow(dead_code)]

use std::{
    error::Error,
    fmt::{Debug, Display, Write},
    sync::{LazyLock, Mutex, MutexGuard, Once, PoisonError},
};
use tracing::{
    Event, Id, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Record},
};

#[derive(Default)]
struct Heard {
    /// Secrets, in every form that they might be written in.
    secrets: Vec<String>,
    text: String,
    lines: usize,
}

static HEARD: LazyLock<Mutex<Heard>> = LazyLock::new(Mutex::default);

fn heard() -> MutexGuard<'static, Heard> {
    HEARD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Listens to every thread of this process from here on.
pub(crate) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Listener).expect("nobody else listens"));
}

/// A secret that is found nowhere else. It has characters that URLs, shells and quoted strings write in other ways.
pub(crate) fn secret(what: &str) -> String {
    let unique = uuid::Uuid::new_v4().simple().to_string();
    let secret = format!("{what}-{unique}");
    // Its middle is enough to know it by, however the rest is escaped or cut.
    heard().secrets.push(unique);
    secret
}

/// A text that is a secret already, such as a key in a file.
pub(crate) fn is_secret(text: &str) {
    heard().secrets.push(text.to_owned());
}

/// Puts a text to what was said.
pub(crate) fn said(text: impl Display) {
    let mut heard = heard();
    heard.lines += 1;
    let _ = writeln!(heard.text, "{text}");
}

/// A value as it shows itself.
pub(crate) fn show(value: &impl Debug) {
    said(format_args!("{value:?} {value:#?}"));
}

/// An error as it shows itself, with all that it comes from.
pub(crate) fn show_error(error: &(dyn Error + 'static)) {
    let mut next = Some(error);
    while let Some(error) = next {
        said(format_args!("{error} {error:?} {error:#?}"));
        next = error.source();
    }
}

/// Fails if a secret was said, or if nothing was: then nobody listened.
pub(crate) fn search() {
    let heard = heard();
    assert!(heard.lines > 0, "nothing was said at all");
    assert!(!heard.secrets.is_empty(), "there is no secret to look for");
    for secret in &heard.secrets {
        let found = heard.text.lines().find(|line| line.contains(secret.as_str()));
        // Without the line itself: it would print the secret.
        let found = found.map(|line| line.replace(secret.as_str(), "<the secret>"));
        assert!(found.is_none(), "a secret was said: {found:?}");
    }
}

/// Whether somebody said this: for tests that a certain source was listened to.
pub(crate) fn was_said(part: &str) -> bool {
    heard().text.contains(part)
}

struct Listener;

impl Subscriber for Listener {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut line = Line(format!("span {}", span.metadata().name()));
        span.record(&mut line);
        said(line.0);
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut line = Line(String::new());
        values.record(&mut line);
        said(line.0);
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut line = Line(format!(
            "{} {}",
            event.metadata().level(),
            event.metadata().target()
        ));
        event.record(&mut line);
        said(line.0);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

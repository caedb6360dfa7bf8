//! What is said about each message: where it was stored, or why it was not.

use crate::position::{Form, Position};
use bus::{ErrorKind, Outcome, Unsent};
use serde::Serialize;
use std::{
    borrow::Cow,
    io::{self, Write},
};

/// The JSON line of a message that was stored.
#[derive(Serialize)]
struct Stored<'a> {
    topic: &'a str,
    partition: Option<u32>,
    position: Option<Position>,
}

/// Counts outcomes and tells them.
#[derive(Debug)]
pub(crate) struct Receipts<'a> {
    topic: Cow<'a, str>,
    form: Form,
    /// Whether each is printed; off once nobody reads any more, which is no reason to publish less.
    print: bool,
    lines: Vec<u8>,
    pub(crate) published: u64,
    pub(crate) failed: u64,
}

impl<'a> Receipts<'a> {
    pub(crate) fn new(topic: Cow<'a, str>, form: Form, print: bool) -> Self {
        Self {
            topic,
            form,
            print,
            lines: Vec::new(),
            published: 0,
            failed: 0,
        }
    }
    /// Names a line that is not published.
    pub(crate) fn failed(&mut self, line: u64, why: &str) {
        self.name(line, line, why);
    }
    fn name(&mut self, first: u64, last: u64, why: &str) {
        self.failed += last - first + 1;
        let lines = if first == last {
            format!("line {first}")
        } else {
            format!("lines {first}-{last}")
        };
        eprintln!("{lines}: {}", crate::secret::hide(why));
    }
    /// Takes in the outcomes of these lines, in their order. True: there is no point in going on.
    pub(crate) fn take(&mut self, lines: &[u64], outcomes: Vec<Result<Outcome, Unsent>>) -> io::Result<bool> {
        let mut hopeless = false;
        // Neighbours that failed for one reason are named together: a thousand equal sentences hide the first.
        let mut run: Option<(u64, u64, String)> = None;
        for (line, outcome) in lines.iter().zip(outcomes) {
            match outcome {
                Ok(Outcome::Stored(receipt)) => self.stored(Some(receipt.partition), receipt.position)?,
                Ok(_) => self.stored(None, None)?,
                Err(unsent) => {
                    hopeless |= is_hopeless(unsent.error().kind());
                    let why = unsent.to_string();
                    match &mut run {
                        Some((_, last, said)) if *last + 1 == *line && *said == why => *last = *line,
                        _ => {
                            let before = run.replace((*line, *line, why));
                            self.name_run(before);
                        }
                    }
                }
            }
        }
        self.name_run(run);
        self.flush()?;
        Ok(hopeless)
    }
    fn name_run(&mut self, run: Option<(u64, u64, String)>) {
        if let Some((first, last, why)) = run {
            self.name(first, last, &why);
        }
    }
    fn stored(&mut self, partition: Option<u32>, position: Option<u128>) -> io::Result<()> {
        self.published += 1;
        if self.print {
            let position = position.map(|position| self.form.show(position));
            serde_json::to_writer(
                &mut self.lines,
                &Stored {
                    topic: &self.topic,
                    partition,
                    position,
                },
            )?;
            self.lines.push(b'\n');
        }
        Ok(())
    }
    fn flush(&mut self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let written = if self.lines.is_empty() {
            Ok(())
        } else {
            out.write_all(&self.lines).and_then(|()| out.flush())
        };
        self.lines.clear();
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.print = false,
            other => other?,
        }
        Ok(())
    }
}

/// What the next message would fail for too.
fn is_hopeless(kind: ErrorKind) -> bool {
    use ErrorKind::{Closed, Denied, Disabled, Timeout, TopicMissing, Unavailable};
    matches!(
        kind,
        TopicMissing | Denied | Unavailable | Timeout | Disabled | Closed
    )
}

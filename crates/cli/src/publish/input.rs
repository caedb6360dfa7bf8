//! Where messages come from: the argument, or the lines of standard input, read and parsed on a thread of its own
//! because a read may block for ever.

use super::{defaults::Defaults, line};
use bus::{Bytes, Message};
use std::io::{self, BufRead, Read};
use tokio::sync::mpsc;

/// Bytes that one read takes at most.
const CHUNK: usize = 256 * 1024;
/// Chunks that are read ahead of the broker.
const AHEAD: usize = 4;
/// A longer line is no message: no broker takes it, and it would only fill the memory.
const LINE: usize = 256 << 20;

/// A message or why there is none, with its line's number from 1.
pub(crate) type Line = (u64, Result<Message, String>);

/// What was read at once.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) lines: Vec<Line>,
    /// Bytes it took.
    pub(crate) bytes: usize,
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// The payload.
    Raw,
    /// A message as JSON; empty lines are passed over.
    Json,
}

/// A source of messages.
#[derive(Debug)]
pub(crate) struct Input {
    chunks: mpsc::Receiver<io::Result<Chunk>>,
    /// How many bytes there will be, where that is known.
    pub(crate) total: Option<u64>,
}

impl Input {
    /// One message.
    pub(crate) fn one(message: Message) -> Self {
        let (sender, chunks) = mpsc::channel(1);
        let _ = sender.try_send(Ok(Chunk {
            lines: vec![(1, Ok(message))],
            bytes: 0,
        }));
        Self { chunks, total: None }
    }
    /// A message for each line of standard input.
    pub(crate) fn stdin(format: Format, defaults: Defaults) -> io::Result<Self> {
        let (sender, chunks) = mpsc::channel(AHEAD);
        let stdin = stdin()?;
        let total = stdin
            .metadata()
            .ok()
            .filter(|file| file.is_file())
            .map(|file| file.len());
        // Not one of the runtime's threads, which it would wait for at the end.
        std::thread::Builder::new()
            .name("stdin".to_owned())
            .spawn(move || {
                let mut lines = Lines {
                    format,
                    defaults,
                    number: 0,
                };
                if let Err(error) = read(stdin, &mut lines, &sender) {
                    let _ = sender.blocking_send(Err(error));
                }
            })?;
        Ok(Self { chunks, total })
    }
    /// What is there, waiting until something is; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<io::Result<Chunk>> {
        self.chunks.recv().await
    }
}

/// Standard input without a buffer in between.
#[cfg(unix)]
fn stdin() -> io::Result<std::fs::File> {
    use std::os::fd::AsFd;
    Ok(io::stdin().as_fd().try_clone_to_owned()?.into())
}

#[cfg(windows)]
fn stdin() -> io::Result<std::fs::File> {
    use std::os::windows::io::AsHandle;
    Ok(io::stdin().as_handle().try_clone_to_owned()?.into())
}

/// Reads until the end, or until nobody listens.
fn read(mut from: impl Read, lines: &mut Lines, to: &mpsc::Sender<io::Result<Chunk>>) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    // A line whose end is not there yet.
    let mut begun = Vec::new();
    loop {
        let count = match from.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        let read = &chunk[..count];
        let end = if count == 0 {
            Some(0)
        } else {
            read.iter().rposition(|b| *b == b'\n').map(|at| at + 1)
        };
        let Some(end) = end else {
            begun.extend_from_slice(read);
            if begun.len() > LINE {
                let text = format!("line {} has no end within {} MiB", lines.number + 1, LINE >> 20);
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            continue;
        };
        begun.extend_from_slice(&read[..end]);
        let whole = std::mem::replace(&mut begun, read[end..].to_vec());
        if to
            .blocking_send(Ok(Chunk {
                lines: lines.take(whole.into()),
                bytes: count,
            }))
            .is_err()
            || count == 0
        {
            return Ok(());
        }
    }
}

/// Makes messages of lines.
struct Lines {
    format: Format,
    defaults: Defaults,
    number: u64,
}

impl Lines {
    /// The messages of these lines, which share their memory. Only the last line of all may lack its end.
    fn take(&mut self, arena: Bytes) -> Vec<Line> {
        let mut found = Vec::new();
        let mut rest = &arena[..];
        while !rest.is_empty() {
            let begin = rest;
            // The standard library's own search: fast in every build, and without an error on bytes in memory.
            let length = rest.skip_until(b'\n').unwrap_or(begin.len());
            let text = &begin[..length];
            let text = text.strip_suffix(b"\n").unwrap_or(text);
            self.number += 1;
            match self.format {
                Format::Raw => found.push((self.number, Ok(self.defaults.raw(arena.slice_ref(text))))),
                Format::Json if text.trim_ascii().is_empty() => {}
                Format::Json => found.push((self.number, line::message(&arena, text, &self.defaults))),
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        args::{Cli, Command},
        publish::Args,
    };
    use clap::Parser;

    /// Hands its text out in pieces of every length in turn.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let count = (self.1 % 3 + 1).min(self.0.len());
            let (now, later) = self.0.split_at(count);
            to[..count].copy_from_slice(now);
            (self.0, self.1) = (later, self.1 + 1);
            Ok(count)
        }
    }

    fn all(format: Format, text: &[u8]) -> Vec<(u64, Option<Vec<u8>>)> {
        let Command::Publish(args) = Cli::parse_from(["bus", "publish", "t"]).command else {
            panic!("not publish")
        };
        let args: Args = args;
        let (sender, mut chunks) = mpsc::channel(1_000);
        read(
            Pieces(text, 0),
            &mut Lines {
                format,
                defaults: Defaults::new(&args),
                number: 0,
            },
            &sender,
        )
        .unwrap();
        drop(sender);
        let mut found = Vec::new();
        while let Some(chunk) = chunks.blocking_recv() {
            let payload =
                |line: Result<Message, String>| line.ok().and_then(|m| m.payload).map(|p| p.to_vec());
            found.extend(
                chunk
                    .unwrap()
                    .lines
                    .into_iter()
                    .map(|(number, line)| (number, payload(line))),
            );
        }
        found
    }

    #[test]
    fn each_line_is_a_message_however_it_is_read() {
        let text = |t: &str| Some(t.as_bytes().to_vec());
        let expected = [
            (1, text("one")),
            (2, text("")),
            (3, text("two words")),
            (4, text("x\r")),
        ];
        assert_eq!(all(Format::Raw, b"one\n\ntwo words\nx\r\n"), expected);
        assert_eq!(
            all(Format::Raw, b"one\n\ntwo words\nx\r"),
            expected,
            "the last end may be missing"
        );
        assert_eq!(all(Format::Raw, b""), []);
    }

    #[test]
    fn json_lines_are_counted_with_the_empty_and_the_wrong_ones() {
        let found = all(Format::Json, b"{\"value\":\"a\"}\n\nx\n{\"value\":\"b\"}");
        assert_eq!(
            found,
            [(1, Some(b"a".to_vec())), (3, None), (4, Some(b"b".to_vec()))]
        );
    }
}

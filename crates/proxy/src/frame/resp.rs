//! RESP: how long the first value of a stream is, and what a command is called.

use super::Malformed;

/// Deeper than any reply nests.
const DEEPEST: usize = 64;

/// The first value's length; `None` while it is not all there.
pub(super) fn length(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    value(bytes, 0, 0)
}

/// Where the value that begins at `at` ends.
fn value(bytes: &[u8], at: usize, depth: usize) -> Result<Option<usize>, Malformed> {
    if depth > DEEPEST {
        return Err(Malformed);
    }
    let Some(kind) = bytes.get(at) else {
        return Ok(None);
    };
    // Looked at before the line is whole: what is no RESP may never end one.
    if !matches!(
        kind,
        b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' | b'$' | b'=' | b'!'
    ) && !matches!(kind, b'*' | b'~' | b'>' | b'%' | b'|' | b'A'..=b'Z' | b'a'..=b'z')
    {
        return Err(Malformed);
    }
    let Some((line, end)) = line(bytes, at + 1) else {
        return Ok(None);
    };
    match kind {
        b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => Ok(Some(end)),
        b'$' | b'=' | b'!' => match number(line)? {
            None => Ok(Some(end)),
            Some(length) => {
                let end = end
                    .checked_add(length)
                    .and_then(|e| e.checked_add(2))
                    .ok_or(Malformed)?;
                Ok((bytes.len() >= end).then_some(end))
            }
        },
        b'*' | b'~' | b'>' => several(bytes, end, number(line)?.unwrap_or(0), depth),
        b'%' => several(bytes, end, number(line)?.unwrap_or(0).saturating_mul(2), depth),
        // An attribute stands in front of the value it belongs to.
        b'|' => several(
            bytes,
            end,
            number(line)?.unwrap_or(0).saturating_mul(2) + 1,
            depth,
        ),
        // An inline command, as people type them.
        _ => Ok(Some(end)),
    }
}

fn several(bytes: &[u8], mut at: usize, count: usize, depth: usize) -> Result<Option<usize>, Malformed> {
    for _ in 0..count {
        match value(bytes, at, depth + 1)? {
            Some(end) => at = end,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

/// A line without its end, and where the next one begins.
fn line(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = bytes.get(at..)?;
    let end = rest.windows(2).position(|w| w == b"\r\n")?;
    Some((&rest[..end], at + end + 2))
}

/// A length; `None` for the one below zero that stands for null.
fn number(text: &[u8]) -> Result<Option<usize>, Malformed> {
    let text = std::str::from_utf8(text).map_err(|_| Malformed)?;
    if text == "-1" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| Malformed)
}

/// Whether the server sent this by itself, as an answer to nothing.
pub(super) fn is_push(frame: &[u8]) -> bool {
    frame.first() == Some(&b'>')
}

/// A command's name in capitals; empty where there is none.
pub(super) fn command(frame: &[u8]) -> String {
    let name = match frame.first() {
        Some(b'*') => line(frame, 1).and_then(|(_, at)| {
            let (length, at) = line(frame, at + 1)?;
            let length = number(length).ok()??;
            frame.get(at..at + length)
        }),
        _ => frame.split(u8::is_ascii_whitespace).next(),
    };
    String::from_utf8_lossy(name.unwrap_or_default()).to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use crate::frame::{Call, Frame, Framing, Protocol};
    use bytes::BytesMut;

    fn frames(mut framing: Framing, stream: &[u8], step: usize) -> Vec<Frame> {
        let (mut buffer, mut frames) = (BytesMut::new(), Vec::new());
        for piece in stream.chunks(step) {
            buffer.extend_from_slice(piece);
            frames.extend(std::iter::from_fn(|| framing.split(&mut buffer)));
        }
        assert!(buffer.is_empty(), "{buffer:?} is left");
        frames
    }

    #[test]
    fn pipelined_commands_are_counted_and_named() {
        let stream =
            b"*1\r\n$5\r\nmulti\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\n\r\n\r\nPING\r\n*1\r\n$4\r\nEXEC\r\n";
        for step in 1..stream.len() {
            let frames = frames(Framing::requests(Protocol::Redis), stream, step);
            let seen: Vec<_> = frames.iter().map(|f| (f.id, f.call.clone())).collect();
            let expected = |id, name: &str| (Some(id), Some(Call::Redis(name.into())));
            assert_eq!(seen[..2], [expected(1, "MULTI"), expected(2, "SET")]);
            assert_eq!(seen.last(), Some(&expected(4, "EXEC")));
            assert_eq!(frames.len(), 4);
        }
    }

    #[test]
    fn replies_of_every_kind_are_one_each_and_pushes_none() {
        let replies: [&[u8]; 11] = [
            b"+OK\r\n",
            b"-ERR no\r\n",
            b":-12\r\n",
            b"$-1\r\n",
            b"*-1\r\n",
            b"$3\r\na\r\n\r\n",
            b"*2\r\n*1\r\n:1\r\n$0\r\n\r\n",
            b"%1\r\n+a\r\n_\r\n",
            b"|1\r\n+ttl\r\n:3\r\n#t\r\n",
            b"~1\r\n,1.5\r\n",
            b"=7\r\ntxt:abc\r\n",
        ];
        for step in [1, 3, 1000] {
            let seen = frames(Framing::replies(Protocol::Redis), &replies.concat(), step);
            assert_eq!(seen.len(), replies.len());
            for (number, (frame, reply)) in seen.iter().zip(replies).enumerate() {
                assert_eq!((frame.id, &frame.bytes[..]), (Some(number as u64 + 1), reply));
            }
        }
        let pushed = frames(Framing::replies(Protocol::Redis), b">1\r\n+x\r\n+OK\r\n", 4);
        assert_eq!(pushed.iter().map(|f| f.id).collect::<Vec<_>>(), [None, Some(1)]);
    }

    #[test]
    fn what_is_not_redis_passes() {
        let seen = frames(Framing::replies(Protocol::Redis), b"\x16\x03\x01 tls", 100);
        assert_eq!((seen.len(), seen[0].id), (1, None));
    }
}

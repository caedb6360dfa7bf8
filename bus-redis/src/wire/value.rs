//! Replies in RESP2, decoded whole: for everything but the records, which `subscriber::decode` reads in place.

use bus_core::{Error, ErrorKind};

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// A null string or array.
    Nil,
    /// An integer.
    Int(i64),
    /// A status or a string.
    Text(Vec<u8>),
    /// An array.
    List(Vec<Value>),
    /// An error, as the server wrote it.
    Error(String),
}

/// The bytes are not RESP2: the connection cannot be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl From<Malformed> for Error {
    fn from(_: Malformed) -> Self {
        Error::new(
            ErrorKind::Unavailable,
            "the server's reply is not RESP2; is this a Redis port?",
        )
    }
}

/// Nesting beyond what any command of ours returns means that these are not replies.
const DEPTH: usize = 16;

impl Value {
    /// The reply at the start of `bytes` and its length; `None` while it is incomplete.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Value, usize)>, Malformed> {
        let mut at = 0;
        Ok(parse(bytes, &mut at, DEPTH)?.map(|value| (value, at)))
    }
    /// The integer, also where the server sends it as a string.
    pub(crate) fn int(&self) -> Option<i64> {
        match self {
            Value::Int(value) => Some(*value),
            Value::Text(_) => self.text()?.parse().ok(),
            _ => None,
        }
    }
    /// The string, where it is UTF-8.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Value::Text(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }
    /// The string's bytes.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Text(bytes) => Some(bytes),
            _ => None,
        }
    }
    /// The elements; none where this is no array.
    pub(crate) fn list(&self) -> &[Value] {
        match self {
            Value::List(list) => list,
            _ => &[],
        }
    }
    /// The element at `index`, or nil.
    pub(crate) fn at(&self, index: usize) -> &Value {
        self.list().get(index).unwrap_or(&Value::Nil)
    }
    /// The value behind `name` in a flat list of names and values, or nil.
    pub(crate) fn field(&self, name: &str) -> &Value {
        self.list()
            .chunks_exact(2)
            .find(|pair| pair[0].bytes() == Some(name.as_bytes()))
            .map_or(&Value::Nil, |pair| &pair[1])
    }
}

fn parse(bytes: &[u8], at: &mut usize, depth: usize) -> Result<Option<Value>, Malformed> {
    let Some((kind, line)) = line(bytes, at)? else {
        return Ok(None);
    };
    Ok(Some(match kind {
        b'+' => Value::Text(line.to_vec()),
        b'-' => Value::Error(String::from_utf8_lossy(line).into_owned()),
        b':' => Value::Int(integer(line)?),
        b'$' => match integer(line)? {
            -1 => Value::Nil,
            length => {
                let length = usize::try_from(length).map_err(|_| Malformed)?;
                match bulk(bytes, at, length)? {
                    Some(text) => Value::Text(text.to_vec()),
                    None => return Ok(None),
                }
            }
        },
        b'*' => match integer(line)? {
            -1 => Value::Nil,
            length if length < 0 || depth == 0 => return Err(Malformed),
            length => {
                // Not `with_capacity(length)`: the length is the server's word until its elements are here.
                let mut list = Vec::new();
                for _ in 0..length {
                    match parse(bytes, at, depth - 1)? {
                        Some(value) => list.push(value),
                        None => return Ok(None),
                    }
                }
                Value::List(list)
            }
        },
        _ => return Err(Malformed),
    }))
}

/// Lines carry numbers, statuses and errors; none is long.
const LONGEST_LINE: usize = 64 * 1024;

/// The line at `at`: its first byte and the rest, without its end.
pub(crate) fn line<'a>(bytes: &'a [u8], at: &mut usize) -> Result<Option<(u8, &'a [u8])>, Malformed> {
    let rest = &bytes[*at..];
    let Some(end) = rest.iter().position(|b| *b == b'\n') else {
        return if rest.len() > LONGEST_LINE {
            Err(Malformed)
        } else {
            Ok(None)
        };
    };
    if end < 2 || rest[end - 1] != b'\r' {
        return Err(Malformed);
    }
    *at += end + 1;
    Ok(Some((rest[0], &rest[1..end - 1])))
}

/// `length` bytes at `at`, and the line's end behind them.
pub(crate) fn bulk<'a>(
    bytes: &'a [u8],
    at: &mut usize,
    length: usize,
) -> Result<Option<&'a [u8]>, Malformed> {
    let rest = &bytes[*at..];
    let Some(end) = length.checked_add(2) else {
        return Err(Malformed);
    };
    if rest.len() < end {
        return Ok(None);
    }
    if &rest[length..end] != b"\r\n" {
        return Err(Malformed);
    }
    *at += end;
    Ok(Some(&rest[..length]))
}

/// A decimal number.
pub(crate) fn integer(digits: &[u8]) -> Result<i64, Malformed> {
    let (negative, digits) = match digits.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, digits),
    };
    if digits.is_empty() {
        return Err(Malformed);
    }
    let mut value = 0i64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(Malformed);
        }
        value = value
            .checked_mul(10)
            .and_then(|v| v.checked_add(i64::from(digit - b'0')))
            .ok_or(Malformed)?;
    }
    Ok(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLY: &[u8] = b"*5\r\n:-7\r\n$-1\r\n$3\r\na\r\n\r\n-ERR x\r\n*1\r\n+OK\r\n";

    #[test]
    fn every_kind_is_read_and_every_truncation_waits() {
        let (value, length) = Value::parse(REPLY).unwrap().unwrap();
        assert_eq!(length, REPLY.len());
        assert_eq!(value.at(0).int(), Some(-7));
        assert_eq!(value.at(1), &Value::Nil);
        assert_eq!(value.at(2).bytes(), Some(&b"a\r\n"[..]));
        assert_eq!(value.at(3), &Value::Error("ERR x".into()));
        assert_eq!(value.at(4).at(0).text(), Some("OK"));
        for cut in 0..REPLY.len() {
            assert_eq!(Value::parse(&REPLY[..cut]), Ok(None), "cut at {cut}");
        }
    }

    #[test]
    fn what_is_not_resp_is_refused_without_panic() {
        for bad in [
            &b"HTTP/1.1 400\r\n"[..],
            b"$x\r\n",
            b"*-2\r\n",
            b"$3\r\nabcd\r\n",
            b":99999999999999999999\r\n",
            b"\r\n",
        ] {
            assert_eq!(Value::parse(bad), Err(Malformed), "{bad:?}");
        }
        assert_eq!(Value::parse(&b"*1\r\n".repeat(40)), Err(Malformed));
    }
}

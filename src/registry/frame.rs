//! Confluent's frame: a zero byte, the schema's id (4 bytes, big endian), for Protobuf the path of the message in its file, and
//! the body. <https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format>

use bus_core::{Bytes, Error, ErrorKind, Result};

/// The bytes before the body: magic byte and id.
pub const HEAD: usize = 5;
const MAGIC: u8 = 0;
/// Messages can be nested as deep as a file says; nobody's are deeper than this.
const DEEPEST: u64 = 256;

/// Room for the head, to write the body behind, for [`finish`].
pub fn begin() -> Vec<u8> {
    vec![MAGIC; HEAD]
}

/// The head of a frame, to write the body behind.
pub fn head(id: u32) -> [u8; HEAD] {
    let [a, b, c, d] = id.to_be_bytes();
    [MAGIC, a, b, c, d]
}

/// A frame whose body was written behind [`begin`].
pub fn finish(mut frame: Vec<u8>, id: u32) -> Bytes {
    if let Some(place) = frame.get_mut(..HEAD) {
        place.copy_from_slice(&head(id));
    }
    frame.into()
}

fn broken(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Undecodable, what)
}

/// The schema's id, and what is behind the head.
/// # Errors
/// `Undecodable`: it is no frame.
pub fn split(payload: &[u8]) -> Result<(u32, &[u8])> {
    let Some((head, body)) = payload.split_first_chunk::<HEAD>() else {
        return Err(broken(format!(
            "payload of {} bytes is no frame of a schema registry, which has 5 bytes before its body; was it written without one?",
            payload.len()
        )));
    };
    let [magic, id @ ..] = *head;
    if magic != MAGIC {
        return Err(broken(format!(
            "payload begins with byte {magic}, and a frame of a schema registry with 0; was it written without one?"
        )));
    }
    Ok((u32::from_be_bytes(id), body))
}

/// Writes the path of a message in its `.proto` file: its index at each level, outermost first. The first message of a file,
/// which is most of them, is a single zero.
pub fn write_path(path: &[u32], frame: &mut Vec<u8>) {
    if path == [0] {
        return frame.push(0);
    }
    varint(path.len() as i64, frame);
    for index in path {
        varint(i64::from(*index), frame);
    }
}

/// The path of a message, and the body behind it.
/// # Errors
/// `Undecodable`: it is none.
pub fn split_path(mut body: &[u8]) -> Result<(Vec<u32>, &[u8])> {
    let length = read_varint(&mut body)?;
    if length == 0 {
        return Ok((vec![0], body));
    }
    let length = u64::try_from(length).ok().filter(|length| *length <= DEEPEST);
    let length =
        length.ok_or_else(|| broken("the frame's path of the Protobuf message has no possible length"))?;
    let mut path = Vec::new();
    for _ in 0..length {
        let index = u32::try_from(read_varint(&mut body)?);
        path.push(
            index.map_err(|_| broken("the frame's path of the Protobuf message has an impossible index"))?,
        );
    }
    Ok((path, body))
}

/// Zigzag, seven bits a byte, the lowest first.
fn varint(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn read_varint(bytes: &mut &[u8]) -> Result<i64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let Some((byte, rest)) = bytes.split_first() else {
            return Err(broken("the frame ends inside the path of its Protobuf message"));
        };
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    Err(broken(
        "the frame's path of the Protobuf message has a number of more than 64 bits",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bytes_are_those_that_others_write() {
        let mut frame = begin();
        frame.extend(b"body");
        assert_eq!(finish(frame, 0x0102_0304), &b"\0\x01\x02\x03\x04body"[..]);
        let path = |path: &[u32]| {
            let mut bytes = Vec::new();
            write_path(path, &mut bytes);
            bytes
        };
        assert_eq!(path(&[0]), [0]);
        assert_eq!(path(&[1]), [2, 2]);
        assert_eq!(path(&[1, 0]), [4, 2, 0]);
        assert_eq!(path(&[0, 100]), [4, 0, 0xc8, 1]);
        // As an older writer may spell the first message.
        assert_eq!(split_path(&[2, 0, 7]).unwrap(), (vec![0], &[7][..]));
    }

    #[test]
    fn what_is_no_frame_is_told_apart() {
        let why = |bytes: &[u8]| split(bytes).unwrap_err();
        assert_eq!(why(b""), ErrorKind::Undecodable);
        assert!(why(b"\0\0\0\0").message().contains("4 bytes"));
        assert!(why(b"{\"a\":1}").message().contains("byte 123"));
        assert_eq!(split(b"\0\0\0\0\x07").unwrap(), (7, &b""[..]));
        for path in [
            &b""[..],
            b"\x04\x00",
            b"\x80",
            b"\x03",
            b"\x02\x01",
            &[0xff; 11],
            b"\xfe\xff\x7f",
        ] {
            assert_eq!(split_path(path).unwrap_err(), ErrorKind::Undecodable, "{path:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_what_is_written_is_read(id: u32, path in prop::collection::vec(any::<u32>(), 1..9), body: Vec<u8>) {
            let _ = split(&body).map(|(_, body)| split_path(body));
            let _ = split_path(&body);
            let mut frame = begin();
            write_path(&path, &mut frame);
            frame.extend(&body);
            let frame = finish(frame, id);
            let (seen, rest) = split(&frame).unwrap();
            prop_assert_eq!(seen, id);
            prop_assert_eq!(split_path(rest).unwrap(), (path, &body[..]));
        }
    }
}

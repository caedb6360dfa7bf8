//! Kafka: a length of four bytes, then api key (2), version (2) and correlation id (4) in requests, the correlation id
//! alone in replies.

use super::{Call, Malformed};

/// Longer than any frame a test sends: what says so is not Kafka.
const MOST: usize = 512 * 1024 * 1024;

/// The first frame's length with its prefix; `None` while it is not all there.
pub(super) fn length(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let Some(prefix) = bytes.first_chunk::<4>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*prefix) as usize;
    if !(4..=MOST).contains(&length) {
        return Err(Malformed);
    }
    Ok((bytes.len() >= 4 + length).then_some(4 + length))
}

pub(super) fn request(frame: &[u8]) -> (Option<u64>, Option<Call>) {
    let key = frame
        .get(4..6)
        .and_then(|b| b.try_into().ok())
        .map(i16::from_be_bytes);
    (number(frame, 8), key.map(Call::Kafka))
}

pub(super) fn reply(frame: &[u8]) -> Option<u64> {
    number(frame, 4)
}

fn number(frame: &[u8], at: usize) -> Option<u64> {
    let bytes = frame.get(at..at + 4)?.try_into().ok()?;
    Some(u64::from(u32::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use crate::frame::{Call, Framing, Protocol};
    use bytes::BytesMut;

    fn request(key: i16, id: u32) -> Vec<u8> {
        let mut frame = 12u32.to_be_bytes().to_vec();
        frame.extend(key.to_be_bytes());
        frame.extend(9i16.to_be_bytes());
        frame.extend(id.to_be_bytes());
        frame.extend([0xff; 4]);
        frame
    }

    #[test]
    fn requests_come_whole_however_they_arrive() {
        let stream = [request(0, 7), request(26, 8)].concat();
        for step in 1..stream.len() {
            let (mut framing, mut buffer) = (Framing::requests(Protocol::Kafka), BytesMut::new());
            let mut frames = Vec::new();
            for piece in stream.chunks(step) {
                buffer.extend_from_slice(piece);
                frames.extend(std::iter::from_fn(|| framing.split(&mut buffer)));
            }
            let seen: Vec<_> = frames.iter().map(|f| (f.id, f.call.clone())).collect();
            assert_eq!(
                seen,
                [(Some(7), Some(Call::Kafka(0))), (Some(8), Some(Call::Kafka(26)))]
            );
            assert_eq!(
                frames.iter().map(|f| &f.bytes[..]).collect::<Vec<_>>().concat(),
                stream
            );
        }
    }

    #[test]
    fn a_reply_is_known_by_its_correlation_id() {
        let mut buffer = BytesMut::from(&[0, 0, 0, 5, 0, 0, 1, 2, 9, 0][..]);
        let frame = Framing::replies(Protocol::Kafka).split(&mut buffer).unwrap();
        assert_eq!((frame.id, frame.bytes.len()), (Some(0x102), 9));
        assert_eq!(&buffer[..], [0]);
    }

    #[test]
    fn what_is_not_kafka_passes() {
        let mut buffer = BytesMut::from(&b"GET / HTTP/1.1\r\n"[..]);
        let frame = Framing::requests(Protocol::Kafka).split(&mut buffer).unwrap();
        assert_eq!((frame.id, frame.call), (None, None));
        assert!(buffer.is_empty());
    }
}

//! Offset metadata: a mark of ours, the topic's id, and notes; in base64, because the protocol wants text.
//!
//! A position says nothing of a topic that was made anew under the same name. Brokers forget a topic's positions with the
//! topic, but a member that has not noticed yet stores its own once more: the id tells whose they are.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bus_core::Bytes;

/// Whose metadata it is. Another library's is no note of ours, and then everything is redelivered.
const MARK: &str = "bus1.";
/// The most bytes of notes that fit the 4 096 bytes which brokers allow for metadata by default.
pub(crate) const LIMIT: usize = 3_000;

/// Which of the topics that ever had a name: most and least significant bits.
pub(crate) type TopicId = (i64, i64);

/// What metadata says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Noted {
    /// `None`: another library's, an older version's, or a broker's without ids.
    pub(crate) topic: Option<TopicId>,
    pub(crate) notes: Bytes,
}

pub(crate) fn encode(topic: Option<TopicId>, notes: &[u8]) -> Vec<u8> {
    if topic.is_none() && notes.is_empty() {
        return Vec::new();
    }
    let mut out = String::from(MARK);
    if let Some((most, least)) = topic {
        let id = u128::from(most as u64) << 64 | u128::from(least as u64);
        URL_SAFE_NO_PAD.encode_string(id.to_be_bytes(), &mut out);
        out.push('.');
    }
    URL_SAFE_NO_PAD.encode_string(notes, &mut out);
    out.into_bytes()
}

/// Anything but what [`encode`] wrote says nothing at all.
pub(crate) fn decode(metadata: &[u8]) -> Noted {
    read(metadata).unwrap_or_default()
}

fn read(metadata: &[u8]) -> Option<Noted> {
    let text = metadata.strip_prefix(MARK.as_bytes())?;
    let (id, notes) = match text.iter().position(|byte| *byte == b'.') {
        Some(at) => (Some(&text[..at]), &text[at + 1..]),
        None => (None, text),
    };
    let topic = match id {
        None => None,
        Some(id) => {
            let id = URL_SAFE_NO_PAD.decode(id).ok()?;
            let id = u128::from_be_bytes(id.try_into().ok()?);
            Some(((id >> 64) as i64, id as i64))
        }
    };
    let notes = URL_SAFE_NO_PAD.decode(notes).ok()?.into();
    Some(Noted { topic, notes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_comes_back() {
        let bytes: Vec<u8> = (0..=255).cycle().take(LIMIT).collect();
        for topic in [None, Some((i64::MIN, -1)), Some((7, i64::MAX))] {
            for length in (0..70).chain([LIMIT]) {
                let encoded = encode(topic, &bytes[..length]);
                assert!(encoded.is_ascii() && encoded.len() <= 4_096);
                let notes = Bytes::copy_from_slice(&bytes[..length]);
                assert_eq!(decode(&encoded), Noted { topic, notes });
            }
        }
    }

    #[test]
    fn what_is_not_ours_is_nothing() {
        for foreign in [
            &b""[..],
            b"{}",
            b"bus1",
            b"bus1.A",
            b"bus1.AB*D",
            b"bus1..AAAA",
            b"bus1.AAAA.AAAA",
            b"bus1.AAAAAAAAAAAAAAAAAAAAAA.AAAA.",
            b"bus2.AAAA",
            &[0xff; 9],
        ] {
            assert_eq!(decode(foreign), Noted::default());
        }
    }

    #[test]
    fn notes_without_an_id_are_read() {
        let noted = decode(b"bus1.AQID");
        assert_eq!((noted.topic, &noted.notes[..]), (None, &[1, 2, 3][..]));
    }
}

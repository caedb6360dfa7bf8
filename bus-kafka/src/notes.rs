//! Notes as offset metadata: a mark of ours, then base64, because the protocol wants text.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bus_core::Bytes;

/// Whose metadata it is. Another library's is no note of ours, and then everything is redelivered.
const MARK: &str = "bus1.";
/// The most bytes of notes that fit the 4 096 bytes which brokers allow for metadata by default.
pub(crate) const LIMIT: usize = 3_000;

pub(crate) fn encode(notes: &[u8]) -> Vec<u8> {
    if notes.is_empty() {
        return Vec::new();
    }
    let mut out = String::from(MARK);
    URL_SAFE_NO_PAD.encode_string(notes, &mut out);
    out.into_bytes()
}

/// Anything but what [`encode`] wrote is no notes at all.
pub(crate) fn decode(metadata: &[u8]) -> Bytes {
    let digits = metadata.strip_prefix(MARK.as_bytes()).unwrap_or_default();
    URL_SAFE_NO_PAD
        .decode(digits)
        .map(Bytes::from)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_comes_back() {
        let bytes: Vec<u8> = (0..=255).cycle().take(LIMIT).collect();
        for length in (0..70).chain([LIMIT]) {
            let encoded = encode(&bytes[..length]);
            assert!(encoded.is_ascii() && encoded.len() <= 4_096);
            assert_eq!(decode(&encoded), &bytes[..length]);
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
            b"bus2.AAAA",
            &[0xff; 9],
        ] {
            assert!(decode(foreign).is_empty());
        }
    }
}

//! Notes as offset metadata: a mark of ours, then base64, because the protocol wants text.

use bus_core::Bytes;

/// Whose metadata it is. Another library's is no note of ours, and then everything is redelivered.
const MARK: &[u8] = b"bus1.";
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The most bytes of notes that fit the 4 096 bytes which brokers allow for metadata by default.
pub(crate) const LIMIT: usize = 3_000;

pub(crate) fn encode(notes: &[u8]) -> Vec<u8> {
    if notes.is_empty() {
        return Vec::new();
    }
    let mut out = Vec::with_capacity(MARK.len() + notes.len().div_ceil(3) * 4);
    out.extend_from_slice(MARK);
    for chunk in notes.chunks(3) {
        let mut group = [0; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        for digit in 0..=chunk.len() {
            out.push(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63]);
        }
    }
    out
}

/// Anything but what [`encode`] wrote is no notes at all.
pub(crate) fn decode(metadata: &[u8]) -> Bytes {
    let digits = metadata.strip_prefix(MARK).unwrap_or_default();
    let mut out = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for chunk in digits.chunks(4) {
        let mut bits = 0;
        for (i, digit) in chunk.iter().enumerate() {
            let Some(value) = value(*digit) else {
                return Bytes::new();
            };
            bits |= value << (18 - 6 * i);
        }
        if chunk.len() == 1 {
            return Bytes::new();
        }
        out.extend_from_slice(&bits.to_be_bytes()[1..chunk.len()]);
    }
    out.into()
}

fn value(digit: u8) -> Option<u32> {
    Some(u32::from(match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    }))
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

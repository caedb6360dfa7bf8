//! A message that shows whether it is whole: `key:counter`, a checksum, padding.

use bus_core::conformance::Failure;

/// A payload of at least this message's id, padded to `size` bytes.
pub(crate) fn encode(id: &str, size: usize) -> Vec<u8> {
    let head = id.len() + 18;
    let padding: Vec<u8> = id.bytes().cycle().take(size.saturating_sub(head)).collect();
    let mut payload = format!("{id}|{:016x}|", checksum(id.as_bytes(), &padding)).into_bytes();
    payload.extend(padding);
    payload
}

/// The id in a payload.
/// # Errors
/// When it is not what [`encode`] made.
pub(crate) fn decode(payload: &[u8]) -> Result<&str, Failure> {
    let garbage = || {
        let start = String::from_utf8_lossy(&payload[..payload.len().min(60)]).into_owned();
        Failure::new(format_args!(
            "{} bytes that nobody sent: {start:?}",
            payload.len()
        ))
    };
    let mut parts = payload.splitn(3, |b| *b == b'|');
    let (Some(id), Some(sum), Some(padding)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(garbage());
    };
    if format!("{:016x}", checksum(id, padding)).as_bytes() != sum {
        return Err(garbage());
    }
    std::str::from_utf8(id).map_err(|_| garbage())
}

/// The key in an id.
pub(crate) fn key(id: &str) -> &str {
    id.rsplit_once(':').map_or(id, |(key, _)| key)
}

/// FNV-1a, 64 bits.
fn checksum(id: &[u8], padding: &[u8]) -> u64 {
    let bytes = id.iter().chain(b"|").chain(padding);
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_is_seen() {
        for size in [0, 100, 5000] {
            let payload = encode("k1:7", size);
            assert_eq!(payload.len(), size.max(22));
            assert_eq!(decode(&payload).unwrap(), "k1:7");
            for at in [0, 3, 8, payload.len() - 1] {
                let mut other = payload.clone();
                other[at] ^= 1;
                assert!(decode(&other).is_err(), "byte {at} of {size}");
            }
            assert!(decode(&payload[..payload.len() - 1]).is_err());
        }
        assert_eq!(key("a:b:3"), "a:b");
    }
}

//! Slots of a cluster: keys that a script touches together must share one.

/// How many there are.
pub(crate) const SLOTS: u16 = 16_384;

/// The slot of a key: of what stands between its first `{` and the `}` behind it, if that is anything.
pub(crate) fn slot(key: &str) -> u16 {
    crc16(crate::keys::slot_of(key).as_bytes()) % SLOTS
}
/// The same of a key as it is sent.
pub(crate) fn slot_of(key: &[u8]) -> u16 {
    std::str::from_utf8(key).map_or_else(|_| crc16(key) % SLOTS, slot)
}

/// CRC-16/XMODEM, as the cluster specification says.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |mut crc, byte| {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x1021
            };
        }
        crc
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        // What `CLUSTER KEYSLOT` answers.
        assert_eq!(slot("foo"), 12_182);
        assert_eq!(slot("orders:{0}"), slot("invoices:{0}"));
        assert_eq!(slot("{user1000}.following"), slot("{user1000}.followers"));
        assert_eq!(slot("foo{}{bar}"), crc16(b"foo{}{bar}") % 16_384);
    }
}

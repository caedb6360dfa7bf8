//! Entry ids and positions: `ms-seq` is `ms << 64 | seq`.

use bus_core::position;

/// The position of an id as the server writes it.
pub(crate) fn position(id: &[u8]) -> Option<u128> {
    let dash = id.iter().position(|b| *b == b'-')?;
    Some(half(&id[..dash])? << 64 | half(&id[dash + 1..])?)
}

fn half(digits: &[u8]) -> Option<u128> {
    if digits.is_empty() || digits.len() > 20 {
        return None;
    }
    let mut value = 0u64;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(u128::from(value))
}

/// The id at a position, always in the long form.
pub(crate) fn id(position: u128) -> String {
    match position >> 64 {
        0 => format!("0-{position}"),
        _ => position::format(position),
    }
}

/// What the server stores for a group whose first unsettled position is `next`: the id before it.
pub(crate) fn before(next: u128) -> String {
    id(next.saturating_sub(1))
}

/// The millisecond at which the server stored an entry.
pub(crate) fn millis(position: u128) -> i64 {
    (position >> 64) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_positions_come_back() {
        for (text, value) in [
            ("0-0", 0),
            ("0-7", 7),
            ("1700-3", (1700 << 64) | 3),
            ("18446744073709551615-18446744073709551615", u128::MAX),
        ] {
            assert_eq!(position(text.as_bytes()), Some(value));
            assert_eq!(id(value), text);
        }
        for bad in ["", "-", "1", "1-", "-1", "a-1", "1-18446744073709551616", "1-2-3"] {
            assert_eq!(position(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(before(5 << 64), "4-18446744073709551615");
        assert_eq!(before(0), "0-0");
    }
}

//! Positions as text.

use crate::{Error, Result};

/// A position as people write it: a number, or `ms-seq` for a Redis entry id (which is `ms << 64 | seq`).
pub fn format(position: u128) -> String {
    match (position >> 64, position as u64) {
        (0, low) => low.to_string(),
        (high, low) => format!("{high}-{low}"),
    }
}

/// Reads what [`format()`] wrote.
/// # Errors
/// `Invalid` for anything else.
pub fn parse(text: &str) -> Result<u128> {
    let wrong = || {
        Error::invalid(format!(
            "`{text}` is no position; write a number, or `ms-seq` on Redis"
        ))
    };
    let number = |t: &str| t.parse::<u64>().map(u128::from).map_err(|_| wrong());
    match text.split_once('-') {
        Some((high, low)) => Ok(number(high)? << 64 | number(low)?),
        None => number(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_come_back() {
        for position in [0, 7, u128::from(u64::MAX), 1 << 64, (1_700_000_000_000 << 64) | 3] {
            assert_eq!(parse(&format(position)).unwrap(), position);
        }
        assert!(parse("x").is_err() && parse("1-").is_err() && parse("-1").is_err() && parse("").is_err());
    }
}

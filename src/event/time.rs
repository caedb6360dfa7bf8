//! Times as CloudEvents writes them: RFC 3339.

use jiff::Timestamp;
use std::time::SystemTime;

/// In UTC; `None` for a time that RFC 3339 cannot say (before the year −9999 or after 9999).
pub(super) fn write(time: SystemTime) -> Option<String> {
    Timestamp::try_from(time).ok().map(|time| time.to_string())
}

/// Any offset; `None` for what is no such time.
pub(super) fn read(text: &str) -> Option<SystemTime> {
    text.parse::<Timestamp>().ok().map(SystemTime::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn times_survive_with_their_fractions() {
        for nanos in [0, 1, 999_999_999, 1_712_732_827_123_456_789] {
            let time = UNIX_EPOCH + Duration::from_nanos(nanos);
            assert_eq!(read(&write(time).unwrap()), Some(time));
        }
        assert_eq!(write(UNIX_EPOCH).as_deref(), Some("1970-01-01T00:00:00Z"));
        assert_eq!(read("1970-01-01T02:00:00+02:00"), Some(UNIX_EPOCH));
        assert_eq!(read("yesterday"), None);
    }
}

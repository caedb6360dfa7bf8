//! The headers by which a message says when it is to come, and when it is worth nothing any more.

use crate::{Error, Headers, HeadersView, Message, Result, clock};
use std::time::{Duration, SystemTime};

/// Not before this: milliseconds since 1970 UTC.
pub(crate) const NOT_BEFORE: &str = "bus-not-before";
/// What was asked for, or what is left of it, in milliseconds: equal waits take equal ways, which keeps their order.
pub(super) const DELAY: &str = "bus-delay";
/// The partition that the publisher named; in the topic of delays a message lies in another one.
pub(super) const PARTITION: &str = "bus-delay-partition";
/// The timestamp that the publisher set: there, it would decide about retention.
pub(super) const TIMESTAMP: &str = "bus-delay-timestamp";
/// Worth nothing after this: milliseconds since 1970 UTC.
pub(crate) const EXPIRES: &str = "bus-expires";

/// Whether it says that it is to wait.
pub(crate) fn is_delayed(message: &Message) -> bool {
    message.headers.contains(NOT_BEFORE)
}

/// To come after `wait`.
pub(crate) fn delay(headers: &mut Headers, wait: Duration) {
    headers.set(NOT_BEFORE, clock::millis_after(wait).to_string());
    headers.set(DELAY, wait.as_millis().to_string());
}

/// To come at `time`.
pub(crate) fn at(headers: &mut Headers, time: SystemTime) {
    headers.remove(DELAY);
    headers.set(NOT_BEFORE, clock::millis_of(time).to_string());
}

/// Worth nothing from then on.
pub(crate) fn expires(headers: &mut Headers, at: i64) {
    headers.set(EXPIRES, at.to_string());
}

/// Takes away what says that it is to wait.
pub(super) fn clear(headers: &mut Headers) {
    for name in [NOT_BEFORE, DELAY, PARTITION, TIMESTAMP] {
        headers.remove(name);
    }
}

/// A number that a message to be published says; `None` where it says none.
pub(super) fn number(headers: &Headers, name: &str) -> Result<Option<i64>> {
    if !headers.contains(name) {
        return Ok(None);
    }
    let value = headers.get(name).unwrap_or_default();
    let wrong = || {
        Error::invalid(format!(
            "header `{name}` is `{}`: write a number of milliseconds, or leave it to the publish's own setters",
            value.escape_ascii()
        ))
    };
    parse(value).map(Some).ok_or_else(wrong)
}

/// A number that a record says, if it does.
pub(crate) fn read(headers: HeadersView<'_>, name: &str) -> Option<i64> {
    parse(headers.get(name)?)
}

fn parse(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts_and_nothing_stays() {
        let mut message = Message::new("x").header("a", "1");
        delay(&mut message.headers, Duration::from_secs(5));
        assert_eq!(number(&message.headers, DELAY).unwrap(), Some(5_000));
        at(
            &mut message.headers,
            SystemTime::UNIX_EPOCH + Duration::from_secs(1),
        );
        assert_eq!(number(&message.headers, NOT_BEFORE).unwrap(), Some(1_000));
        assert_eq!(number(&message.headers, DELAY).unwrap(), None);
        assert!(is_delayed(&message));
        clear(&mut message.headers);
        assert_eq!(message, Message::new("x").header("a", "1"));
    }

    #[test]
    fn what_is_no_number_is_said() {
        for wrong in ["", "soon", "1.5", "99999999999999999999"] {
            let message = Message::new("x").header(NOT_BEFORE, wrong);
            let error = number(&message.headers, NOT_BEFORE).unwrap_err();
            assert!(error.to_string().contains("milliseconds"), "{error}");
        }
    }
}

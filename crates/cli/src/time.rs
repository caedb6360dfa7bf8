//! Durations and points in time, as people write them.

use jiff::{Span, SpanRelativeTo, Timestamp, Unit};
use std::time::{Duration, SystemTime};

/// Reads `500ms`, `5s`, `2h 30m`, `7d`; above zero. A day has 24 hours.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration; write one such as 500ms, 5s, 2h or 7d");
    let span: Span = text.trim().parse().map_err(|_| wrong())?;
    let duration = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| wrong())?;
    Duration::try_from(duration)
        .ok()
        .filter(|d| !d.is_zero())
        .ok_or_else(wrong)
}

/// Reads `2026-07-01T12:00:00Z`, or a time before now: `2h ago`.
pub(crate) fn point(text: &str, now: Timestamp) -> Option<SystemTime> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.into());
    }
    let span = text.strip_suffix("ago")?.trim().parse::<Span>().ok()?;
    let back = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    Some(now.checked_sub(back).ok()?.into())
}

/// A duration as [`duration`] reads it.
pub(crate) fn show(duration: Duration) -> String {
    let Ok(span) = Span::try_from(duration) else {
        return format!("{}s", duration.as_secs());
    };
    let largest = SpanRelativeTo::days_are_24_hours();
    match span.round(
        jiff::SpanRound::new()
            .largest(Unit::Day)
            .smallest(Unit::Millisecond)
            .relative(largest),
    ) {
        Ok(span) => format!("{span:#}"),
        Err(_) => format!("{}s", duration.as_secs()),
    }
}

/// Milliseconds since 1970 as a time of day in UTC.
pub(crate) fn stamp(milliseconds: i64) -> String {
    Timestamp::from_millisecond(milliseconds)
        .map_or_else(|_| milliseconds.to_string(), |time| format!("{time:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("500ms").unwrap(), Duration::from_millis(500));
        assert_eq!(duration("7d").unwrap(), Duration::from_secs(7 * 86_400));
        assert_eq!(duration("2h 30m").unwrap(), Duration::from_secs(9_000));
        for bad in ["", "5", "0s", "-1s", "x", "1 month"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert_eq!(show(Duration::from_secs(7 * 86_400 + 3_600)), "7d 1h");
    }

    #[test]
    fn points() {
        let now: Timestamp = "2026-07-02T00:00:00Z".parse().unwrap();
        let day = "2026-07-01T00:00:00Z".parse::<Timestamp>().unwrap().into();
        assert_eq!(point("2026-07-01T02:00:00+02:00", now), Some(day));
        assert_eq!(point("1d ago", now), Some(day));
        assert_eq!(point("24 hours ago", now), Some(day));
        assert_eq!(point("yesterday", now), None);
        assert_eq!(stamp(0), "1970-01-01T00:00:00.000Z");
    }
}

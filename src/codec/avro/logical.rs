//! Dates, times and decimals: as serde writes them, which is text, and as Avro does, which is numbers.
//! What is finer than the schema's unit is cut off, towards the past.

use super::{
    plan::{Scalar, Unit},
    wrong::{Result, wrong},
};
use jiff::{SignedDuration, Span, Timestamp, civil, tz::TimeZone};

const EPOCH: civil::Date = civil::date(1970, 1, 1);

impl Unit {
    /// How many nanoseconds one is.
    fn nanos(self) -> i128 {
        match self {
            Self::Millis => 1_000_000,
            Self::Micros => 1_000,
            Self::Nanos => 1,
        }
    }
}

/// The number that a text stands for, in the type that has one.
pub(super) fn number(kind: Scalar, text: &str) -> Result<i64> {
    let bad = |e: jiff::Error| wrong(format!("`{text}` is no {}: {e}", kind.name()));
    let far = || wrong(format!("`{text}` does not fit into {}", kind.name()));
    let nanos = match kind {
        Scalar::Date => {
            let date: civil::Date = text.parse().map_err(bad)?;
            return Ok(date.duration_since(EPOCH).as_secs() / 86_400);
        }
        Scalar::TimeMillis | Scalar::TimeMicros => {
            let time: civil::Time = text.parse().map_err(bad)?;
            time.duration_since(civil::Time::midnight()).as_nanos()
        }
        Scalar::Timestamp(_) => text.parse::<Timestamp>().map_err(bad)?.as_nanosecond(),
        Scalar::Local(_) => {
            let time: civil::DateTime = text.parse().map_err(bad)?;
            let time = time.to_zoned(TimeZone::UTC).map_err(bad)?;
            time.timestamp().as_nanosecond()
        }
        _ => return Err(wrong(format!("text where the schema has {}", kind.name()))),
    };
    i64::try_from(nanos.div_euclid(kind.unit().nanos())).map_err(|_| far())
}

/// The text that serde reads for a number, in a type that has one.
pub(super) fn text(kind: Scalar, number: i64) -> Result<String> {
    let bad = |e: jiff::Error| wrong(format!("{number} is no {}: {e}", kind.name()));
    let nanos = i128::from(number) * kind.unit().nanos();
    let instant = || Timestamp::from_nanosecond(nanos).map_err(bad);
    Ok(match kind {
        Scalar::Date => {
            let days = Span::new().try_days(number).map_err(bad)?;
            EPOCH.checked_add(days).map_err(bad)?.to_string()
        }
        Scalar::TimeMillis | Scalar::TimeMicros => {
            let since = i64::try_from(nanos).map_err(|_| wrong(format!("{number} is no time of a day")))?;
            let since = SignedDuration::from_nanos(since);
            let time = civil::Time::midnight().checked_add(since);
            time.map_err(bad)?.to_string()
        }
        Scalar::Local(_) => TimeZone::UTC.to_datetime(instant()?).to_string(),
        _ => instant()?.to_string(),
    })
}

/// A decimal number as its digits without the point, `scale` of them behind it.
pub(super) fn unscaled(text: &str, precision: u32, scale: u32) -> Result<i128> {
    let none = || wrong(format!("`{text}` is no decimal number"));
    let unfit = || {
        wrong(format!(
            "`{text}` does not fit into {precision} digits, {scale} of them behind the point"
        ))
    };
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i64>().map_err(|_| none())?),
        None => (text, 0),
    };
    let (negative, number) = match number.strip_prefix('-') {
        Some(number) => (true, number),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (before, behind) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{before}{behind}");
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(none());
    }
    let digits = digits.trim_start_matches('0');
    let more = i64::from(scale) + exponent.clamp(-100_000, 100_000)
        - i64::try_from(behind.len()).unwrap_or(i64::MAX);
    let digits = match usize::try_from(more) {
        _ if digits.is_empty() => "0".to_owned(),
        Ok(zeros) if zeros <= 38 => digits.to_owned() + &"0".repeat(zeros),
        Ok(_) => return Err(unfit()),
        // Only zeros may be lost.
        Err(_) => {
            let lost = usize::try_from(-more).unwrap_or(usize::MAX);
            let kept = digits.len().saturating_sub(lost);
            let (kept, lost) = digits.split_at(kept);
            if lost.bytes().any(|b| b != b'0') {
                return Err(unfit());
            }
            kept.to_owned()
        }
    };
    if digits.len() > usize::try_from(precision).unwrap_or(usize::MAX) {
        return Err(unfit());
    }
    let number: i128 = match &*digits {
        "" => 0,
        digits => digits.parse().map_err(|_| unfit())?,
    };
    Ok(if negative { -number } else { number })
}

/// A decimal number with its point.
pub(super) fn decimal(unscaled: i128, scale: u32) -> String {
    let scale = usize::try_from(scale).unwrap_or(usize::MAX);
    let sign = if unscaled < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (before, behind) = digits.split_at(digits.len() - scale);
    match behind {
        "" => format!("{sign}{before}"),
        behind => format!("{sign}{before}.{behind}"),
    }
}

/// The shortest two's complement, the highest byte first.
pub(super) fn shortest(number: i128) -> ([u8; 16], usize) {
    let bytes = number.to_be_bytes();
    let fill = if number < 0 { 0xff } else { 0 };
    let mut start = 0;
    while start < 15 && bytes[start] == fill && (bytes[start + 1] ^ fill) & 0x80 == 0 {
        start += 1;
    }
    (bytes, start)
}

/// The number in a two's complement, the highest byte first.
pub(super) fn complement(bytes: &[u8]) -> Result<i128> {
    let fill = match bytes.first() {
        Some(first) if first & 0x80 != 0 => 0xff,
        _ => 0,
    };
    let (front, last) = bytes.split_at(bytes.len().saturating_sub(16));
    let mut all = [fill; 16];
    all[16 - last.len()..].copy_from_slice(last);
    let number = i128::from_be_bytes(all);
    if front.iter().any(|byte| *byte != fill) || (!front.is_empty() && (number < 0) != (fill == 0xff)) {
        return Err(wrong("a decimal number has more than 38 digits"));
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_numbers_and_come_back() {
        let millis = Scalar::Timestamp(Unit::Millis);
        for (kind, written, expected, read) in [
            (
                millis,
                "2024-01-01T00:00:00Z",
                1_704_067_200_000,
                "2024-01-01T00:00:00Z",
            ),
            (
                millis,
                "2024-01-01T01:00:00.5009+01:00",
                1_704_067_200_500,
                "2024-01-01T00:00:00.5Z",
            ),
            (
                millis,
                "1969-12-31T23:59:59.9999Z",
                -1,
                "1969-12-31T23:59:59.999Z",
            ),
            (Scalar::Date, "1970-01-02", 1, "1970-01-02"),
            (Scalar::Date, "1969-12-31", -1, "1969-12-31"),
            (Scalar::Date, "9999-12-31", 2_932_896, "9999-12-31"),
            (Scalar::TimeMillis, "00:00:01.25", 1_250, "00:00:01.25"),
            (
                Scalar::TimeMicros,
                "23:59:59.999999",
                86_399_999_999,
                "23:59:59.999999",
            ),
            (
                Scalar::Local(Unit::Micros),
                "1970-01-01T00:00:01",
                1_000_000,
                "1970-01-01T00:00:01",
            ),
        ] {
            let number = number(kind, written).unwrap();
            assert_eq!(number, expected, "{written}");
            assert_eq!(text(kind, number).unwrap(), read);
        }
        for (kind, far) in [
            (Scalar::Date, i64::MAX),
            (Scalar::Date, 100_000_000),
            (Scalar::TimeMillis, 86_400_000),
            (Scalar::TimeMillis, -1),
            (millis, i64::MIN),
        ] {
            text(kind, far).unwrap_err();
        }
    }

    #[test]
    fn decimals_lose_nothing() {
        for (text, expected) in [
            ("12.30", Some(1230)),
            ("-0.01", Some(-1)),
            ("7", Some(700)),
            ("1E+2", Some(10_000)),
            ("12.300", Some(1230)),
            ("1e-2", Some(1)),
            ("0", Some(0)),
            ("0e5000", Some(0)),
            ("-.5", Some(-50)),
            ("12.345", None),
            ("123456", None),
            ("1e999999999999", None),
            ("1e-9", None),
            ("", None),
            ("-", None),
            ("1_0", None),
        ] {
            assert_eq!(unscaled(text, 6, 2).ok(), expected, "{text}");
        }
        for number in [0, 1, -1, 127, 128, -128, -129, 255, i128::MAX, i128::MIN] {
            let (bytes, start) = shortest(number);
            assert_eq!(complement(&bytes[start..]).unwrap(), number);
        }
        assert_eq!(shortest(-129).1, 14);
        assert_eq!(complement(&[]).unwrap(), 0);
        complement(&[1; 17]).unwrap_err();
        assert_eq!(
            (decimal(-5, 2), decimal(1230, 2), decimal(7, 0)),
            ("-0.05".into(), "12.30".into(), "7".into())
        );
    }
}

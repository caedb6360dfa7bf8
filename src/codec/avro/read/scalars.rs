//! What has no parts.

use super::super::{
    logical,
    plan::Scalar,
    wire::Input,
    wrong::{Result, wrong},
};
use serde::de::{Visitor, value::SeqDeserializer};

/// As what the value is wanted, where it can be several things.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wanted {
    /// As serde writes it for people: times, UUIDs and decimals as text.
    Text,
    /// As the number that stands there.
    Number,
    Bytes,
    /// Bytes as a row of numbers.
    Row,
    /// It is passed over.
    Nothing,
}

pub(super) fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|e| wrong(format!("text is not UTF-8: {e}")))
}

/// Hands over what was written as the first and is meant as the second.
pub(super) fn give<'de, V: Visitor<'de>>(
    input: &mut Input<'_>,
    (wire, meant): (Scalar, Scalar),
    visitor: V,
    wanted: Wanted,
) -> Result<V::Value> {
    match wire {
        Scalar::Null => visitor.visit_unit(),
        Scalar::Boolean => match input.array()? {
            [0] => visitor.visit_bool(false),
            [1] => visitor.visit_bool(true),
            [other] => Err(wrong(format!("a boolean is {other}"))),
        },
        Scalar::Int => {
            let number = input.whole()?;
            let number = i32::try_from(number).map_err(|_| wrong(format!("an int is {number}")))?;
            whole(number.into(), meant, visitor, wanted)
        }
        Scalar::Long => whole(input.whole()?, meant, visitor, wanted),
        Scalar::Float => {
            let number = f32::from_le_bytes(input.array()?);
            match meant {
                Scalar::Double => visitor.visit_f64(number.into()),
                _ => visitor.visit_f32(number),
            }
        }
        Scalar::Double => visitor.visit_f64(f64::from_le_bytes(input.array()?)),
        Scalar::Fixed(size) => bytes(input.take(size)?, meant, visitor, wanted),
        _ => bytes(input.bytes()?, meant, visitor, wanted),
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "schema resolution makes longs into doubles"
)]
fn whole<'de, V: Visitor<'de>>(number: i64, meant: Scalar, visitor: V, wanted: Wanted) -> Result<V::Value> {
    match meant {
        Scalar::Int | Scalar::Long => visitor.visit_i64(number),
        Scalar::Float => visitor.visit_f32(number as f32),
        Scalar::Double => visitor.visit_f64(number as f64),
        _ if wanted == Wanted::Number => visitor.visit_i64(number),
        _ if wanted == Wanted::Nothing => visitor.visit_unit(),
        time => visitor.visit_string(logical::text(time, number)?),
    }
}

fn bytes<'de, V: Visitor<'de>>(bytes: &[u8], meant: Scalar, visitor: V, wanted: Wanted) -> Result<V::Value> {
    match (meant, wanted) {
        (_, Wanted::Nothing) => visitor.visit_unit(),
        (Scalar::String | Scalar::Uuid, Wanted::Text | Wanted::Number | Wanted::Row) => {
            visitor.visit_str(utf8(bytes)?)
        }
        (Scalar::Uuid, Wanted::Bytes) => {
            let uuid =
                uuid::Uuid::try_parse_ascii(bytes).map_err(|e| wrong(format!("it is no UUID: {e}")))?;
            visitor.visit_bytes(uuid.as_bytes())
        }
        (Scalar::UuidFixed, Wanted::Text | Wanted::Number) => {
            let uuid = uuid::Uuid::from_slice(bytes).map_err(|e| wrong(e.to_string()))?;
            visitor.visit_str(uuid.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()))
        }
        (Scalar::Decimal { scale, .. }, Wanted::Text) => {
            visitor.visit_string(logical::decimal(logical::complement(bytes)?, scale))
        }
        (Scalar::Decimal { scale, .. }, Wanted::Number) => {
            let text = logical::decimal(logical::complement(bytes)?, scale);
            let number = text.parse().map_err(|_| wrong(format!("{text} is no number")))?;
            visitor.visit_f64(number)
        }
        (_, Wanted::Row) => visitor.visit_seq(SeqDeserializer::new(bytes.iter().copied())),
        _ => visitor.visit_bytes(bytes),
    }
}

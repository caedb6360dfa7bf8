//! What has no parts, and which types take it.

use super::{
    super::{
        logical,
        plan::{Node, Scalar},
        wire,
        wrong::{Result, Wrong, wrong},
    },
    At,
};
use std::fmt::{self, Display};

/// What serde hands over, as far as it chooses a branch of a union.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape<'a> {
    Null,
    Boolean,
    Whole,
    Real,
    Text(&'a str),
    Bytes,
    Row,
    Map,
    Record(&'a str),
}

impl Display for Shape<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Whole => "a whole number",
            Self::Real => "a number",
            Self::Text(_) => "text",
            Self::Bytes => "bytes",
            Self::Row => "an array",
            Self::Map => "a map",
            Self::Record(name) => return write!(f, "the record `{name}`"),
        })
    }
}

impl Shape<'_> {
    /// Whether that type takes it; loosely: if no other does.
    pub(super) fn fits(self, node: &Node, loose: bool) -> bool {
        use Scalar::{Boolean, Bytes, Double, Fixed, Float, Int, Long, Null, String, Wide};
        match (self, node) {
            (Self::Row, Node::Array(_)) | (Self::Map, Node::Map(_)) => true,
            (Self::Row, Node::Scalar(Bytes | Wide { .. }) | Node::Fixed(_, Fixed(_) | Wide { .. })) => loose,
            (Self::Map, Node::Record(_)) => loose,
            (Self::Record(name), Node::Record(record)) => loose || *record.named.name == *name,
            (Self::Text(text), Node::Enum(known)) => known.symbols.iter().any(|symbol| **symbol == *text),
            (shape, Node::Scalar(kind) | Node::Fixed(_, kind)) => match (shape, kind) {
                (Self::Null, Null) | (Self::Boolean, Boolean) => true,
                (Self::Whole, Int | Long) | (Self::Real, Float | Double) => true,
                (Self::Whole, Float | Double) => loose,
                (Self::Whole, other) => loose && matches!(other.physical(), Int | Long),
                (Self::Text(_), String) => true,
                (Self::Text(_), other) => {
                    loose
                        && !matches!(
                            other,
                            Null | Boolean | Int | Long | Float | Double | Bytes | Fixed(_)
                        )
                }
                (Self::Bytes, Bytes | Fixed(_) | Wide { .. }) => true,
                _ => false,
            },
            _ => false,
        }
    }
    pub(super) fn unfit_scalar(self, kind: Scalar) -> Wrong {
        wrong(format!("{self} where the schema has {}", kind.name()))
    }
    pub(super) fn unfit(self, node: &Node) -> Wrong {
        let has = match node {
            Node::Scalar(kind) | Node::Fixed(_, kind) => return self.unfit_scalar(*kind),
            Node::Enum(_) => "an enum",
            Node::Array(_) => "an array",
            Node::Map(_) => "a map",
            Node::Union(_) => "a union",
            Node::Record(_) => "a record",
            Node::Byte => "bytes",
        };
        wrong(format!("{self} where the schema has {has}"))
    }
}

pub(in super::super) fn beyond(value: impl Display) -> Wrong {
    wrong(format!(
        "{value} does not fit into a long, which ends at {}",
        i64::MAX
    ))
}

impl At<'_> {
    pub(super) fn whole(mut self, value: i64) -> Result<()> {
        let kind = self.scalar(Shape::Whole)?;
        match kind.physical() {
            Scalar::Long => wire::whole(self.out, value),
            Scalar::Int => {
                let value =
                    i32::try_from(value).map_err(|_| wrong(format!("{value} does not fit into an int")))?;
                wire::whole(self.out, value.into());
            }
            #[allow(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                reason = "it is looked at"
            )]
            Scalar::Double | Scalar::Float if value as f64 as i64 == value && value != i64::MAX => {
                return self.real(value as f64);
            }
            _ => return Err(Shape::Whole.unfit_scalar(kind)),
        }
        Ok(())
    }
    pub(super) fn real(mut self, value: f64) -> Result<()> {
        match self.scalar(Shape::Real)? {
            Scalar::Double => self.out.extend_from_slice(&value.to_le_bytes()),
            #[allow(clippy::cast_possible_truncation, reason = "it is looked at")]
            Scalar::Float => {
                let short = value as f32;
                if f64::from(short).to_bits() != value.to_bits() && !value.is_nan() {
                    return Err(wrong(format!("{value} does not fit into a float without loss")));
                }
                self.out.extend_from_slice(&short.to_le_bytes());
            }
            other => return Err(Shape::Real.unfit_scalar(other)),
        }
        Ok(())
    }
    pub(super) fn text(mut self, value: &str) -> Result<()> {
        let shape = Shape::Text(value);
        let kind = match self.branch(shape)? {
            Node::Scalar(kind) | Node::Fixed(_, kind) => *kind,
            Node::Enum(known) => {
                let index = known.symbols.iter().position(|symbol| **symbol == *value);
                let index = index.ok_or_else(|| wrong(format!("the enum has no symbol `{value}`")))?;
                wire::length(self.out, index);
                return Ok(());
            }
            other => return Err(shape.unfit(other)),
        };
        match kind {
            Scalar::String => wire::bytes(self.out, value.as_bytes()),
            Scalar::Uuid | Scalar::UuidFixed => {
                let parsed =
                    uuid::Uuid::try_parse(value).map_err(|e| wrong(format!("`{value}` is no UUID: {e}")))?;
                return self.uuid(kind, parsed);
            }
            Scalar::Decimal {
                precision,
                scale,
                size,
            } => {
                let (digits, start) = logical::shortest(logical::unscaled(value, precision, scale)?);
                let digits = &digits[start..];
                let Some(size) = size else {
                    wire::bytes(self.out, digits);
                    return Ok(());
                };
                let missing = size.checked_sub(digits.len());
                let missing =
                    missing.ok_or_else(|| wrong(format!("`{value}` does not fit into {size} bytes")))?;
                let fill = if digits[0] & 0x80 == 0 { 0 } else { 0xff };
                self.out.resize(self.out.len() + missing, fill);
                self.out.extend_from_slice(digits);
            }
            Scalar::Date
            | Scalar::TimeMillis
            | Scalar::TimeMicros
            | Scalar::Timestamp(_)
            | Scalar::Local(_) => {
                wire::whole(self.out, logical::number(kind, value)?);
            }
            other => return Err(shape.unfit_scalar(other)),
        }
        Ok(())
    }
    fn uuid(self, kind: Scalar, value: uuid::Uuid) -> Result<()> {
        match kind {
            Scalar::UuidFixed => self.out.extend_from_slice(value.as_bytes()),
            _ => wire::bytes(
                self.out,
                value
                    .hyphenated()
                    .encode_lower(&mut uuid::Uuid::encode_buffer())
                    .as_bytes(),
            ),
        }
        Ok(())
    }
    pub(super) fn bytes(mut self, value: &[u8]) -> Result<()> {
        match self.scalar(Shape::Bytes)? {
            Scalar::Bytes => wire::bytes(self.out, value),
            Scalar::Fixed(size) if size == value.len() => self.out.extend_from_slice(value),
            Scalar::Fixed(size) => {
                return Err(wrong(format!(
                    "{} bytes where the schema has {size}",
                    value.len()
                )));
            }
            kind @ (Scalar::Uuid | Scalar::UuidFixed) => {
                let value = uuid::Uuid::from_slice(value).map_err(|e| wrong(e.to_string()))?;
                return self.uuid(kind, value);
            }
            other => return Err(Shape::Bytes.unfit_scalar(other)),
        }
        Ok(())
    }
}

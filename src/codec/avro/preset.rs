//! Defaults of fields: JSON in the schema, encoded once.

use super::{
    plan::{Id, Node, Plan, Scalar},
    wire,
    wrong::{Result, wrong},
};
use serde_json::Value;

/// So many values and bytes the defaults of one schema may be: those of records that lie in each other double with every one, and
/// so do the branches that are tried.
pub(super) const MOST: usize = 1 << 20;

fn spend(left: &mut usize, cost: usize) -> Result<()> {
    let rest = left.checked_sub(cost);
    *left = rest.unwrap_or(0);
    let text = || wrong("the schema's defaults are more than can be worked out");
    rest.map(drop).ok_or_else(text)
}

/// Writes a default as the specification has it: numbers for times, text for bytes (a character for each), and the first branch
/// of a union that takes it.
pub(super) fn write(plan: &Plan, node: Id, value: &Value, out: &mut Vec<u8>, left: &mut usize) -> Result<()> {
    spend(left, 1)?;
    let unfit = || wrong(format!("`{value}` is not of the field's type"));
    match plan.node(node) {
        Node::Scalar(kind) | Node::Fixed(_, kind) => scalar(kind.physical(), value, out),
        Node::Byte => Err(unfit()),
        Node::Enum(known) => {
            let symbol = value.as_str().ok_or_else(unfit)?;
            let index = known.symbols.iter().position(|known| **known == *symbol);
            wire::length(out, index.ok_or_else(unfit)?);
            Ok(())
        }
        Node::Union(branches) => {
            let start = out.len();
            for (index, branch) in branches.iter().enumerate() {
                wire::length(out, index);
                if write(plan, *branch, value, out, left).is_ok() {
                    return Ok(());
                }
                out.truncate(start);
            }
            Err(unfit())
        }
        Node::Array(items) => {
            let values = value.as_array().ok_or_else(unfit)?;
            if !values.is_empty() {
                wire::length(out, values.len());
            }
            for value in values {
                write(plan, *items, value, out, left)?;
            }
            out.push(0);
            Ok(())
        }
        Node::Map(items) => {
            let values = value.as_object().ok_or_else(unfit)?;
            if !values.is_empty() {
                wire::length(out, values.len());
            }
            for (key, value) in values {
                wire::bytes(out, key.as_bytes());
                write(plan, *items, value, out, left)?;
            }
            out.push(0);
            Ok(())
        }
        Node::Record(record) => {
            let values = value.as_object().ok_or_else(unfit)?;
            for field in &record.fields {
                match (values.get(&*field.name), &field.preset) {
                    (Some(value), _) => write(plan, field.node, value, out, left)?,
                    (None, Some(preset)) => {
                        spend(left, preset.len())?;
                        out.extend_from_slice(preset);
                    }
                    (None, None) => return Err(unfit()),
                }
            }
            Ok(())
        }
    }
}

fn scalar(kind: Scalar, value: &Value, out: &mut Vec<u8>) -> Result<()> {
    let unfit = || wrong(format!("`{value}` is not {}", kind.name()));
    match kind {
        Scalar::Null => value.as_null().ok_or_else(unfit)?,
        Scalar::Boolean => out.push(u8::from(value.as_bool().ok_or_else(unfit)?)),
        Scalar::Int => {
            let number = value.as_i64().and_then(|number| i32::try_from(number).ok());
            wire::whole(out, number.ok_or_else(unfit)?.into());
        }
        Scalar::Long => wire::whole(out, value.as_i64().ok_or_else(unfit)?),
        #[allow(clippy::cast_possible_truncation, reason = "the schema has less digits")]
        Scalar::Float => out.extend_from_slice(&(value.as_f64().ok_or_else(unfit)? as f32).to_le_bytes()),
        Scalar::Double => out.extend_from_slice(&value.as_f64().ok_or_else(unfit)?.to_le_bytes()),
        Scalar::String => wire::bytes(out, value.as_str().ok_or_else(unfit)?.as_bytes()),
        _ => {
            let characters = value.as_str().ok_or_else(unfit)?.chars();
            let bytes: Option<Vec<u8>> = characters.map(|c| u8::try_from(u32::from(c)).ok()).collect();
            let bytes = bytes.ok_or_else(unfit)?;
            match kind {
                Scalar::Fixed(size) if size != bytes.len() => return Err(unfit()),
                Scalar::Fixed(_) => out.extend_from_slice(&bytes),
                _ => wire::bytes(out, &bytes),
            }
        }
    }
    Ok(())
}

//! Reads a value that another schema may have written, through serde.

mod compound;
mod scalars;

use super::{
    plan::{Id, Scalar},
    resolve::{Read, Reading},
    wire::Input,
    write::DEEPEST,
    wrong::{Result, Wrong, wrong},
};
use compound::{Fields, Items};
use scalars::Wanted;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, Visitor, value::StrDeserializer,
};

/// The value that `bytes` are, all of them.
pub(super) fn read<T: DeserializeOwned>(reading: &Reading, bytes: &[u8]) -> Result<T> {
    let mut input = Input::new(bytes);
    let at = At {
        reading,
        node: reading.root(),
        input: &mut input,
        deep: 0,
    };
    let value = T::deserialize(at)?;
    match input.0.len() {
        0 => Ok(value),
        // Whatever stands behind the value would be lost without a word.
        behind => Err(wrong(format!("{behind} bytes stand behind the value"))),
    }
}

/// Where one value is. What is read borrows nothing: defaults do not lie in the payload.
pub(super) struct At<'a, 'i> {
    reading: &'a Reading,
    node: Id,
    input: &'a mut Input<'i>,
    deep: usize,
}

impl<'a> At<'a, '_> {
    /// Steps into the branch of a union that was written.
    #[inline]
    fn branch(&mut self) -> Result<&'a Read> {
        match self.reading.node(self.node) {
            Read::Union(_) | Read::Refused(_) => self.step(),
            other => Ok(other),
        }
    }
    fn step(&mut self) -> Result<&'a Read> {
        let reading = self.reading;
        loop {
            match reading.node(self.node) {
                Read::Union(branches) => {
                    let index = self.input.whole()?;
                    let branch = usize::try_from(index).ok().and_then(|index| branches.get(index));
                    self.node = *branch.ok_or_else(|| wrong(format!("the union has no branch {index}")))?;
                }
                Read::Refused(why) => return Err(wrong(&**why)),
                other => return Ok(other),
            }
        }
    }
    fn deeper(&self) -> Result<usize> {
        match self.deep {
            DEEPEST => Err(wrong(format!(
                "values lie in each other more than {DEEPEST} deep"
            ))),
            deep => Ok(deep + 1),
        }
    }
    fn symbol(&mut self, symbols: &'a [Option<Box<str>>]) -> Result<&'a str> {
        let index = self.input.whole()?;
        let symbol = usize::try_from(index).ok().and_then(|index| symbols.get(index));
        let symbol = symbol.ok_or_else(|| wrong(format!("the enum has no symbol {index}")))?;
        let unknown = || {
            wrong(format!(
                "symbol {index} of the writer's enum is not in the reader's"
            ))
        };
        symbol.as_deref().ok_or_else(unknown)
    }
    fn value<'x, V: Visitor<'x>>(mut self, visitor: V, wanted: Wanted) -> Result<V::Value> {
        match self.branch()? {
            Read::Scalar(wire, meant) => scalars::give(self.input, (*wire, *meant), visitor, wanted),
            Read::Enum(symbols) => {
                let symbol = self.symbol(symbols)?;
                visitor.visit_str(symbol)
            }
            Read::Array(items, least) => {
                let deep = self.deeper()?;
                visitor.visit_seq(Items::new(self.reading, *items, self.input, deep, *least))
            }
            Read::Map(values) => {
                let deep = self.deeper()?;
                visitor.visit_map(Items::new(self.reading, *values, self.input, deep, 1))
            }
            Read::Record(steps) => {
                let deep = self.deeper()?;
                let before = self.input.0.len();
                let mut fields = Fields::new(self.reading, steps, self.input, deep);
                let value = visitor.visit_map(&mut fields)?;
                fields.skip()?;
                // Records of records of nothing would be as many as one likes.
                if self.input.0.len() == before {
                    self.input.empty(steps.len())?;
                }
                Ok(value)
            }
            Read::Union(_) | Read::Refused(_) => Err(wrong("a union lies in a union")),
        }
    }
}

macro_rules! give {
    ($($name:ident: $wanted:expr,)*) => {$(
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            self.value(visitor, $wanted)
        }
    )*};
}

impl<'de> Deserializer<'de> for At<'_, '_> {
    type Error = Wrong;

    give! {
        deserialize_any: Wanted::Text,
        deserialize_bool: Wanted::Text,
        deserialize_i8: Wanted::Number,
        deserialize_i16: Wanted::Number,
        deserialize_i32: Wanted::Number,
        deserialize_i64: Wanted::Number,
        deserialize_i128: Wanted::Number,
        deserialize_u8: Wanted::Number,
        deserialize_u16: Wanted::Number,
        deserialize_u32: Wanted::Number,
        deserialize_u64: Wanted::Number,
        deserialize_u128: Wanted::Number,
        deserialize_f32: Wanted::Number,
        deserialize_f64: Wanted::Number,
        deserialize_char: Wanted::Text,
        deserialize_str: Wanted::Text,
        deserialize_string: Wanted::Text,
        deserialize_bytes: Wanted::Bytes,
        deserialize_byte_buf: Wanted::Bytes,
        deserialize_unit: Wanted::Text,
        deserialize_seq: Wanted::Row,
        deserialize_map: Wanted::Text,
        deserialize_identifier: Wanted::Text,
    }
    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        match self.branch()? {
            Read::Scalar(Scalar::Null, _) => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }
    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value> {
        self.value(visitor, Wanted::Text)
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }
    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value> {
        self.value(visitor, Wanted::Row)
    }
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value> {
        self.value(visitor, Wanted::Row)
    }
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.value(visitor, Wanted::Text)
    }
    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        let symbol = match self.branch()? {
            Read::Enum(symbols) => self.symbol(symbols)?,
            Read::Scalar(Scalar::String, Scalar::String) => scalars::utf8(self.input.bytes()?)?,
            _ => return Err(wrong("an enum is wanted, and the schema has none")),
        };
        visitor.visit_enum(StrDeserializer::new(symbol))
    }
    /// Everything is read, since its length is not known otherwise, and made into nothing.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.value(visitor, Wanted::Nothing)
    }
}

/// Passes a value over.
fn pass(at: At<'_, '_>) -> Result<()> {
    std::marker::PhantomData::<IgnoredAny>.deserialize(at)?;
    Ok(())
}

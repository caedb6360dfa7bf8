//! Writes a value as a schema says, through serde.

mod compound;
mod scalars;

use self::scalars::Shape;
#[cfg(feature = "registry")]
pub(super) use self::scalars::beyond;
use super::{
    plan::{Id, Node, Plan, Scalar},
    wire,
    wrong::{Result, Wrong, wrong},
};
use compound::{Entries, Items, Parts};
use serde::{Serialize, Serializer, ser::Impossible};

/// As deep as values may lie in each other, in both directions: what is written can be read.
pub(super) const DEEPEST: usize = 128;

/// Appends `value` as the plan's root.
pub(super) fn write<T: Serialize + ?Sized>(plan: &Plan, value: &T, out: &mut Vec<u8>) -> Result<()> {
    let at = At {
        plan,
        node: plan.root(),
        out,
        deep: 0,
    };
    value.serialize(at)
}

/// A place for one value.
pub(super) struct At<'a> {
    plan: &'a Plan,
    node: Id,
    out: &'a mut Vec<u8>,
    deep: usize,
}

impl<'a> At<'a> {
    /// Steps into the branch of a union that takes this.
    fn branch(&mut self, shape: Shape<'_>) -> Result<&'a Node> {
        let plan = self.plan;
        let node = plan.node(self.node);
        let Node::Union(branches) = node else {
            return Ok(node);
        };
        let taken = |loose: bool| {
            let mut all = branches.iter().enumerate();
            all.find(|(_, branch)| shape.fits(plan.node(**branch), loose))
        };
        let (index, branch) = taken(false)
            .or_else(|| taken(true))
            .ok_or_else(|| wrong(format!("no branch of the schema's union takes {shape}")))?;
        wire::length(self.out, index);
        self.node = *branch;
        Ok(plan.node(*branch))
    }
    /// The scalar that takes this.
    fn scalar(&mut self, shape: Shape<'_>) -> Result<Scalar> {
        match self.branch(shape)? {
            Node::Scalar(kind @ Scalar::Wide { .. }) | Node::Fixed(_, kind @ Scalar::Wide { .. }) => {
                Ok(kind.physical())
            }
            Node::Scalar(kind) | Node::Fixed(_, kind) => Ok(*kind),
            other => Err(shape.unfit(other)),
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
    fn items(mut self, length: Option<usize>) -> Result<Items<'a>> {
        let deep = self.deeper()?;
        let node = self.branch(Shape::Row)?;
        Items::begin(self.plan, node, self.out, deep, length)
    }
}

pub(super) fn no_variant(variant: &str) -> Wrong {
    wrong(format!(
        "the variant `{variant}` holds values, and an Avro enum has names alone"
    ))
}

impl<'a> Serializer for At<'a> {
    type Ok = ();
    type Error = Wrong;
    type SerializeSeq = Items<'a>;
    type SerializeTuple = Items<'a>;
    type SerializeTupleStruct = Items<'a>;
    type SerializeTupleVariant = Impossible<(), Self::Error>;
    type SerializeMap = Entries<'a>;
    type SerializeStruct = Parts<'a>;
    type SerializeStructVariant = Impossible<(), Self::Error>;

    fn serialize_bool(mut self, value: bool) -> Result<()> {
        match self.scalar(Shape::Boolean)? {
            Scalar::Boolean => self.out.push(u8::from(value)),
            other => return Err(Shape::Boolean.unfit_scalar(other)),
        }
        Ok(())
    }
    fn serialize_i8(self, value: i8) -> Result<()> {
        self.whole(value.into())
    }
    fn serialize_i16(self, value: i16) -> Result<()> {
        self.whole(value.into())
    }
    fn serialize_i32(self, value: i32) -> Result<()> {
        self.whole(value.into())
    }
    fn serialize_i64(self, value: i64) -> Result<()> {
        self.whole(value)
    }
    fn serialize_i128(self, value: i128) -> Result<()> {
        let value = i64::try_from(value).map_err(|_| scalars::beyond(value))?;
        self.whole(value)
    }
    fn serialize_u8(self, value: u8) -> Result<()> {
        if let Node::Byte = self.plan.node(self.node) {
            self.out.push(value);
            return Ok(());
        }
        self.whole(value.into())
    }
    fn serialize_u16(self, value: u16) -> Result<()> {
        self.whole(value.into())
    }
    fn serialize_u32(self, value: u32) -> Result<()> {
        self.whole(value.into())
    }
    fn serialize_u64(self, value: u64) -> Result<()> {
        let value = i64::try_from(value).map_err(|_| scalars::beyond(value))?;
        self.whole(value)
    }
    fn serialize_u128(self, value: u128) -> Result<()> {
        let value = i64::try_from(value).map_err(|_| scalars::beyond(value))?;
        self.whole(value)
    }
    fn serialize_f32(self, value: f32) -> Result<()> {
        self.real(value.into())
    }
    fn serialize_f64(self, value: f64) -> Result<()> {
        self.real(value)
    }
    fn serialize_char(self, value: char) -> Result<()> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }
    fn serialize_str(self, value: &str) -> Result<()> {
        self.text(value)
    }
    fn serialize_bytes(self, value: &[u8]) -> Result<()> {
        self.bytes(value)
    }
    fn serialize_none(self) -> Result<()> {
        self.serialize_unit()
    }
    fn serialize_some<T: Serialize + ?Sized>(mut self, value: &T) -> Result<()> {
        // Most unions are one type and null: then nothing has to be asked of the value.
        if let Node::Union(branches) = self.plan.node(self.node) {
            let null = |branch: &&Id| matches!(self.plan.node(**branch), Node::Scalar(Scalar::Null));
            if let [first, second] = &branches[..]
                && null(&first) != null(&second)
            {
                let index = usize::from(null(&first));
                wire::length(self.out, index);
                self.node = branches[index];
            }
        }
        value.serialize(self)
    }
    fn serialize_unit(mut self) -> Result<()> {
        match self.scalar(Shape::Null)? {
            Scalar::Null => Ok(()),
            other => Err(Shape::Null.unfit_scalar(other)),
        }
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<()> {
        self.serialize_unit()
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<()> {
        self.text(variant)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<()> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: &T,
    ) -> Result<()> {
        Err(no_variant(variant))
    }
    fn serialize_seq(self, length: Option<usize>) -> Result<Items<'a>> {
        self.items(length)
    }
    fn serialize_tuple(self, length: usize) -> Result<Items<'a>> {
        self.items(Some(length))
    }
    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<Items<'a>> {
        self.items(Some(length))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant> {
        Err(no_variant(variant))
    }
    fn serialize_map(mut self, length: Option<usize>) -> Result<Entries<'a>> {
        let deep = self.deeper()?;
        let node = self.branch(Shape::Map)?;
        Entries::begin(self.plan, node, self.out, deep, length)
    }
    fn serialize_struct(mut self, name: &'static str, _: usize) -> Result<Parts<'a>> {
        let deep = self.deeper()?;
        match self.branch(Shape::Record(name))? {
            Node::Record(record) => Ok(Parts::begin(self.plan, record, self.out, deep)),
            other => Err(Shape::Record(name).unfit(other)),
        }
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant> {
        Err(no_variant(variant))
    }
}

//! Arrays, maps and records.

use super::{
    super::{
        plan::{Id, Node, Plan, Record, Scalar},
        wire,
        wrong::{Result, Wrong, wrong},
    },
    At,
    scalars::Shape,
};
use serde::{
    Serialize,
    ser::{SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple, SerializeTupleStruct},
};

/// A row of items whose number stands in front: if it is not known beforehand, they wait beside it.
#[derive(Debug)]
pub(crate) struct Items<'a> {
    plan: &'a Plan,
    node: Id,
    out: &'a mut Vec<u8>,
    deep: usize,
    announced: Option<usize>,
    waiting: Vec<u8>,
    count: usize,
    size: Size,
}

/// What stands around a row.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Size {
    /// A block of so many items, and an end.
    Blocks,
    /// The number of bytes.
    Bytes,
    /// Nothing: it is always this many bytes.
    Fixed(usize),
}

impl<'a> Items<'a> {
    pub(super) fn begin(
        plan: &'a Plan,
        node: &'a Node,
        out: &'a mut Vec<u8>,
        deep: usize,
        announced: Option<usize>,
    ) -> Result<Self> {
        let (node, size) = match node {
            Node::Array(items) => (*items, Size::Blocks),
            Node::Scalar(Scalar::Bytes | Scalar::Wide { size: None }) => (Plan::BYTE, Size::Bytes),
            Node::Fixed(_, Scalar::Fixed(size) | Scalar::Wide { size: Some(size) }) => {
                (Plan::BYTE, Size::Fixed(*size))
            }
            other => return Err(Shape::Row.unfit(other)),
        };
        Ok(Self::of(plan, node, out, deep, announced, size))
    }
    fn of(
        plan: &'a Plan,
        node: Id,
        out: &'a mut Vec<u8>,
        deep: usize,
        announced: Option<usize>,
        size: Size,
    ) -> Self {
        if let Some(count) = announced {
            size.head(count, out);
        }
        Self {
            plan,
            node,
            out,
            deep,
            announced,
            waiting: Vec::new(),
            count: 0,
            size,
        }
    }
    /// Where the next item goes.
    fn at(&mut self) -> At<'_> {
        let out = match self.announced {
            Some(_) => &mut *self.out,
            None => &mut self.waiting,
        };
        At {
            plan: self.plan,
            node: self.node,
            out,
            deep: self.deep,
        }
    }
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        let index = self.count;
        self.count += 1;
        value
            .serialize(self.at())
            .map_err(|e| e.inside(format!("[{index}]")))
    }
    fn finish(self) -> Result<()> {
        match self.announced {
            Some(announced) if announced != self.count => {
                let count = self.count;
                return Err(wrong(format!(
                    "{announced} items were announced, and {count} came"
                )));
            }
            Some(_) => {}
            None => {
                self.size.head(self.count, self.out);
                self.out.extend_from_slice(&self.waiting);
            }
        }
        match self.size {
            Size::Blocks => self.out.push(0),
            Size::Fixed(size) if size != self.count => {
                return Err(wrong(format!("{} bytes where the schema has {size}", self.count)));
            }
            _ => {}
        }
        Ok(())
    }
}

impl Size {
    fn head(self, count: usize, out: &mut Vec<u8>) {
        match self {
            // A block of none is the end, which stands there anyway.
            Self::Blocks if count == 0 => {}
            Self::Blocks | Self::Bytes => wire::length(out, count),
            Self::Fixed(_) => {}
        }
    }
}

impl SerializeSeq for Items<'_> {
    type Ok = ();
    type Error = Wrong;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.item(value)
    }
    fn end(self) -> Result<()> {
        self.finish()
    }
}

impl SerializeTuple for Items<'_> {
    type Ok = ();
    type Error = Wrong;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.item(value)
    }
    fn end(self) -> Result<()> {
        self.finish()
    }
}

impl SerializeTupleStruct for Items<'_> {
    type Ok = ();
    type Error = Wrong;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.item(value)
    }
    fn end(self) -> Result<()> {
        self.finish()
    }
}

/// What serde takes for a map: a map, or a record by the names of its fields.
#[derive(Debug)]
pub(crate) enum Entries<'a> {
    Map(Items<'a>),
    Record(Parts<'a>, String),
}

impl<'a> Entries<'a> {
    pub(super) fn begin(
        plan: &'a Plan,
        node: &'a Node,
        out: &'a mut Vec<u8>,
        deep: usize,
        announced: Option<usize>,
    ) -> Result<Self> {
        Ok(match node {
            Node::Map(values) => Self::Map(Items::of(plan, *values, out, deep, announced, Size::Blocks)),
            Node::Record(record) => Self::Record(Parts::begin(plan, record, out, deep), String::new()),
            other => return Err(Shape::Map.unfit(other)),
        })
    }
}

impl SerializeMap for Entries<'_> {
    type Ok = ();
    type Error = Wrong;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        match self {
            Self::Map(items) => {
                let node = Plan::KEY;
                key.serialize(At { node, ..items.at() })
            }
            Self::Record(_, next) => match serde_json::to_value(key) {
                Ok(serde_json::Value::String(key)) => {
                    *next = key;
                    Ok(())
                }
                _ => Err(wrong("a key of a record is its field's name")),
            },
        }
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        match self {
            Self::Map(items) => items.item(value),
            Self::Record(parts, key) => parts.part(key, value),
        }
    }
    fn end(self) -> Result<()> {
        match self {
            Self::Map(items) => items.finish(),
            Self::Record(parts, _) => parts.finish(),
        }
    }
}

/// A record. Its fields are written in the schema's order; those that come earlier wait beside it.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    plan: &'a Plan,
    record: &'a Record,
    out: &'a mut Vec<u8>,
    deep: usize,
    /// The first that is not written.
    next: usize,
    /// Those behind it that are, by their place.
    waiting: Vec<Option<Vec<u8>>>,
}

impl<'a> Parts<'a> {
    pub(super) fn begin(plan: &'a Plan, record: &'a Record, out: &'a mut Vec<u8>, deep: usize) -> Self {
        Self {
            plan,
            record,
            out,
            deep,
            next: 0,
            waiting: Vec::new(),
        }
    }
    fn part<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<()> {
        let fields = &self.record.fields;
        let (plan, deep) = (self.plan, self.deep);
        let put = |node, out| {
            let at = At {
                plan,
                node,
                out,
                deep,
            };
            value.serialize(at).map_err(|e| e.inside(name))
        };
        if let Some(field) = fields.get(self.next).filter(|field| *field.name == *name) {
            put(field.node, self.out)?;
            self.next += 1;
            while let Some(Some(written)) = self.waiting.get_mut(self.next).map(Option::take) {
                self.out.extend_from_slice(&written);
                self.next += 1;
            }
            return Ok(());
        }
        // What the schema does not have is not written.
        let Some(index) = fields.iter().position(|field| *field.name == *name) else {
            return Ok(());
        };
        let mut written = Vec::new();
        put(fields[index].node, &mut written)?;
        self.waiting.resize_with(fields.len(), || None);
        if index < self.next || self.waiting[index].replace(written).is_some() {
            return Err(wrong("a field is given twice").inside(name));
        }
        Ok(())
    }
    fn finish(mut self) -> Result<()> {
        for index in self.next..self.record.fields.len() {
            let field = &self.record.fields[index];
            match (self.waiting.get_mut(index).and_then(Option::take), &field.preset) {
                (Some(written), _) => self.out.extend_from_slice(&written),
                (None, Some(preset)) => self.out.extend_from_slice(preset),
                (None, None) => {
                    return Err(
                        wrong("the schema has this field, and the value does not").inside(&*field.name)
                    );
                }
            }
        }
        Ok(())
    }
}

impl SerializeStruct for Parts<'_> {
    type Ok = ();
    type Error = Wrong;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<()> {
        self.part(name, value)
    }
    fn end(self) -> Result<()> {
        self.finish()
    }
}

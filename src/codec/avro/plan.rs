//! A schema as encoder and decoder walk it: nodes in a row, which name each other by their place.

use super::{
    preset,
    schema::DEFAULT,
    wrong::{Result, wrong},
};
use apache_avro::{
    Schema,
    schema::{FixedSchema, InnerDecimalSchema, Name, UuidSchema},
};
use std::collections::HashMap;

/// The place of a node.
pub(super) type Id = usize;

/// The unit of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Millis,
    Micros,
    Nanos,
}

/// What has no parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Date,
    TimeMillis,
    TimeMicros,
    Timestamp(Unit),
    /// A time without a zone.
    Local(Unit),
    /// A UUID as text.
    Uuid,
    /// So many bytes.
    Fixed(usize),
    /// A UUID as 16 bytes.
    UuidFixed,
    /// As bytes, or as so many of them.
    Decimal {
        precision: u32,
        scale: u32,
        size: Option<usize>,
    },
    /// A decimal of more digits than are read here, which is only its bytes. No other decimal is read from it.
    Wide {
        size: Option<usize>,
    },
}

impl Scalar {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Int => "an int",
            Self::Long => "a long",
            Self::Float => "a float",
            Self::Double => "a double",
            Self::Bytes => "bytes",
            Self::String => "a string",
            Self::Date => "a date",
            Self::TimeMillis | Self::TimeMicros => "a time of a day",
            Self::Timestamp(_) => "a timestamp",
            Self::Local(_) => "a local timestamp",
            Self::Uuid | Self::UuidFixed => "a UUID",
            Self::Fixed(_) => "a fixed number of bytes",
            Self::Decimal { .. } => "a decimal",
            Self::Wide { .. } => "a decimal of more than 38 digits",
        }
    }
    pub(super) fn unit(self) -> Unit {
        match self {
            Self::TimeMicros => Unit::Micros,
            Self::Timestamp(unit) | Self::Local(unit) => unit,
            _ => Unit::Millis,
        }
    }
    /// The type that it is written as.
    pub(super) fn physical(self) -> Self {
        match self {
            Self::Date | Self::TimeMillis => Self::Int,
            Self::TimeMicros | Self::Timestamp(_) | Self::Local(_) => Self::Long,
            Self::Uuid => Self::String,
            Self::UuidFixed => Self::Fixed(16),
            Self::Decimal { size: Some(size), .. } | Self::Wide { size: Some(size) } => Self::Fixed(size),
            Self::Decimal { size: None, .. } | Self::Wide { size: None } => Self::Bytes,
            other => other,
        }
    }
}

/// A type.
#[derive(Debug)]
pub(super) enum Node {
    Scalar(Scalar),
    /// Its name, for what has to match by name.
    Fixed(Named, Scalar),
    Enum(Enum),
    Array(Id),
    Map(Id),
    Union(Vec<Id>),
    Record(Record),
    /// One byte of what serde writes as a row of numbers.
    Byte,
}

/// The name of a type, without its namespace, and what it was called before.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) name: Box<str>,
    aliases: Vec<Box<str>>,
}

impl Named {
    fn new(name: &Name, aliases: Option<&Vec<apache_avro::schema::Alias>>) -> Self {
        let aliases = aliases.into_iter().flatten().map(|alias| alias.name().into());
        Self {
            name: name.name().into(),
            aliases: aliases.collect(),
        }
    }
    /// Whether a reader that calls it this may read what a writer has called that.
    pub(super) fn reads(&self, writer: &Self) -> bool {
        self.name == writer.name || self.aliases.contains(&writer.name)
    }
}

#[derive(Debug)]
pub(super) struct Enum {
    pub(super) named: Named,
    pub(super) symbols: Vec<Box<str>>,
    /// What a symbol is read as that the reader does not know.
    pub(super) other: Option<usize>,
}

#[derive(Debug)]
pub(super) struct Record {
    pub(super) named: Named,
    pub(super) fields: Vec<Field>,
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: Box<str>,
    pub(super) aliases: Vec<String>,
    pub(super) node: Id,
    /// What it has where nothing is said, encoded.
    pub(super) preset: Option<Box<[u8]>>,
}

/// A schema in nodes.
#[derive(Debug)]
pub(super) struct Plan {
    nodes: Vec<Node>,
    root: Id,
}

impl Plan {
    pub(super) fn of(schema: &Schema) -> Result<Self> {
        let mut making = Making {
            nodes: vec![Node::Byte, Node::Scalar(Scalar::String)],
            names: HashMap::new(),
            presets: Vec::new(),
        };
        let root = making.add(schema, None)?;
        let Making { nodes, presets, .. } = making;
        let mut plan = Self { nodes, root };
        let mut left = preset::MOST;
        for (record, field, value) in presets {
            let Node::Record(known) = &plan.nodes[record] else {
                continue;
            };
            let (node, name) = (known.fields[field].node, known.fields[field].name.clone());
            let mut out = Vec::new();
            preset::write(&plan, node, value, &mut out, &mut left)
                .map_err(|e| e.inside(name).inside("default"))?;
            if let Node::Record(known) = &mut plan.nodes[record] {
                known.fields[field].preset = Some(out.into());
            }
        }
        Ok(plan)
    }
    pub(super) fn root(&self) -> Id {
        self.root
    }
    pub(super) fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }
    /// The node of a byte.
    pub(super) const BYTE: Id = 0;
    /// The node of a key of a map.
    pub(super) const KEY: Id = 1;
}

/// How many bytes a fixed type has: no payload has more than other implementations can count.
fn size(fixed: &FixedSchema) -> Result<usize> {
    let (size, most) = (fixed.size, i32::MAX);
    match i32::try_from(size) {
        Ok(_) => Ok(size),
        Err(_) => Err(wrong(format!(
            "`{}` has {size} bytes, and {most} is the most",
            fixed.name
        ))),
    }
}

struct Making<'a> {
    nodes: Vec<Node>,
    names: HashMap<String, Id>,
    /// Defaults, which are encoded once every node is there: of which field of which record, and what.
    presets: Vec<(Id, usize, &'a serde_json::Value)>,
}

impl<'a> Making<'a> {
    fn put(&mut self, node: Node) -> Id {
        self.nodes.push(node);
        self.nodes.len() - 1
    }
    fn named(&mut self, name: &Name, within: Option<&str>, node: Node) -> Id {
        let id = self.put(node);
        self.names.insert(name.fullname(within), id);
        id
    }
    /// `within` is the namespace that names have which have none.
    fn add(&mut self, schema: &'a Schema, within: Option<&str>) -> Result<Id> {
        let unit = |unit| Scalar::Timestamp(unit);
        let local = |unit| Scalar::Local(unit);
        let scalar = match schema {
            Schema::Null => Scalar::Null,
            Schema::Boolean => Scalar::Boolean,
            Schema::Int => Scalar::Int,
            Schema::Long => Scalar::Long,
            Schema::Float => Scalar::Float,
            Schema::Double => Scalar::Double,
            Schema::Bytes | Schema::BigDecimal | Schema::Uuid(UuidSchema::Bytes) => Scalar::Bytes,
            Schema::String => Scalar::String,
            Schema::Date => Scalar::Date,
            Schema::TimeMillis => Scalar::TimeMillis,
            Schema::TimeMicros => Scalar::TimeMicros,
            Schema::TimestampMillis => unit(Unit::Millis),
            Schema::TimestampMicros => unit(Unit::Micros),
            Schema::TimestampNanos => unit(Unit::Nanos),
            Schema::LocalTimestampMillis => local(Unit::Millis),
            Schema::LocalTimestampMicros => local(Unit::Micros),
            Schema::LocalTimestampNanos => local(Unit::Nanos),
            Schema::Uuid(UuidSchema::String) => Scalar::Uuid,
            Schema::Uuid(UuidSchema::Fixed(fixed)) => {
                let named = Named::new(&fixed.name, fixed.aliases.as_ref());
                return Ok(self.named(&fixed.name, within, Node::Fixed(named, Scalar::UuidFixed)));
            }
            Schema::Fixed(fixed) | Schema::Duration(fixed) => {
                let named = Named::new(&fixed.name, fixed.aliases.as_ref());
                let node = Node::Fixed(named, Scalar::Fixed(size(fixed)?));
                return Ok(self.named(&fixed.name, within, node));
            }
            Schema::Decimal(decimal) => {
                let narrow = |digits: usize| u32::try_from(digits).ok().filter(|digits| *digits <= 38);
                let of = |size| match (narrow(decimal.precision), narrow(decimal.scale)) {
                    (Some(precision), Some(scale)) => Scalar::Decimal {
                        precision,
                        scale,
                        size,
                    },
                    // As the specification has it: who does not know a meaning takes the type.
                    _ => Scalar::Wide { size },
                };
                let InnerDecimalSchema::Fixed(fixed) = &decimal.inner else {
                    return Ok(self.put(Node::Scalar(of(None))));
                };
                let named = Named::new(&fixed.name, fixed.aliases.as_ref());
                let node = Node::Fixed(named, of(Some(size(fixed)?)));
                return Ok(self.named(&fixed.name, within, node));
            }
            Schema::Array(array) => {
                let items = self.add(&array.items, within)?;
                return Ok(self.put(Node::Array(items)));
            }
            Schema::Map(map) => {
                let values = self.add(&map.types, within)?;
                return Ok(self.put(Node::Map(values)));
            }
            Schema::Union(union) => {
                let branches = union.variants().iter().map(|branch| self.add(branch, within));
                let branches = branches.collect::<Result<_>>()?;
                return Ok(self.put(Node::Union(branches)));
            }
            Schema::Enum(given) => {
                let symbols: Vec<Box<str>> = given.symbols.iter().map(|symbol| (**symbol).into()).collect();
                let other = given.default.as_deref();
                let node = Node::Enum(Enum {
                    named: Named::new(&given.name, given.aliases.as_ref()),
                    other: other.and_then(|other| symbols.iter().position(|symbol| **symbol == *other)),
                    symbols,
                });
                return Ok(self.named(&given.name, within, node));
            }
            Schema::Record(given) => {
                let named = Named::new(&given.name, given.aliases.as_ref());
                let fields = Vec::with_capacity(given.fields.len());
                // Before its fields, which may name it.
                let id = self.named(&given.name, within, Node::Record(Record { named, fields }));
                let full = given.name.fully_qualified_name(within).into_owned();
                for (index, field) in given.fields.iter().enumerate() {
                    let node = self.add(&field.schema, full.namespace())?;
                    self.presets.extend(
                        field
                            .custom_attributes
                            .get(DEFAULT)
                            .map(|value| (id, index, value)),
                    );
                    if let Node::Record(record) = &mut self.nodes[id] {
                        record.fields.push(Field {
                            name: (*field.name).into(),
                            aliases: field.aliases.clone(),
                            node,
                            preset: None,
                        });
                    }
                }
                return Ok(id);
            }
            Schema::Ref { name } => {
                let full = name.fullname(within);
                let known = self
                    .names
                    .get(&full)
                    .or_else(|| self.names.get(&name.fullname(None)));
                return known
                    .copied()
                    .ok_or_else(|| wrong(format!("no type is called `{full}`")));
            }
        };
        Ok(self.put(Node::Scalar(scalar)))
    }
}

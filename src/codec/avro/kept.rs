//! A value that waits until it is known how it is written: what serde says of it, to be said again.

use super::{
    write::{DEEPEST, beyond},
    wrong::{Result, Wrong, wrong},
};
use serde::{
    Serialize, Serializer,
    ser::{Impossible, SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple, SerializeTupleStruct},
};

/// What the encoder tells apart, and no more.
#[derive(Debug, PartialEq)]
pub(super) enum Kept {
    Null,
    Boolean(bool),
    /// Apart from other numbers, because a row of them may be bytes.
    Byte(u8),
    Whole(i64),
    Real(f64),
    Text(String),
    Bytes(Vec<u8>),
    Some(Box<Kept>),
    Row(Vec<Kept>),
    Map(Vec<(Kept, Kept)>),
    Struct(&'static str, Vec<(&'static str, Kept)>),
}

impl Kept {
    pub(super) fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        value.serialize(Keep { deep: 0 })
    }
}

impl Serialize for Kept {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Null => to.serialize_unit(),
            Self::Boolean(value) => to.serialize_bool(*value),
            Self::Byte(value) => to.serialize_u8(*value),
            Self::Whole(value) => to.serialize_i64(*value),
            Self::Real(value) => to.serialize_f64(*value),
            Self::Text(value) => to.serialize_str(value),
            Self::Bytes(value) => to.serialize_bytes(value),
            Self::Some(value) => to.serialize_some(value),
            Self::Row(items) => to.collect_seq(items),
            Self::Map(entries) => to.collect_map(entries.iter().map(|(key, value)| (key, value))),
            Self::Struct(name, fields) => {
                let mut parts = to.serialize_struct(name, fields.len())?;
                for (name, value) in fields {
                    parts.serialize_field(name, value)?;
                }
                parts.end()
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Keep {
    deep: usize,
}

impl Keep {
    fn deeper<T>(self, kept: impl FnOnce(Self) -> T) -> Result<T> {
        match self.deep {
            DEEPEST => Err(wrong(format!(
                "values lie in each other more than {DEEPEST} deep"
            ))),
            deep => Ok(kept(Self { deep: deep + 1 })),
        }
    }
    fn row(self) -> Result<Row> {
        self.deeper(|inside| Row {
            inside,
            items: Vec::new(),
        })
    }
}

macro_rules! whole {
    ($($method:ident: $number:ty),+) => {$(
        fn $method(self, value: $number) -> Result<Kept> {
            i64::try_from(value).map(Kept::Whole).map_err(|_| beyond(value))
        }
    )+};
}

impl Serializer for Keep {
    type Ok = Kept;
    type Error = Wrong;
    type SerializeSeq = Row;
    type SerializeTuple = Row;
    type SerializeTupleStruct = Row;
    type SerializeTupleVariant = Impossible<Kept, Wrong>;
    type SerializeMap = Map;
    type SerializeStruct = Struct;
    type SerializeStructVariant = Impossible<Kept, Wrong>;

    whole!(serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128);
    whole!(serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128);
    fn serialize_bool(self, value: bool) -> Result<Kept> {
        Ok(Kept::Boolean(value))
    }
    fn serialize_u8(self, value: u8) -> Result<Kept> {
        Ok(Kept::Byte(value))
    }
    fn serialize_f32(self, value: f32) -> Result<Kept> {
        Ok(Kept::Real(value.into()))
    }
    fn serialize_f64(self, value: f64) -> Result<Kept> {
        Ok(Kept::Real(value))
    }
    fn serialize_char(self, value: char) -> Result<Kept> {
        Ok(Kept::Text(value.into()))
    }
    fn serialize_str(self, value: &str) -> Result<Kept> {
        Ok(Kept::Text(value.to_owned()))
    }
    fn serialize_bytes(self, value: &[u8]) -> Result<Kept> {
        Ok(Kept::Bytes(value.to_owned()))
    }
    fn serialize_none(self) -> Result<Kept> {
        Ok(Kept::Null)
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Kept> {
        Ok(Kept::Some(value.serialize(self)?.into()))
    }
    fn serialize_unit(self) -> Result<Kept> {
        Ok(Kept::Null)
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<Kept> {
        Ok(Kept::Null)
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Kept> {
        Ok(Kept::Text(variant.to_owned()))
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<Kept> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: &T,
    ) -> Result<Kept> {
        Err(super::write::no_variant(variant))
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<Row> {
        self.row()
    }
    fn serialize_tuple(self, _: usize) -> Result<Row> {
        self.row()
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Row> {
        self.row()
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant> {
        Err(super::write::no_variant(variant))
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Map> {
        self.deeper(|inside| Map {
            inside,
            key: Kept::Null,
            entries: Vec::new(),
        })
    }
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Struct> {
        self.deeper(|inside| Struct {
            inside,
            name,
            fields: Vec::new(),
        })
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant> {
        Err(super::write::no_variant(variant))
    }
}

struct Row {
    inside: Keep,
    items: Vec<Kept>,
}

impl Row {
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        let kept = value.serialize(self.inside);
        self.items
            .push(kept.map_err(|e| e.inside(format!("[{}]", self.items.len())))?);
        Ok(())
    }
    fn kept(self) -> Result<Kept> {
        Ok(Kept::Row(self.items))
    }
}

impl SerializeSeq for Row {
    type Ok = Kept;
    type Error = Wrong;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.item(value)
    }
    fn end(self) -> Result<Kept> {
        self.kept()
    }
}

impl SerializeTuple for Row {
    type Ok = Kept;
    type Error = Wrong;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.item(value)
    }
    fn end(self) -> Result<Kept> {
        self.kept()
    }
}

impl SerializeTupleStruct for Row {
    type Ok = Kept;
    type Error = Wrong;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.item(value)
    }
    fn end(self) -> Result<Kept> {
        self.kept()
    }
}

struct Map {
    inside: Keep,
    key: Kept,
    entries: Vec<(Kept, Kept)>,
}

impl SerializeMap for Map {
    type Ok = Kept;
    type Error = Wrong;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        self.key = key.serialize(self.inside)?;
        Ok(())
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        let value = value.serialize(self.inside)?;
        let key = std::mem::replace(&mut self.key, Kept::Null);
        self.entries.push((key, value));
        Ok(())
    }
    fn end(self) -> Result<Kept> {
        Ok(Kept::Map(self.entries))
    }
}

struct Struct {
    inside: Keep,
    name: &'static str,
    fields: Vec<(&'static str, Kept)>,
}

impl SerializeStruct for Struct {
    type Ok = Kept;
    type Error = Wrong;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<()> {
        let kept = value.serialize(self.inside).map_err(|e| e.inside(name))?;
        self.fields.push((name, kept));
        Ok(())
    }
    fn end(self) -> Result<Kept> {
        Ok(Kept::Struct(self.name, self.fields))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Schema, write},
        *,
    };
    use serde_json::json;
    use std::collections::BTreeMap;

    #[derive(Serialize)]
    struct Everything<'a> {
        nothing: (),
        yes: bool,
        small: i8,
        large: u64,
        real: f32,
        letter: char,
        raw: Vec<u8>,
        id: uuid::Uuid,
        at: &'a str,
        either: Option<Choice>,
        none: Option<u8>,
        pairs: Vec<(u32, u32)>,
        map: BTreeMap<&'a str, Choice>,
    }

    #[derive(Serialize)]
    enum Choice {
        No,
        Yes,
    }

    #[test]
    fn what_is_kept_is_written_as_what_was_given() {
        let choice = json!({"type": "enum", "name": "Choice", "symbols": ["Yes", "No"]});
        let schema = json!({"type": "record", "name": "Everything", "fields": [
            {"name": "nothing", "type": "null"}, {"name": "large", "type": "long"}, {"name": "small", "type": "int"},
            {"name": "yes", "type": "boolean"}, {"name": "real", "type": "float"}, {"name": "letter", "type": "string"},
            {"name": "raw", "type": "bytes"}, {"name": "id", "type": {"type": "string", "logicalType": "uuid"}},
            {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
            {"name": "either", "type": ["null", choice]}, {"name": "none", "type": ["null", "long"]},
            {"name": "pairs", "type": {"type": "array", "items": {"type": "array", "items": "long"}}},
            {"name": "map", "type": {"type": "map", "values": "Choice"}}]});
        let schema = Schema::of(schema).unwrap();
        let everything = Everything {
            nothing: (),
            yes: true,
            small: -3,
            large: 1 << 62,
            real: 0.1,
            letter: 'ü',
            raw: vec![0, 255],
            id: uuid::Uuid::from_u128(7),
            at: "2024-01-01T00:00:00.000001Z",
            either: Some(Choice::No),
            none: None,
            pairs: vec![(1, 2), (3, 4)],
            map: BTreeMap::from([("a", Choice::Yes)]),
        };
        let (mut given, mut kept) = (Vec::new(), Vec::new());
        write::write(schema.plan(), &everything, &mut given).unwrap();
        write::write(schema.plan(), &Kept::of(&everything).unwrap(), &mut kept).unwrap();
        assert_eq!(given, kept);
        assert!(given.len() > 60, "{given:?}");
    }

    #[test]
    fn what_can_never_be_written_is_refused_at_once() {
        let why = |wrong: Result<Kept>| wrong.unwrap_err().to_string();
        assert!(why(Kept::of(&BTreeMap::from([("a", u64::MAX)]))).contains("18446744073709551615"));
        assert!(why(Kept::of(&Some(Err::<(), _>(1)))).contains("`Err`"));
        let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
        assert!(why(Kept::of(&deep)).contains("128 deep"));
    }
}

//! What is worked out once for a type, so that no message has to.

use super::{AvroSchema, Schema, resolve::Reading};
use bus_core::{Error, Result};
use std::{
    any::TypeId,
    collections::HashMap,
    sync::{OnceLock, PoisonError, RwLock},
};

/// A place for it.
#[derive(Debug)]
pub struct Cell(OnceLock<Result<Own, Box<str>>>);

/// A type's schema, and how what it has written is read.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) schema: Schema,
    pub(super) reading: Reading,
}

impl Cell {
    /// An empty place.
    #[allow(clippy::new_without_default, reason = "it is for statics")]
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }
    /// That of a type that has none of its own, which has to be looked up.
    pub(super) fn of<T: AvroSchema + ?Sized>() -> &'static Self {
        static ALL: RwLock<Option<HashMap<TypeId, &'static Cell>>> = RwLock::new(None);
        let of = TypeId::of::<T>();
        let known = ALL.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = known.as_ref().and_then(|known| known.get(&of)) {
            return cell;
        }
        drop(known);
        let mut known = ALL.write().unwrap_or_else(PoisonError::into_inner);
        // There are as many as there are types.
        let new = || &*Box::leak(Box::new(Self::new()));
        known.get_or_insert_default().entry(of).or_insert_with(new)
    }
}

/// What is known of a type. Its bytes do not depend on namespaces.
pub(super) fn own<T: AvroSchema + ?Sized>() -> Result<&'static Own> {
    let made = T::cell()
        .0
        .get_or_init(|| make::<T>().map_err(|e| e.to_string().into()));
    made.as_ref().map_err(|wrong| Error::invalid(&**wrong))
}

fn make<T: AvroSchema + ?Sized>() -> Result<Own> {
    let schema = T::avro_schema_in("com.core.events")?;
    let reading = Reading::of(schema.plan(), schema.plan()).map_err(|e| Error::invalid(e.to_string()))?;
    Ok(Own { schema, reading })
}

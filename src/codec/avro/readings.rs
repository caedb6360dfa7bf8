//! How one schema is read as several types, each worked out once.

use super::{AvroSchema, Schema, cell::own, codec::undecodable, resolve::Reading};
use bus_core::Result;
use std::{any::TypeId, sync::OnceLock};

/// A list that only grows, so that looking takes no lock; it has as many entries as a topic's codec has payload types, which is
/// one nearly always.
#[derive(Debug, Default)]
pub(super) struct Readings(OnceLock<Box<Entry>>);

#[derive(Debug)]
struct Entry {
    of: TypeId,
    reading: Result<Reading, Box<str>>,
    next: Readings,
}

impl Readings {
    /// How `T` is read from what this schema has written.
    pub(super) fn of<T: AvroSchema>(&self, writer: &Schema) -> Result<&Reading> {
        let mut list = self;
        loop {
            let entry = match list.0.get() {
                Some(entry) => entry,
                None => {
                    let own = own::<T>()?;
                    list.0.get_or_init(|| {
                        let reading = Reading::of(writer.plan(), own.schema.plan());
                        Box::new(Entry {
                            of: TypeId::of::<T>(),
                            reading: reading.map_err(|e| e.to_string().into()),
                            next: Self::default(),
                        })
                    })
                }
            };
            if entry.of == TypeId::of::<T>() {
                return entry
                    .reading
                    .as_ref()
                    .map_err(|why| undecodable().source(format!("of the writer's schema: {why}")));
            }
            list = &entry.next;
        }
    }
}

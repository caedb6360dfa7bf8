//! Under which subject a schema is registered.

use super::Schema;
use bus_core::{Error, Result};

/// How subjects are named: Confluent's three strategies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Naming {
    /// `<topic>-value`: one type a topic. The default, as everywhere.
    #[default]
    Topic,
    /// The record's full name: the same type in many topics has one history.
    Record,
    /// `<topic>-<record's full name>`: several types in one topic, each with a history of its own there.
    TopicRecord,
}

impl Naming {
    /// The subject of a schema.
    /// # Errors
    /// `Invalid`: it goes by the record's name, and the schema has none.
    pub fn subject(self, topic: &str, schema: &Schema) -> Result<String> {
        let name = || {
            schema.name().ok_or_else(|| {
                Error::invalid(format!(
                    "subjects are named by records ({self:?}), and this schema does not say what its record is called; add \
                     `Schema::named`"
                ))
            })
        };
        Ok(match self {
            Self::Topic => format!("{topic}-value"),
            Self::Record => name()?.to_owned(),
            Self::TopicRecord => format!("{topic}-{}", name()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_as_others_name_them() {
        let schema = Schema::avro("\"long\"");
        let named = schema.clone().named("com.x.Order");
        assert_eq!(Naming::Topic.subject("orders", &schema).unwrap(), "orders-value");
        assert_eq!(Naming::Record.subject("orders", &named).unwrap(), "com.x.Order");
        assert_eq!(
            Naming::TopicRecord.subject("orders", &named).unwrap(),
            "orders-com.x.Order"
        );
        let error = Naming::Record.subject("orders", &schema).unwrap_err();
        assert!(error.message().contains("Schema::named"));
    }
}

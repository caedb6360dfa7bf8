//! A book.

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

/// A book, as it is stored, shown and told of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Book {
    pub(crate) title: String,
    pub(crate) author: String,
    #[serde(with = "date")]
    pub(crate) created_at: DateTime,
}

impl Book {
    pub(crate) fn matches(&self, query: &str) -> bool {
        let has = |text: &str| text.to_lowercase().contains(&query.to_lowercase());
        has(&self.title) || has(&self.author)
    }
}

/// Dates as this shop has always written them: `2024-04-10 07:01:51`.
mod date {
    use jiff::civil::DateTime;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    const FORMAT: &str = "%Y-%m-%d %H:%M:%S";

    pub(super) fn serialize<S: Serializer>(date: &DateTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&date.strftime(FORMAT))
    }
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        DateTime::strptime(FORMAT, text).map_err(D::Error::custom)
    }
}

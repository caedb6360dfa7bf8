//! The domain: searching books, and telling of it. It knows no bus.

use crate::book::Book;
use std::sync::Arc;

/// Where events go. A search waits for none of it, and cannot fail by it.
pub(crate) trait MqHelper: Send + Sync {
    fn send_event(&self, key: &str, bytes: Vec<u8>);
}

pub(crate) struct Shop {
    books: Vec<Book>,
    mq: Arc<dyn MqHelper>,
}

impl Shop {
    pub(crate) fn new(books: Vec<Book>, mq: Arc<dyn MqHelper>) -> Self {
        Self { books, mq }
    }
    /// What there is for a query; whoever looks for something is told of.
    pub(crate) fn search(&self, query: &str) -> serde_json::Result<Vec<Book>> {
        if query.is_empty() {
            return Ok(Vec::new());
        }
        let found: Vec<_> = self
            .books
            .iter()
            .filter(|book| book.matches(query))
            .cloned()
            .collect();
        self.mq.send_event(query, serde_json::to_vec(&found)?);
        Ok(found)
    }
}

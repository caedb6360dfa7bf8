//! `rec-svr`: what to recommend to whoever looked for something.

use crate::book::Book;
use bus::handler::{Consumer, Key, Payload, consumer};

pub(crate) fn service(topic: &str, group: String) -> Consumer {
    consumer(topic, group, recommend)
}

async fn recommend(Key(query): Key, Payload(found): Payload<Vec<Book>>) {
    let query = String::from_utf8_lossy(&query.unwrap_or_default()).into_owned();
    match found.first() {
        Some(book) => println!("rec-svr: {query}: {} by {}", book.title, book.author),
        None => println!("rec-svr: {query}: nothing"),
    }
}

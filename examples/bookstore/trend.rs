//! `trend-svr`: what is looked for most.

use bus::handler::{Consumer, Key, State, consumer_with};
use std::{
    cmp::Reverse,
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

type Counts = Arc<Mutex<BTreeMap<String, u32>>>;

pub(crate) fn service(topic: &str, group: String) -> Consumer {
    consumer_with(topic, group, count, Counts::default())
}

async fn count(State(counts): State<Counts>, Key(query): Key) {
    let query = String::from_utf8_lossy(&query.unwrap_or_default()).into_owned();
    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    *counts.entry(query).or_default() += 1;
    let mut trend: Vec<_> = counts.iter().collect();
    trend.sort_by_key(|(_, count)| Reverse(**count));
    let words: Vec<_> = trend
        .iter()
        .map(|(query, count)| format!("{query} {count}"))
        .collect();
    println!("trend-svr: {}", words.join(", "));
}

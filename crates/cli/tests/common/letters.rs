//! Dead letters: how they come about, and `bus dlq`.
#![allow(dead_code, reason = "each test program uses a part of it")]

use super::{DEADLINE, Ran, on, run};
use bus::{Bus, Bytes, Raw, Topic};
use serde_json::json;

/// An application's part: the group rejects what comes.
pub(crate) fn given_up(url: &str, topic: &str, group: &str, count: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let bus = Bus::connect(url).await.unwrap();
        let topic: Topic<Bytes, Raw> = Topic::named(topic);
        let mut reader = bus.subscribe(&topic, group).await.unwrap();
        for _ in 0..count {
            let next = tokio::time::timeout(DEADLINE, reader.next()).await;
            next.unwrap().unwrap().unwrap().reject("no such product");
        }
        reader.close().await.unwrap();
        bus.close().await.unwrap();
    });
}

pub(crate) fn messages(keys: &[impl AsRef<str>]) -> Vec<u8> {
    let line = |key: &_| {
        let key = AsRef::<str>::as_ref(key);
        let message = json!({"key": key, "value": format!("of {key}"), "headers": [["h", "1"], ["h", "2"]]});
        format!("{message}\n")
    };
    keys.iter().map(line).collect::<String>().into()
}

pub(crate) fn dlq(url: &str, words: &[&str], more: &[&str]) -> Ran {
    run(on(url, &[&["dlq"], words, more].concat()))
}

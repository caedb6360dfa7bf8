//! What the fuzz targets reach of the decoders; only in their builds.
#![allow(missing_docs)]

use crate::{
    entry,
    subscriber::decode::{Decoder, Step},
    wire::Value,
};
use bus_core::{Batch, BatchBuilder, Record};
use std::sync::Arc;

pub fn value(bytes: &[u8]) {
    if let Ok(Some((_, length))) = Value::parse(bytes) {
        assert!(length <= bytes.len(), "read past the end");
    }
}

pub fn entry(fields: &[(&[u8], &[u8])]) -> Batch {
    let mut batch = BatchBuilder::default();
    entry::push(&mut batch, 7 << 64, fields);
    batch.finish()
}

/// Position and payload of every record of the reply to a request for two streams, and how it ended; `cut` bytes of it are
/// there at first.
pub fn records(bytes: &[u8], cut: usize) -> (Vec<(usize, u128, Option<Vec<u8>>)>, String) {
    let (mut decoder, mut out, mut used) = (Decoder::default(), Vec::new(), 0);
    for end in [cut.min(bytes.len()), bytes.len()] {
        loop {
            match decoder.step(&bytes[used..end], &["a", "b"]) {
                Err(_) => return (out, "malformed".into()),
                Ok((more, step)) => {
                    used += more;
                    match step {
                        Step::Wait => break,
                        Step::Batch(stream, batch, _) => {
                            let batch = Arc::new(batch);
                            for index in 0..batch.records().len() {
                                let record = Record::new(batch.clone(), index as u32);
                                let payload = record.payload().map(<[u8]>::to_vec);
                                out.push((stream, record.position(), payload));
                            }
                        }
                        Step::End => return (out, format!("ended at {used}")),
                        Step::Refused(why) => return (out, why),
                    }
                }
            }
        }
    }
    (out, "waits".into())
}

//! What the fuzz targets reach of the decoders; only in their builds.
#![allow(missing_docs)]

use crate::notes;

pub fn notes(metadata: &[u8]) {
    let read = notes::decode(metadata);
    let written = notes::encode(read.topic, &read.notes);
    assert_eq!(
        notes::decode(&written),
        read,
        "what was read is written and read again"
    );
}

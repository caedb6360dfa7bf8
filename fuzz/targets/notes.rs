//! Notes of commits: what core says of records beyond a position, and Kafka's metadata around it.
#![no_main]

use bus_core::flow::notes::Notes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((next, notes)) = bytes.split_first_chunk::<16>() else {
        return;
    };
    // Positions are below that: the driver's contract.
    let next = u128::from_be_bytes(*next) >> 1;
    let read = Notes::decode(notes, next);
    let written = read.encode(next, usize::MAX);
    assert_eq!(
        Notes::decode(&written, next),
        read,
        "what was read is written and read again"
    );
    bus_kafka::fuzzing::notes(notes);
});

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
    let again = Notes::decode(&read.encode(next, usize::MAX), next);
    assert_eq!(again.attempts, read.attempts, "what was read is written and read again");
    // Runs that touch may be one by then.
    for (first, last) in &read.runs {
        assert!(again.is_settled(*first) && again.is_settled(*last));
    }
    assert_eq!(Notes::decode(&again.encode(next, usize::MAX), next), again);
    bus_kafka::fuzzing::notes(notes);
});

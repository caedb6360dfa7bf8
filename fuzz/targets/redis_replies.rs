//! Replies of Redis: whole values, and records that are read in place, whole and in two parts.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    bus_redis::fuzzing::value(bytes);
    let whole = bus_redis::fuzzing::records(bytes, bytes.len());
    for cut in [1, bytes.len() / 2, bytes.len().saturating_sub(1)] {
        assert_eq!(bus_redis::fuzzing::records(bytes, cut), whole, "cut at {cut}");
    }
});

//! Entries of a stream, of ours and of others: each arrives as one record that can be read and sent on.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|fields: Vec<(&[u8], &[u8])>| {
    let record = bus_fuzz::first(bus_redis::fuzzing::entry(&fields));
    let message = record.to_message();
    assert_eq!(message.payload.as_deref(), record.payload());
    assert!(record.headers().is_well_formed());
    let _ = bus::event::Envelope::read(&record);
});

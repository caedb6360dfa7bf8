//! Frames of a schema registry, and the path of a Protobuf message in them.
#![no_main]

use bus::registry::frame;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok((id, body)) = frame::split(bytes) {
        assert_eq!(frame::head(id)[..], bytes[..frame::HEAD]);
        assert_eq!(body.len() + frame::HEAD, bytes.len());
    }
    if let Ok((path, _)) = frame::split_path(bytes) {
        let mut written = Vec::new();
        frame::write_path(&path, &mut written);
        let (again, rest) = frame::split_path(&written).unwrap();
        assert!(again == path && rest.is_empty());
    }
});

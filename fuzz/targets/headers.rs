//! Encoded headers, as they stand in a batch's arena and in Redis entries: what is well-formed comes back the same, and nothing
//! else is read past its end.
#![no_main]

use bus_core::{HeadersView, encode_headers};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let view = HeadersView::new(bytes);
    let owned = view.to_owned();
    let _ = (view.get("bus-attempts"), view.text("content-type"));
    assert_eq!(owned.len(), view.iter().count());
    let mut again = Vec::new();
    if !owned.is_empty() {
        encode_headers(owned.iter(), &mut again);
        assert!(HeadersView::new(&again).is_well_formed());
        assert!(HeadersView::new(&again).iter().eq(owned.iter()));
    }
});

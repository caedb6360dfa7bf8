//! The conformance suite on the memory backend.

mod harness;

bus_core::conformance!(harness::memory::OnMemory::new());

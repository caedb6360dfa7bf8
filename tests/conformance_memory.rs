//! The conformance suite on the memory backend.

mod harness;

bus_core::conformance!(crate::harness::memory::OnMemory::new());

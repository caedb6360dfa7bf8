//! The conformance suite on memory through every layer, one at a time and all at once.

mod harness;

use bus_core::conformance::Layered;
use harness::{layers, memory::OnMemory};
use std::sync::Arc;

/// Makes the suite's tests through one layer.
macro_rules! through {
    ($($layer:ident)*) => {
        $(mod $layer {
            bus_core::conformance!(super::Layered::new(
                stringify!($layer),
                super::Arc::new(super::OnMemory::new()),
                super::layers::$layer,
            ));
        })*
    };
}

through! { trace metrics health faults all }

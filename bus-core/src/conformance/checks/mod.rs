//! The checks, by theme.

pub(crate) mod fidelity;
pub(crate) mod order;
pub(crate) mod publishing;

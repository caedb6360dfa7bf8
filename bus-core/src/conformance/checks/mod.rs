//! The checks, by theme.

pub(crate) mod crashes;
pub(crate) mod dead_letters;
pub(crate) mod fidelity;
pub(crate) mod groups;
pub(crate) mod lifecycle;
pub(crate) mod order;
pub(crate) mod publishing;
pub(crate) mod settling;

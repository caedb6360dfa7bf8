//! The checks, by theme.

pub(crate) mod attempts;
pub(crate) mod commits;
pub(crate) mod controls;
pub(crate) mod crashes;
pub(crate) mod dead_letters;
pub(crate) mod delays;
pub(crate) mod errors;
pub(crate) mod expiry;
pub(crate) mod fidelity;
pub(crate) mod groups;
pub(crate) mod lifecycle;
pub(crate) mod limits;
pub(crate) mod order;
pub(crate) mod outcomes;
pub(crate) mod ownership;
pub(crate) mod positions;
pub(crate) mod publishing;
pub(crate) mod receiving;
pub(crate) mod resets;
pub(crate) mod settling;
pub(crate) mod start;

//! The checks: what runs, and what it is about.

use super::{Failure, Lab, Proof};
use futures_util::future::BoxFuture;
use std::fmt;

/// One check of the suite.
#[derive(Clone, Copy)]
pub struct Check {
    /// Its name, which is also its test's.
    pub name: &'static str,
    /// What it belongs to, such as `settling`.
    pub theme: &'static str,
    /// The requirements of the suite that it covers, by number; none where it is common to all messaging systems.
    pub numbers: &'static [u8],
    /// What has to hold.
    pub promise: &'static str,
    pub(crate) prove: for<'a> fn(&'a Lab) -> BoxFuture<'a, Proof>,
}

impl Check {
    /// The check of that name.
    /// # Errors
    /// When there is none.
    pub fn named(name: &str) -> Result<&'static Self, Failure> {
        let found = CHECKS.iter().find(|check| check.name == name);
        found.ok_or_else(|| Failure::new(format_args!("there is no check `{name}`")))
    }
}

impl Check {
    /// Whether it harms the server, and so needs one of its own.
    pub(crate) fn harms(&self) -> bool {
        matches!(self.theme, "broker" | "network" | "traces")
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check")
            .field("name", &self.name)
            .field("promise", &self.promise)
            .finish_non_exhaustive()
    }
}

/// Makes the table out of the catalog.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_table {
    (() $($theme:ident { $($name:ident $numbers:tt $promise:literal;)* })*) => {
        /// Every check, by theme.
        pub static CHECKS: &[Check] = &[$($(Check {
            name: stringify!($name),
            theme: stringify!($theme),
            numbers: &$numbers,
            promise: $promise,
            prove: |lab| Box::pin(super::checks::$theme::$name(lab)),
        },)*)*];
    };
}

crate::__conformance_catalog!(__conformance_table());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for (at, check) in CHECKS.iter().enumerate() {
            assert!(
                CHECKS[..at].iter().all(|other| other.name != check.name),
                "{}",
                check.name
            );
        }
    }
}

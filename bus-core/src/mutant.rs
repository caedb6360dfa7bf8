//! Deliberate faults, to see that the tests find them. A build with the feature `mutants` carries all of them, and
//! `BUS_MUTANT` names the one that is on; every other build has none.

#[cfg(all(feature = "mutants", not(debug_assertions)))]
compile_error!("the feature `mutants` is for test builds: it makes faults that lose and repeat messages");

/// Whether this fault is on.
#[cfg(feature = "mutants")]
pub fn mutant(name: &str) -> bool {
    static ON: std::sync::LazyLock<Option<std::ffi::OsString>> =
        std::sync::LazyLock::new(|| std::env::var_os("BUS_MUTANT"));
    ON.as_ref().is_some_and(|on| on == name)
}

/// There is none.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub const fn mutant(_: &str) -> bool {
    false
}

//! The compiler's words are part of the interface: they name the mistake and what to write instead.
//!
//! After a change of the compiler or of those words look at the difference, then `TRYBUILD=overwrite cargo test -p bus-refused`.

#[test]
fn mistakes_are_named() {
    trybuild::TestCases::new().compile_fail("tests/programs/*.rs");
}

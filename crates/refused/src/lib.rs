//! Programs that must not compile, and what the compiler says about them: `tests/programs`. They are a package of their
//! own, so that trying them builds no client of a broker.

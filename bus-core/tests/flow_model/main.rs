//! The flow against a reference model, under random schedules of everything that can happen to it.
//!
//! By default the same schedules every time, and few enough for a second or ten; others, and more, with
//! `PROPTEST_CASES=100000 cargo test --release -p bus-core --test flow_model`.

mod calm;
mod check;
mod cover;
mod epoch;
mod log;
mod member;
mod mutate;
mod ops;
mod regress;
mod world;

use cover::Cover;
use mutate::Mutation;
use ops::schedules;
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner},
};
use std::cell::RefCell;

/// Steps of a schedule, at most.
const OPS: usize = 300;
/// Schedules by default.
const DEFAULT: u32 = 400;

#[test]
fn the_flow_does_what_the_model_says() {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok());
    let cases = asked.unwrap_or(DEFAULT);
    let config = Config {
        cases,
        failure_persistence: None,
        // The default one takes half of the time.
        rng_algorithm: RngAlgorithm::XorShift,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let cover = RefCell::new(Cover::default());
    let mut runner = match asked {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::XorShift)),
    };
    let result = runner.run(&schedules(OPS), |(setup, ops)| {
        let seen = world::run(&setup, &ops, Mutation::None).map_err(TestCaseError::fail)?;
        cover.borrow_mut().add(&seen);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    let cover = cover.into_inner();
    println!("{cases} schedules: {cover:?}");
    if asked.is_none() || cases >= 10_000 {
        assert_eq!(cover.missing(), [""; 0], "never occurred");
    }
}

#[test]
fn the_model_finds_deliberate_mistakes() {
    for mutation in Mutation::ALL {
        let mut runner = TestRunner::deterministic();
        let found = (0..400).find_map(|n| {
            let (setup, ops) = schedules(OPS).new_tree(&mut runner).ok()?.current();
            world::run(&setup, &ops, mutation).err().map(|e| (n, e))
        });
        match found {
            Some((n, error)) => println!("{mutation:?} was found by schedule {n}: {error}"),
            None => panic!("{mutation:?} was not found"),
        }
    }
}

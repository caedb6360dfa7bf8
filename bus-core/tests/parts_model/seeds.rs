//! Random schedules by number: a number stands for the same schedule everywhere, so that one that failed can be run
//! again alone, with `BUS_SEED=<number>`. More of them with `PROPTEST_CASES=<how many>`.

use proptest::{
    strategy::Strategy,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner},
};

/// Runs so many schedules unless the environment says otherwise; a failure is shrunk and says its number.
pub(crate) fn each<S: Strategy>(
    by_default: u64,
    strategy: S,
    holds: impl Fn(S::Value) -> Result<(), TestCaseError>,
) where
    S::Value: Clone,
{
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let seeds = match number("BUS_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("PROPTEST_CASES").unwrap_or(by_default),
    };
    println!("schedules {seeds:?}");
    for seed in seeds {
        let config = Config {
            failure_persistence: None,
            max_shrink_iters: 20_000,
            ..Config::default()
        };
        let rng = TestRng::from_seed(RngAlgorithm::XorShift, &spread(seed));
        let mut runner = TestRunner::new_with_rng(config, rng);
        let Ok(tree) = strategy.new_tree(&mut runner) else {
            continue;
        };
        match runner.run_one(tree, &holds) {
            Ok(_) => {}
            Err(TestError::Fail(why, least)) => {
                panic!("BUS_SEED={seed}: {why}; the least that fails: {least:#?}")
            }
            Err(error) => panic!("BUS_SEED={seed}: {error}"),
        }
    }
}

/// Neighbouring numbers make unlike generators.
fn spread(seed: u64) -> [u8; 16] {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)).to_le_bytes()
    };
    let mut bytes = [1; 16];
    bytes[..8].copy_from_slice(&next());
    bytes[8..].copy_from_slice(&next());
    bytes
}

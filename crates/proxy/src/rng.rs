//! Random numbers that a seed brings back.

/// SplitMix64 (Steele, Lea and Flood, 2014): eight bytes of state, good enough to pick faults by, the same numbers for
/// the same seed everywhere.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// Numbers of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }
    /// A number of all 64 bits.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// A number from 0 up to and without `bound`; 0 for a bound of 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The high half of the product spreads evenly without a division.
        ((u128::from(self.number()) * u128::from(bound)) >> 64) as u64
    }
    /// A number within the range, both ends included.
    pub fn within(&mut self, range: &std::ops::RangeInclusive<u64>) -> u64 {
        let span = range.end().saturating_sub(*range.start()).saturating_add(1);
        range.start() + self.below(span)
    }
    /// A duration within the range, in steps of a microsecond.
    pub fn time(&mut self, range: &std::ops::RangeInclusive<std::time::Duration>) -> std::time::Duration {
        let micros = |t: &std::time::Duration| t.as_micros() as u64;
        std::time::Duration::from_micros(self.within(&(micros(range.start())..=micros(range.end()))))
    }
    /// True in this share of cases: never at 0, always at 1.
    pub fn chance(&mut self, share: f64) -> bool {
        // 53 bits are what a float holds; the result is below 1.
        ((self.number() >> 11) as f64) / ((1u64 << 53) as f64) < share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_brings_the_numbers_back() {
        let numbers = |seed| {
            let mut rng = Rng::new(seed);
            [rng.number(), rng.number(), rng.number()]
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
        // The reference sequence of seed 0.
        assert_eq!(numbers(0)[0], 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn shares_and_ranges_hold() {
        let mut rng = Rng::new(1);
        let hits = (0..100_000).filter(|_| rng.chance(0.01)).count();
        assert!((800..1_200).contains(&hits), "{hits}");
        assert!((0..1_000).all(|_| !rng.chance(0.0) && rng.chance(1.0)));
        let mut seen = [false; 4];
        (0..100).for_each(|_| seen[rng.within(&(3..=6)) as usize - 3] = true);
        assert_eq!(seen, [true; 4]);
        assert_eq!(rng.below(0), 0);
    }
}

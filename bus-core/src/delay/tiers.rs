//! The way of a delayed message through the tiers, in milliseconds.
//!
//! Tier k, which is partition k, holds for 2^k seconds: remaining time r of a second or more goes to tier ⌊log2 r⌋, what
//! is longer than the last tier's passes it again. A message's way follows from the wait that was asked for alone, not
//! from the clock: equal waits take equal ways, and since each tier is a log, they stay in order. When each tier lets go
//! follows from the time at which the message is due, so what one hop is late is not added to the next.

/// Tiers that there are: the last one holds for 36 hours.
pub(super) const TIERS: u32 = 18;

/// How long a tier holds.
fn holds(tier: u32) -> i64 {
    1000 << tier.min(TIERS - 1)
}

/// Where a message with this much left goes.
pub(super) fn tier(remaining: i64, tiers: u32) -> u32 {
    let seconds = (remaining / 1000).max(1);
    seconds.ilog2().min(tiers.clamp(1, TIERS) - 1)
}

/// What a tier does with a message that came to it with `remaining` left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stay {
    /// When it lets go.
    pub(super) until: i64,
    /// What is left then for other tiers; `None`: this was the last, and what is below a second was waited for here.
    pub(super) left: Option<i64>,
}

pub(super) fn stay(not_before: i64, remaining: i64, tier: u32) -> Stay {
    let left = remaining.saturating_sub(holds(tier));
    match left {
        ..1000 => Stay {
            until: not_before,
            left: None,
        },
        _ => Stay {
            until: not_before.saturating_sub(left),
            left: Some(left),
        },
    }
}

/// The longest that a tier may hold what was just read: a sender whose clock is wrong must not stop the tier for others.
pub(super) fn longest(tier: u32) -> i64 {
    holds(tier) + 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_or_more_goes_to_the_tier_of_its_logarithm() {
        let cases = [
            (0, 0),
            (999, 0),
            (1_999, 0),
            (2_000, 1),
            (3_999, 1),
            (4_000, 2),
            ((1 << 17) * 1000, 17),
        ];
        for (remaining, expected) in cases {
            assert_eq!(tier(remaining, TIERS), expected, "{remaining}");
        }
        assert_eq!(tier(i64::MAX, TIERS), 17);
        assert_eq!(
            tier(60_000, 4),
            3,
            "a topic with fewer partitions passes its last again"
        );
    }

    #[test]
    fn every_way_ends_in_time_and_never_early() {
        for tiers in [1, 2, 5, TIERS] {
            for wait in [0, 1, 999, 1_000, 1_001, 5_000, 6_500, 86_400_000, 700_000_000] {
                let (mut remaining, mut at, mut hops) = (wait, 0, 0);
                loop {
                    let tier = tier(remaining, tiers);
                    let stay = stay(wait, remaining, tier);
                    assert!(
                        stay.until >= at && stay.until - at <= longest(tier),
                        "{wait} {stay:?}"
                    );
                    (at, hops) = (stay.until, hops + 1);
                    match stay.left {
                        Some(left) => remaining = left,
                        None => break,
                    }
                }
                assert_eq!(at, wait, "it comes when it is due");
                let most = 18 + wait / holds(tiers - 1);
                assert!(hops <= most, "{wait} took {hops} hops");
            }
        }
    }

    #[test]
    fn release_order_of_a_tier_is_log_order() {
        // Written one after the other into one tier, whatever the rest of their ways.
        for (at, wait) in (0..).zip([4_000, 7_999, 5_500, 6_000, 4_999]) {
            let stay = stay(at + wait, wait, tier(wait, TIERS));
            let extra = stay.until - at - 4_000;
            let fraction = if stay.left.is_none() { 0..1_000 } else { 0..1 };
            assert!(fraction.contains(&extra), "{wait}: {stay:?}");
        }
    }
}

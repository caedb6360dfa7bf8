//! A subscription whose own counts are shown. They are added by difference, so that one that is opened again under the
//! same name goes on counting.

use super::names;
use crate::{Control, Stats};
use metrics::{Counter, Gauge, counter, gauge};

pub(super) struct Watched {
    control: Control,
    last: Stats,
    delivered: Counter,
    verdicts: [Counter; 8],
    in_flight: Gauge,
    in_flight_bytes: Gauge,
    unstored: Gauge,
    handled: Counter,
    handling: Counter,
    slowest: Gauge,
}

/// The labels of the verdicts, in the order of [`verdicts`].
const VERDICTS: [&str; 8] = [
    "acked",
    "retried",
    "exhausted",
    "rejected",
    "undecodable",
    "skipped",
    "returned",
    "late",
];

fn verdicts(stats: &Stats) -> [u64; 8] {
    [
        stats.acked,
        stats.retried,
        stats.exhausted,
        stats.rejected,
        stats.undecodable,
        stats.skipped,
        stats.returned,
        stats.late,
    ]
}

impl Watched {
    pub(super) fn new(system: &'static str, subscription: &str, control: Control) -> Self {
        let labels = || {
            [
                ("system", system.to_owned()),
                ("subscription", subscription.to_owned()),
            ]
        };
        let verdict = |verdict: &'static str| {
            let [system, subscription] = labels().map(|(_, value)| value);
            counter!(names::SETTLED, "system" => system, "subscription" => subscription, "verdict" => verdict)
        };
        Self {
            control,
            last: Stats::default(),
            delivered: counter!(names::DELIVERED, &labels()),
            verdicts: VERDICTS.map(verdict),
            in_flight: gauge!(names::IN_FLIGHT, &labels()),
            in_flight_bytes: gauge!(names::IN_FLIGHT_BYTES, &labels()),
            unstored: gauge!(names::UNSTORED, &labels()),
            handled: counter!(names::HANDLED, &labels()),
            handling: counter!(names::HANDLING, &labels()),
            slowest: gauge!(names::SLOWEST, &labels()),
        }
    }
    /// Adds what is new; false: it has ended, and this was the last look.
    pub(super) fn look(&mut self) -> bool {
        // In this order: what is counted until the end is seen by the look after it.
        let over = self.control.outcome.get().is_some();
        let now = self.control.stats();
        let last = std::mem::replace(&mut self.last, now);
        self.delivered.increment(now.delivered - last.delivered);
        for (counter, (now, last)) in self
            .verdicts
            .iter()
            .zip(verdicts(&now).into_iter().zip(verdicts(&last)))
        {
            counter.increment(now - last);
        }
        let micros = |stats: &Stats| u64::try_from(stats.handling.as_micros()).unwrap_or(u64::MAX);
        self.handled.increment(now.handled - last.handled);
        self.handling.increment(micros(&now) - micros(&last));
        self.slowest.set(now.slowest.as_secs_f64());
        let gauge = |value: u64| if over { 0.0 } else { value as f64 };
        self.in_flight.set(gauge(now.in_flight));
        self.in_flight_bytes.set(gauge(now.in_flight_bytes));
        self.unstored.set(gauge(now.unstored));
        !over
    }
}

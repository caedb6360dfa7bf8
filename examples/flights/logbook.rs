//! The logbook: what members write for each flight, and from which an heir learns what its predecessor knew.

use crate::flight::Flight;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// A flight that was handled, with the state of its aircraft afterwards.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) flight: Flight,
    pub(crate) aircraft: Aircraft,
    /// The aircraft's flight before it, as far as the member knew.
    pub(crate) before: Option<u32>,
    /// Who handled it.
    pub(crate) member: String,
}

/// What is known of an aircraft.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Aircraft {
    /// The number of its last flight.
    pub(crate) last: Option<u32>,
    /// How many times in a row it has left late, up to its last flight.
    pub(crate) late_in_a_row: u32,
}

/// The aircraft of one partition, by tail number.
#[derive(Debug, Default)]
pub(crate) struct Fleet(HashMap<String, Aircraft>);

impl Fleet {
    /// What a flight makes of its aircraft, for [`Self::learn`] once that is stored.
    pub(crate) fn entry(&self, flight: &Flight, member: &str) -> Entry {
        let known = flight.tail.as_ref().and_then(|tail| self.0.get(tail));
        let mut aircraft = known.cloned().unwrap_or_default();
        let before = aircraft.last.replace(flight.number);
        match flight.is_late() {
            Some(true) => aircraft.late_in_a_row += 1,
            Some(false) => aircraft.late_in_a_row = 0,
            None => {}
        }
        Entry {
            flight: flight.clone(),
            aircraft,
            before,
            member: member.to_owned(),
        }
    }
    /// Learns from the logbook.
    pub(crate) fn learn(&mut self, entry: &Entry) {
        if let Some(tail) = &entry.flight.tail {
            self.0.insert(tail.clone(), entry.aircraft.clone());
        }
    }
}

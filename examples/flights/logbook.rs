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
    /// Takes note of a flight. One whose aircraft is not known changes nothing.
    pub(crate) fn handle(&mut self, flight: &Flight, member: &str) -> Entry {
        let mut unknown = Aircraft::default();
        let aircraft = match &flight.tail {
            Some(tail) => self.0.entry(tail.clone()).or_default(),
            None => &mut unknown,
        };
        let before = aircraft.last.replace(flight.number);
        match flight.is_late() {
            Some(true) => aircraft.late_in_a_row += 1,
            Some(false) => aircraft.late_in_a_row = 0,
            None => {}
        }
        Entry {
            flight: flight.clone(),
            aircraft: aircraft.clone(),
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

//! What the logbook says: totals, the longest chain of delays, and whether order was kept.

use crate::{flight::Flight, logbook::Entry};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write,
};

/// What a carrier did.
#[derive(Default)]
struct Total {
    flights: u32,
    cancelled: u32,
    late: u32,
}

/// The report of a whole logbook.
pub(crate) fn of(log: &[Entry]) -> String {
    let mut carriers: BTreeMap<&str, Total> = BTreeMap::new();
    for Entry { flight, .. } in log {
        let total = carriers.entry(&flight.carrier).or_default();
        total.flights += 1;
        total.cancelled += u32::from(flight.cancelled);
        total.late += u32::from(flight.is_late() == Some(true));
    }
    let aircraft: BTreeSet<_> = log
        .iter()
        .filter_map(|entry| entry.flight.tail.as_ref())
        .collect();
    let members: BTreeSet<_> = log.iter().map(|entry| &entry.member).collect();
    let mut text = format!(
        "{} flights of {} aircraft, handled by {} members\n\n",
        log.len(),
        aircraft.len(),
        members.len()
    );
    text += "carrier  flights  cancelled  late\n";
    for (carrier, total) in carriers {
        let _ = writeln!(
            text,
            "{carrier:<7}  {:>7}  {:>9}  {:>4}",
            total.flights, total.cancelled, total.late
        );
    }
    let longest = log
        .iter()
        .max_by_key(|entry| (entry.aircraft.late_in_a_row, Reverse(entry.flight.number)));
    if let Some(Entry { flight, aircraft, .. }) = longest {
        let _ = writeln!(
            text,
            "\nlongest chain of delays: {} left late {} times in a row, at last as {} from {} at {}",
            flight.tail.as_deref().unwrap_or("nobody"),
            aircraft.late_in_a_row,
            flight.flight,
            flight.origin,
            flight.scheduled
        );
    }
    text
}

/// How many aircraft this member has handled a flight of, and another one the next.
pub(crate) fn heirs(log: &[Entry], member: &str) -> usize {
    let mut last: HashMap<&str, &str> = HashMap::new();
    let mut went_on = BTreeSet::new();
    for entry in log {
        let Some(tail) = &entry.flight.tail else { continue };
        let before = last.insert(tail, &entry.member);
        if before == Some(member) && entry.member != member {
            went_on.insert(tail);
        }
    }
    went_on.len()
}

/// Holds the logbook against the file: each flight once, those of an aircraft in the order of the file, and each known to whoever
/// handled the next.
pub(crate) fn proof(flights: &[Flight], log: &[Entry]) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    let mut last: HashMap<&str, u32> = HashMap::new();
    for Entry {
        flight,
        before,
        member,
        ..
    } in log
    {
        if !seen.insert(flight.number) {
            return Err(format!("flight {} is in the logbook twice", flight.number));
        }
        let Some(tail) = &flight.tail else { continue };
        let previous = last.insert(tail, flight.number);
        if let Some(previous) = previous.filter(|previous| *previous > flight.number) {
            return Err(format!(
                "flight {} of {tail} was handled after flight {previous}",
                flight.number
            ));
        }
        if previous != *before {
            return Err(format!(
                "{member} took {before:?} for the flight of {tail} before {}, not {previous:?}",
                flight.number
            ));
        }
    }
    match flights.iter().find(|flight| !seen.contains(&flight.number)) {
        Some(missing) => Err(format!("flight {} is missing in the logbook", missing.number)),
        None => Ok(()),
    }
}

//! A flight, and the file of flights.

use bus::{Error, Message, Result, Topic};
use serde::{Deserialize, Serialize};
use std::{
    io::{BufRead, stdin},
    path::Path,
};

/// The first thousand of the year, for a run without a file.
const THOUSAND: &str = include_str!("../../tests/data/flights-1000.ndjson");

/// A departure from New York.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Flight {
    /// Its line in the file, from 1: departures are in order there.
    #[serde(default)]
    pub(crate) number: u32,
    pub(crate) flight: String,
    pub(crate) carrier: String,
    /// The aircraft, where it is known.
    pub(crate) tail: Option<String>,
    pub(crate) origin: String,
    /// By the clock of the airport.
    pub(crate) scheduled: String,
    pub(crate) departure_delay_min: Option<i32>,
    pub(crate) cancelled: bool,
}

/// A line: what `bus publish --json` reads.
#[derive(Deserialize)]
struct Line {
    key: Option<String>,
    value: Flight,
}

impl Flight {
    /// Late is what airlines call late: a quarter of an hour. `None` for one that never left.
    pub(crate) fn is_late(&self) -> Option<bool> {
        self.departure_delay_min.map(|minutes| minutes >= 15)
    }
    /// Keyed by its aircraft, whose flights thereby keep their order.
    pub(crate) fn message(&self, topic: &Topic<Flight>) -> Result<Message> {
        let message = topic.message(self)?;
        Ok(match &self.tail {
            Some(tail) => message.keyed(tail.clone()),
            None => message,
        })
    }
}

/// The flights of a file, of standard input (`-`), or the first thousand of the year.
pub(crate) fn read(file: Option<&Path>) -> Result<Vec<Flight>> {
    let broken = |error: std::io::Error| Error::invalid("the flights cannot be read").source(error);
    match file {
        None => parse(THOUSAND.as_bytes()),
        Some(path) if path == Path::new("-") => parse(stdin().lock()),
        Some(path) => parse(std::io::BufReader::new(
            std::fs::File::open(path).map_err(broken)?,
        )),
    }
}

fn parse(text: impl BufRead) -> Result<Vec<Flight>> {
    let mut flights = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let wrong = |error: Box<dyn std::error::Error + Send + Sync>| {
            Error::invalid(format!("line {number} of the flights is none")).source(error)
        };
        let line = line.map_err(|e| wrong(e.into()))?;
        let Line { key, value } = serde_json::from_str(&line).map_err(|e| wrong(e.into()))?;
        flights.push(Flight {
            number,
            tail: key,
            ..value
        });
    }
    Ok(flights)
}

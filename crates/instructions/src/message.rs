//! What is encoded: a message of the size that most have, with the types that most use.

use bus::AvroSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize, AvroSchema)]
pub(crate) struct Flight {
    id: i64,
    aircraft: String,
    airline: String,
    origin: String,
    destination: String,
    departed: i64,
    delay_minutes: Option<i64>,
    distance_km: f64,
    cancelled: bool,
    stops: Vec<String>,
}

impl Flight {
    pub(crate) fn example() -> Self {
        let text = |text: &str| text.to_owned();
        Self {
            id: 8_214_433,
            aircraft: text("N668DN"),
            airline: text("Delta Air Lines"),
            origin: text("LGA"),
            destination: text("ATL"),
            departed: 1_714_560_000_000,
            delay_minutes: Some(17),
            distance_km: 1_226.25,
            cancelled: false,
            stops: vec![text("CLT"), text("GSP")],
        }
    }
}

/// The same as `prost-build` writes it.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct FlightProto {
    #[prost(int64, tag = "1")]
    id: i64,
    #[prost(string, tag = "2")]
    aircraft: String,
    #[prost(string, tag = "3")]
    airline: String,
    #[prost(string, tag = "4")]
    origin: String,
    #[prost(string, tag = "5")]
    destination: String,
    #[prost(int64, tag = "6")]
    departed: i64,
    #[prost(int64, optional, tag = "7")]
    delay_minutes: Option<i64>,
    #[prost(double, tag = "8")]
    distance_km: f64,
    #[prost(bool, tag = "9")]
    cancelled: bool,
    #[prost(string, repeated, tag = "10")]
    stops: Vec<String>,
}

impl FlightProto {
    pub(crate) fn example() -> Self {
        let flight = Flight::example();
        Self {
            id: flight.id,
            aircraft: flight.aircraft,
            airline: flight.airline,
            origin: flight.origin,
            destination: flight.destination,
            departed: flight.departed,
            delay_minutes: flight.delay_minutes,
            distance_km: flight.distance_km,
            cancelled: flight.cancelled,
            stops: flight.stops,
        }
    }
}

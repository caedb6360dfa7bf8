//! A Redis of 200 MB, a retention of a minute, a dead group and a hundred publishers that come and go, for ten minutes.
//!
//! `cargo run -p bus-redis --example full_server -- [minutes]`
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::{process::ExitCode, time::Duration};

#[tokio::main]
async fn main() -> ExitCode {
    let minutes: u64 = std::env::args()
        .nth(1)
        .map_or(10, |m| m.parse().expect("minutes"));
    let plan = common::full::Plan {
        maxmemory: "200mb",
        keep: Duration::from_secs(60),
        publishers: 100,
        rate: 20,
        duration: Duration::from_secs(60 * minutes),
        least: 0,
    };
    println!("{plan:?}");
    let report = common::full::run(plan).await;
    println!("{report:#?}");
    if report.errors.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

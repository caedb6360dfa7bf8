//! Futures that are given up at every await: whatever was told to be stored is, nothing comes twice, and the bus goes on.

mod administration;
mod publishing;
mod reading;

pub(crate) use administration::*;
pub(crate) use publishing::*;
pub(crate) use reading::*;

use crate::{
    Bus, Start,
    conformance::{Failure, Lab, lab::Feed, stops::Stops},
};
use std::sync::Arc;

/// A bus at whose every step a call can be given up.
async fn stopping(lab: &Lab) -> Result<Bus, Failure> {
    let backend = Arc::new(Stops(lab.backend().await?));
    Ok(lab.within("making a bus", Bus::new(backend)).await??)
}

/// What is in the topic now, sorted.
async fn there(lab: &Lab, bus: &Bus, topic: &Feed) -> Result<Vec<String>, Failure> {
    let replay = lab.join(bus.observe(topic).until(Start::Latest)).await?;
    lab.until_end(replay).await
}

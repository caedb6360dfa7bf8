//! A member of the group: it keeps the state of the aircraft whose partitions it owns.

use crate::{flight::Flight, logbook::Fleet, names::Names};
use bus::{Bus, Control, Delivery, Notice, Result, Start};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::task::JoinHandle;

/// A member, and what it knows of the aircraft of each of its partitions.
pub(crate) struct Member {
    bus: Bus,
    names: Names,
    name: String,
    pace: Duration,
    fleets: Mutex<HashMap<u32, Fleet>>,
}

impl Member {
    /// Joins the group. Whoever gets a partition loads the state of its aircraft before the first flight comes; the state after
    /// each flight is stored with the flight's ack, both or neither.
    pub(crate) async fn start(
        bus: &Bus,
        names: &Names,
        name: &str,
        pace: Duration,
    ) -> Result<(Control, JoinHandle<Result<()>>)> {
        let member = Arc::new(Self {
            bus: bus.clone(),
            names: names.clone(),
            name: name.to_owned(),
            pace,
            fleets: Mutex::default(),
        });
        let told = member.clone();
        let flights = bus
            .subscribe(&names.flights(), &names.group())
            .exactly_once()
            .on_notice(move |notice| told.clone().told(notice))
            .await?;
        let control = flights.control();
        let working = flights.for_each(4, move |flight| member.clone().handle(flight));
        Ok((control, tokio::spawn(working)))
    }
    async fn handle(self: Arc<Self>, flight: Delivery<Flight>) {
        tokio::time::sleep(self.pace).await;
        let partition = flight.partition();
        // Under the lock that `told` takes too: what is not lost by now is forgotten there when it is.
        self.with_fleet(partition, |fleet| {
            if flight.is_lost() {
                return;
            }
            let (logbook, entry) = (self.names.logbook(), fleet.entry(&flight, &self.name));
            let message = match logbook.message(&entry) {
                Ok(message) => message.to_partition(partition),
                Err(error) => return flight.reject(error),
            };
            match flight.ack_with([(logbook.name(), message)]) {
                Ok(()) => fleet.learn(&entry),
                Err(error) => eprintln!("{}: {error}", self.name),
            }
        });
    }
    async fn told(self: Arc<Self>, notice: Notice) {
        match notice {
            // Ending here is better than going on with a state that is wrong.
            Notice::Gained { partition, .. } => self.load(partition).await.unwrap_or_else(|e| panic!("{e}")),
            Notice::Lost { partition, .. } => self.with_fleet(partition, |fleet| *fleet = Fleet::default()),
            _ => {}
        }
    }
    async fn load(&self, partition: u32) -> Result<()> {
        let logbook = self.names.logbook();
        let mut entries = self
            .bus
            .observe(&logbook)
            .partitions([partition])
            .until(Start::Latest)
            .await?;
        while let Some(entry) = entries.next().await.transpose()? {
            self.with_fleet(partition, |fleet| fleet.learn(entry.value()));
            entry.ack();
        }
        Ok(())
    }
    fn with_fleet<R>(&self, partition: u32, f: impl FnOnce(&mut Fleet) -> R) -> R {
        let mut fleets = self.fleets.lock().unwrap_or_else(PoisonError::into_inner);
        f(fleets.entry(partition).or_default())
    }
}

//! A connection to the bus, and calls on it that end in bounded time.

use crate::{
    args::Global,
    failure::{Done, Failure},
    output::Output,
    position::{Form, Position},
    secret,
};
use bus::{Admin, Bus, ErrorKind};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout_at};

/// The wait before a call that failed for a passing reason is tried again.
const AGAIN: Duration = Duration::from_millis(200);

/// A connected bus.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) bus: Bus,
    pub(crate) out: Output,
    form: Form,
    address: String,
    timeout: Duration,
}

impl Session {
    /// Connects to what `--url` names.
    pub(crate) async fn open(global: &Global) -> Done<Self> {
        let url = global
            .url
            .as_deref()
            .filter(|url| !url.is_empty())
            .ok_or_else(|| {
                Failure::usage("no bus is named")
                    .hint("--url kafka://localhost:9092 (or redis://localhost:6379), or set BUS_URL")
            })?;
        let (address, timeout) = (secret::address(url), global.timeout);
        let connected = tokio::time::timeout(timeout, Bus::connect(url)).await;
        let bus = connected
            .map_err(|_| silent(&address, timeout))?
            .map_err(|e| Failure::from(e).at(&address))?;
        crate::log::connected();
        let form = Form::of(bus.backend().name());
        Ok(Self {
            bus,
            out: Output::new(global.json),
            form,
            address,
            timeout,
        })
    }
    /// Topics and groups.
    pub(crate) fn admin(&self) -> Arc<dyn Admin> {
        self.bus.admin()
    }
    /// Calls until it succeeds, fails for good, or `--timeout` has passed.
    pub(crate) async fn ask<T, R>(&self, mut call: impl FnMut() -> R) -> Done<T>
    where
        R: Future<Output = bus::Result<T>>,
    {
        let deadline = Instant::now() + self.timeout;
        loop {
            match timeout_at(deadline, call()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) if error.is_transient() && Instant::now() + AGAIN < deadline => {
                    sleep(AGAIN).await
                }
                Ok(Err(error)) => return Err(self.failure(error)),
                Err(_) => return Err(silent(&self.address, self.timeout)),
            }
        }
    }
    /// An error of the bus, with its address where that matters.
    pub(crate) fn failure(&self, error: bus::Error) -> Failure {
        Failure::from(error).at(&self.address)
    }
    /// How many partitions a topic has; a missing topic is an error that names the command that creates it.
    pub(crate) async fn partitions(&self, topic: &str) -> Done<u32> {
        let admin = self.admin();
        let positions = self.ask(|| admin.positions(topic, bus::Start::Earliest)).await?;
        Ok(u32::try_from(positions.len()).unwrap_or(u32::MAX))
    }
    /// A position as this bus shows it.
    pub(crate) fn position(&self, position: u128) -> Position {
        self.form.show(position)
    }
    /// How this bus shows positions.
    pub(crate) fn form(&self) -> Form {
        self.form
    }
    /// The bus as it may be shown.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
    /// Closes the bus, in bounded time. What was published is confirmed by now, so a failure is worth a log line.
    pub(crate) async fn close(self) {
        match tokio::time::timeout(self.timeout, self.bus.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "closing the bus failed"),
            Err(_) => tracing::warn!("closing the bus took too long and was given up"),
        }
    }
}

fn silent(address: &str, timeout: Duration) -> Failure {
    let text = format!("{address} did not answer within {}", crate::time::show(timeout));
    bus::Error::new(ErrorKind::Timeout, text).into()
}

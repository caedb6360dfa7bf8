//! The same workers as an application with a command line.

use crate::{batches::batch_worker, foreign::readers, tasks};
use bus::{App, Bus, Result, worker::worker};
use std::time::Duration;

pub(crate) fn build(bus: &Bus) -> Result<App> {
    App::builder("event-platform")
        .bus(bus)
        .register(worker(tasks::TaskWorker::of("tasks")).group(tasks::group("tasks")))
        .register(batch_worker())
        .register(readers())
        .grace(Duration::from_secs(2))
        .build()
}

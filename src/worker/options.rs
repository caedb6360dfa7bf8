//! What of a worker can be set where it is run.

use super::Worker;
use crate::handler::Scope;
use bus_core::{Error, Order, Result, Retry, check_name};
use std::{borrow::Cow, panic::Location, time::Duration};

/// The constants of a worker, as they are in the end.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) name: &'static str,
    pub(super) group: Cow<'static, str>,
    pub(super) concurrency: usize,
    pub(super) retry: Retry,
    pub(super) dead_letter: Option<Cow<'static, str>>,
    pub(super) batch_size: usize,
    pub(super) batch_timeout: Duration,
    pub(super) order: Order,
    pub(super) exactly_once: bool,
    pub(super) scope: Scope,
}

impl Options {
    pub(super) fn of<W: Worker<C, O>, C, O>() -> Self {
        Self {
            name: W::NAME,
            group: W::GROUP.unwrap_or(W::NAME).into(),
            concurrency: W::CONCURRENCY,
            retry: W::RETRY,
            dead_letter: W::DEAD_LETTER.map(Into::into),
            batch_size: W::BATCH_SIZE,
            batch_timeout: W::BATCH_TIMEOUT,
            order: W::ORDER,
            exactly_once: W::EXACTLY_ONCE,
            scope: Scope::default(),
        }
    }
    /// Refuses what cannot be, before anything is asked of a broker.
    pub(super) fn check(&self, place: &Location<'_>) -> Result<()> {
        let of = || format!("worker `{}` at {place}", self.name);
        let wrong = |text: &str| Err(Error::invalid(format!("{}: {text}", of())));
        if self.name.is_empty() {
            return wrong("NAME is empty: it is what the worker is found by");
        }
        check_name(&self.group).map_err(|e| e.context("its group").context(of()))?;
        if self.concurrency == 0 {
            return wrong("concurrency is 0: at least one message has to be worked on at a time");
        }
        if self.batch_size == 0 {
            return wrong("batch_size is 0: a batch holds at least one message, and 1 means no batches");
        }
        if self.batch_size > 1 && self.batch_timeout.is_zero() {
            return wrong("batch_timeout is 0: no batch would ever be filled; set the age at which it goes");
        }
        if self.exactly_once && self.scope == Scope::Everyone {
            return wrong(
                "exactly once needs a group, whose positions are stored with the outputs: drop one of them",
            );
        }
        Ok(())
    }
}

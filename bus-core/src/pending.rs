//! The answer to a publish, which may be there at once.

use crate::{Outcome, Unsent};
use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

type Outcomes = Vec<Result<Outcome, Unsent>>;

/// One outcome a message, in the order of the batch. Dropping it cancels nothing. A backend that knows the outcomes
/// when it is called says so without a future, which spares a lone publish its box.
#[must_use = "the outcomes come when it is awaited"]
pub struct Pending(Stage);

enum Stage {
    Ready(Outcomes),
    Later(Pin<Box<dyn Future<Output = Outcomes> + Send>>),
}

impl Pending {
    /// Outcomes that are known.
    pub fn ready(outcomes: Outcomes) -> Self {
        Self(Stage::Ready(outcomes))
    }
    /// Outcomes that will be known.
    pub fn new(outcomes: impl Future<Output = Outcomes> + Send + 'static) -> Self {
        Self(Stage::Later(Box::pin(outcomes)))
    }
    /// The outcomes, where they are known already; else the rest of the wait.
    /// # Errors
    /// `self`, where they are not known yet.
    pub fn now(self) -> Result<Outcomes, Self> {
        match self.0 {
            Stage::Ready(outcomes) => Ok(outcomes),
            later => Err(Self(later)),
        }
    }
}

impl Future for Pending {
    type Output = Outcomes;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcomes> {
        match &mut self.0 {
            Stage::Ready(outcomes) => Poll::Ready(std::mem::take(outcomes)),
            Stage::Later(outcomes) => outcomes.as_mut().poll(cx),
        }
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pending")
            .field(&matches!(self.0, Stage::Ready(_)))
            .finish()
    }
}

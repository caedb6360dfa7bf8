//! Futures that are given up: dropped at every moment at which whoever waits for one may drop it.

use super::{Failure, Lab, Proof};
use std::{fmt, future::poll_fn, pin::pin, task::Poll};

/// How often a future is polled before it counts as one that never ends.
const MOST: usize = 2_000;
/// So many moments are tried one by one; of those after them ever fewer.
const EACH: usize = 16;

/// Every moment at which a call can be given up, one after the other: before its first poll; after each poll that left it
/// waiting; and when it is woken after that, but not polled again. Over when a call has ended twice.
#[derive(Debug)]
pub(crate) struct Moments {
    polls: usize,
    woken: bool,
    ended: usize,
}

impl Moments {
    pub(crate) fn all() -> Self {
        Self {
            polls: 0,
            woken: false,
            ended: 0,
        }
    }
    /// Without the moment before the first poll: for what has done nothing by then.
    pub(crate) fn polled() -> Self {
        Self {
            polls: 1,
            ..Self::all()
        }
    }
    /// Whether there is another one.
    /// # Errors
    /// When the call does not end, however often it is polled.
    pub(crate) fn more(&self) -> Result<bool, Failure> {
        ensure!(
            self.polls <= MOST,
            "a call has not ended after it was polled {MOST} times"
        );
        Ok(self.ended < 2)
    }
    /// Waits for the call until this moment; what it came to, if it ended by then.
    pub(crate) async fn give_up<T>(
        &mut self,
        lab: &Lab,
        what: impl fmt::Display,
        call: impl Future<Output = T>,
    ) -> Result<Option<T>, Failure> {
        let (polls, woken) = (self.polls, self.woken);
        let what = format!(
            "{what}, to be given up after {polls} polls{}",
            if woken { ", when it is woken" } else { "" }
        );
        let came = lab
            .within_time(lab.takeover(), what, until(call, polls, woken))
            .await?;
        if came.is_some() {
            self.ended += 1;
        }
        if polls > 0 && !woken {
            self.woken = true;
        } else {
            self.woken = false;
            self.polls += 1 + polls.saturating_sub(EACH) / 2;
        }
        Ok(came)
    }
    /// The same of a call that may fail; where it ends, it has to succeed.
    pub(crate) async fn call<T, E: Into<Failure>>(
        &mut self,
        lab: &Lab,
        what: &str,
        call: impl Future<Output = Result<T, E>>,
    ) -> Proof {
        match self.give_up(lab, what, call).await? {
            Some(Err(error)) => Err(error.into().context(what)),
            Some(Ok(_)) | None => Ok(()),
        }
    }
}

async fn until<T>(call: impl Future<Output = T>, polls: usize, woken: bool) -> Option<T> {
    if polls == 0 {
        drop(call);
        return None;
    }
    let (mut call, mut polled) = (pin!(call), 0);
    poll_fn(|cx| {
        if polled == polls {
            return Poll::Ready(None);
        }
        polled += 1;
        match call.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if polled == polls && !woken => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::task::yield_now;

    #[tokio::test]
    async fn a_call_is_dropped_at_each_of_its_awaits() {
        let mut reached = Vec::new();
        for (polls, woken) in [
            (0, false),
            (1, false),
            (1, true),
            (2, false),
            (2, true),
            (3, false),
        ] {
            let mut steps = 0;
            let call = async {
                steps = 1;
                yield_now().await;
                steps = 2;
                yield_now().await;
                steps = 3;
            };
            let ended = until(call, polls, woken).await.is_some();
            reached.push((steps, ended));
        }
        let expected = [
            (0, false),
            (1, false),
            (1, false),
            (2, false),
            (2, false),
            (3, true),
        ];
        assert_eq!(reached, expected);
    }
}

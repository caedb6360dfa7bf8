//! Outputs of an ack that are to wait.

use super::{Delays, delays::Stop, line::Turn, marks, ticket};
use crate::{Error, Message, Name, Result, Stamp, clock};
use futures_util::future::BoxFuture;
use std::sync::{Arc, Weak};

/// The delays of the bus of a subscription; nobody's, for one without a bus. And what the bus's messages are stamped with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outputs(Weak<Delays>, Option<Stamp>);

/// What becomes of outputs.
pub(crate) enum Routed {
    /// They go with the commit as they are here.
    Now(Vec<(Name, Message)>),
    /// Something has to be asked first.
    Later(BoxFuture<'static, Result<Vec<(Name, Message)>>>),
}

impl Outputs {
    pub(crate) fn of(delays: &Arc<Delays>, stamp: Option<Stamp>) -> Self {
        Self(Arc::downgrade(delays), stamp)
    }
    /// Completes what an application puts beside an ack.
    /// # Errors
    /// Why one of them is refused.
    pub(crate) fn stamp(&self, outputs: &mut [(Name, Message)]) -> Result<()> {
        self.1.as_ref().map_or(Ok(()), |stamp| stamp.outputs(outputs))
    }
    /// Sends what is to wait to where it waits.
    /// # Errors
    /// `Invalid`: one says something of its time that cannot be; `Closed`.
    pub(crate) fn route(&self, outputs: Vec<(Name, Message)>) -> Result<Routed> {
        if !outputs.iter().any(|(_, message)| marks::is_delayed(message)) {
            return Ok(Routed::Now(outputs));
        }
        let delays = self.0.upgrade().filter(|d| *d.stop.borrow() == Stop::Go);
        let delays = delays.ok_or_else(|| Error::closed("the bus"))?;
        let (now, mut routed) = (clock::millis(), Vec::with_capacity(outputs.len()));
        let mut unknown = false;
        for (topic, message) in &outputs {
            match ticket::Wish::of(message)? {
                Some(wish) if wish.is_due(now) => routed.push((topic.clone(), ticket::due(message.clone()))),
                Some(_) => {
                    let line = delays.line(topic)?;
                    let Some(layout) = line.known() else {
                        unknown = true;
                        break;
                    };
                    routed.push((
                        line.delays.clone(),
                        delays.place(&line, &layout, message.clone())?,
                    ));
                }
                None => routed.push((topic.clone(), message.clone())),
            }
        }
        match unknown {
            false => Ok(Routed::Now(routed)),
            true => Ok(Routed::Later(Box::pin(ask_first(delays, outputs)))),
        }
    }
    /// Runs what has to be asked first, where a publish would run.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(delays) = self.0.upgrade() {
            delays.spawn(task);
        }
    }
}

async fn ask_first(delays: Arc<Delays>, outputs: Vec<(Name, Message)>) -> Result<Vec<(Name, Message)>> {
    let mut routed = Vec::with_capacity(outputs.len());
    for (topic, message) in outputs {
        match ticket::Wish::of(&message)? {
            Some(wish) if !wish.is_due(clock::millis()) => {
                let line = delays.line(&topic)?;
                let layout = match line.question() {
                    (Turn::Now((), layout), _) => layout,
                    (turn, reply) => {
                        if matches!(turn, Turn::Wait(true)) {
                            delays.ask(line.clone());
                        }
                        let closed = || Error::closed("the runtime");
                        reply.ok_or_else(closed)?.await.map_err(|_| closed())??
                    }
                };
                routed.push((line.delays.clone(), delays.place(&line, &layout, message)?));
            }
            _ => routed.push((topic, ticket::due(message))),
        }
    }
    Ok(routed)
}

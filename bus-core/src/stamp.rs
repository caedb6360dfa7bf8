//! What a layer above says of each message that a bus publishes.

use crate::{Message, Name, Pending, Result, Unsent, delay::Merge};
use std::{fmt, sync::Arc};

/// Completes or refuses a message before anything is done with it: called once for each, with its topic, in the task and
/// during the call that publishes it, enqueues it, or acknowledges with it. An error refuses that message alone. What
/// the bus writes by itself, dead letters and delayed messages that move on, does not pass here. A message that has to wait
/// for its payload ([`Encoded::Later`](crate::Encoded::Later)) is stamped when it goes, [as in](Self::scoped) the task that
/// published it.
#[derive(Clone)]
pub struct Stamp {
    call: Arc<Call>,
    scope: Option<fn() -> Scope>,
}

type Call = dyn Fn(&str, &mut Message) -> Result<()> + Send + Sync;

/// Runs something elsewhere as if it ran in the task that this was made in.
pub type Scope = Box<dyn FnOnce(&mut dyn FnMut()) + Send>;

impl Stamp {
    /// A stamp that calls `f`. It runs on the path of every publish: no wait, no lock.
    pub fn new(f: impl Fn(&str, &mut Message) -> Result<()> + Send + Sync + 'static) -> Self {
        let call = Arc::new(f);
        Self { call, scope: None }
    }
    /// What a stamp goes by is of the running task: `scope` is called there, and what it returns runs the stamp elsewhere.
    pub fn scoped(self, scope: fn() -> Scope) -> Self {
        let scope = Some(scope);
        Self { scope, ..self }
    }
    /// The running task, for a publish that goes later.
    pub(crate) fn scope(&self) -> Option<Scope> {
        self.scope.map(|scope| scope())
    }
    pub(crate) fn one(&self, topic: &str, message: &mut Message) -> Result<()> {
        (self.call)(topic, message)
    }
    pub(crate) fn outputs(&self, outputs: &mut [(Name, Message)]) -> Result<()> {
        outputs
            .iter_mut()
            .try_for_each(|(topic, message)| self.one(topic, message))
    }
    /// Publishes what is not refused.
    pub(crate) fn batch(
        &self,
        topic: &str,
        mut batch: Vec<Message>,
        publish: impl FnOnce(Vec<Message>) -> Pending,
    ) -> Pending {
        let mut refused = Vec::new();
        for (at, message) in batch.iter_mut().enumerate() {
            if let Err(error) = self.one(topic, message) {
                refused.push((at, Unsent::not_stored(error)));
            }
        }
        if refused.is_empty() {
            return publish(batch);
        }
        let mut merge = Merge::new(batch.len());
        let is_refused = |at: &usize| refused.binary_search_by_key(at, |(place, _)| *place).is_ok();
        let (places, good): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .enumerate()
            .filter(|(at, _)| !is_refused(at))
            .unzip();
        if !good.is_empty() {
            merge.part(places, publish(good));
        }
        for (at, why) in refused {
            merge.refuse(at, why);
        }
        merge.into_pending()
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stamp")
    }
}

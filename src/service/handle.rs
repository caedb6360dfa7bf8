//! A service as its own handlers have it.

use super::{Request, request, respond::Address};
use crate::{
    Bus,
    event::{Context, EventExt},
    handler::{Failure, FromParts, Parts},
};
use bus_core::{Message, Name, Result, Unsent};
use serde::Serialize;
use uuid::Uuid;

/// A service that asks others and sends to them: what a [`RunningService`](super::RunningService) derefs to, and an argument of
/// its handlers. Cheap to clone.
///
/// ```
/// use bus::{handler::Failure, service::Handle};
/// async fn start(me: Handle) -> Result<(), Failure> {
///     me.send("Next", "go.on", &()).await?;          // whoever asked gets the answer of `Next`
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) name: Name,
    pub(super) bus: Bus,
}

impl Handle {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Its bus: what is published through it is from this service, and replies to its requests come here.
    pub fn bus(&self) -> &Bus {
        &self.bus
    }
    /// Asks another service, and waits for its reply, 30 s unless said otherwise.
    pub fn request<'a, V: Serialize + ?Sized>(&'a self, to: &'a str, event: &str, value: &V) -> Request<'a> {
        self.bus.request(to, value).event(event)
    }
    /// Sends an event to another service, with a value as JSON, and returns its correlation id, by which its reply can be
    /// [taken](super::RunningService::take). In a handler the event goes on with the correlation id of the one that is
    /// handled, and if somebody asked for that one, the answer goes to him.
    /// # Errors
    /// What publishing says.
    pub async fn send<V: Serialize + ?Sized>(&self, to: &str, event: &str, value: &V) -> Result<String> {
        let context = Context::current();
        let origin = context.as_ref().and_then(|context| Address::of(context.record()));
        let carried = context.as_ref().and_then(Context::correlation_id);
        let id = carried.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned);
        let inbox = self.bus.inbox().await?;
        let addressed = |message: Message| match &origin {
            Some(origin) => origin.write(message),
            None => request::addressed(message, &inbox),
        };
        let publish = self.bus.publish(to, value).event(event).correlation_id(&*id);
        let sent = publish.with(addressed).await;
        // What nobody got nobody answers: then it is what the handler says that goes to whoever asked.
        let is_passed_on = sent.as_ref().map_or_else(Unsent::is_unknown, |_| true);
        if let Some(context) = context.filter(|_| origin.is_some() && is_passed_on) {
            context.leave_the_answer();
        }
        sent?;
        Ok(id)
    }
}

impl<S: Sync> FromParts<S> for Handle {
    async fn from_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let missing = || Failure::new("only the handlers of a `Service` have its `Handle`");
        parts.extensions.get().cloned().ok_or_else(missing)
    }
}

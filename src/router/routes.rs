//! A router that was built.

use super::{name, tree::Tree, unrouted::Unrouted};
use crate::{
    event::{Carried, Context},
    handler::{Failure, Handler, Incoming, IntoResponse, Response, Route, Verdict},
};
use bus_core::Message;
use std::{fmt, panic::Location, sync::Arc};

/// A router that was built: a [handler](crate::handler) for [`consumer`](crate::handler::consumer), and to be called by
/// hand. Cheap to clone; clones count together.
#[derive(Clone)]
pub struct Routes(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) name: String,
    pub(super) tree: Tree<Route>,
    /// The patterns, and where each was bound.
    pub(super) listed: Vec<(String, &'static Location<'static>)>,
    pub(super) other: Other,
    pub(super) field: Option<String>,
    pub(super) by_hand: bool,
    pub(super) unrouted: Unrouted,
}

/// What becomes of events that no route matches.
pub(super) enum Other {
    Skip,
    Reject,
    Handle(Route),
}

impl Routes {
    /// The root's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }
    /// The routes in the order in which they were bound, with the place in the program.
    pub fn routes(&self) -> impl Iterator<Item = (&str, &'static Location<'static>)> {
        self.0.listed.iter().map(|(pattern, place)| (&**pattern, *place))
    }
    /// How many events no route has matched, by type, sorted; an event without a type has the empty one. At most 1 000
    /// types are told apart.
    pub fn unrouted(&self) -> Vec<(String, u64)> {
        self.0.unrouted.types()
    }
    /// How many events no route has matched.
    pub fn unrouted_count(&self) -> u64 {
        self.0.unrouted.all()
    }
    /// Runs the route of an event by hand, as if it had been delivered, and returns what its handler answered. What the
    /// handler publishes carries on from this event; nothing is settled, tried again, or sent to the dead letters.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use bus::{Message, event::EventExt, handler::{Payload, Reply}, router::Router};
    /// async fn double(Payload(n): Payload<u32>) -> Reply<u32> { Reply(2 * n) }
    ///
    /// let router = Router::new("sums").route("double", double).build()?;
    /// let answer = router.dispatch(Message::new("21").event("double")).await;
    /// assert_eq!(answer.reply_as::<u32>().unwrap(), Some(42));
    /// # Ok::<_, bus::Error>(()) }).unwrap();
    /// ```
    pub async fn dispatch(&self, event: Message) -> Response {
        let incoming = match Incoming::by_hand(&event) {
            Ok(incoming) => incoming,
            Err(error) => return Failure::undecodable(error).into_response(),
        };
        let context = Context::new(incoming.parts().record.clone(), Arc::new(Carried::default()));
        Context::scope(Some(context), self.answer(incoming)).await
    }
    pub(crate) async fn answer(&self, mut incoming: Incoming) -> Response {
        let parts = incoming.parts_mut();
        let event: Option<Arc<str>> = name::of(&parts.record, self.0.field.as_deref()).map(Into::into);
        parts.event.clone_from(&event);
        let event = event.as_deref().unwrap_or_default();
        let route = Some(event).filter(|event| !event.is_empty());
        if let Some(route) = route.and_then(|event| self.0.tree.find(event)) {
            return route.clone().answer(incoming).await;
        }
        let is_first = self.0.unrouted.count(event);
        match &self.0.other {
            Other::Handle(route) => route.clone().answer(incoming).await,
            Other::Skip => {
                if is_first {
                    let (router, topic) = (&*self.0.name, &*incoming.parts().topic);
                    tracing::warn!(
                        router,
                        topic,
                        event,
                        "no route for this type of event: skipped, as all that follow"
                    );
                }
                let failure = Failure::permanent(format!("nothing handles the event `{event}`"));
                Response {
                    failure: Some(failure.with_status(404)),
                    ..Verdict::Ack.into_response()
                }
            }
            Other::Reject => {
                let text = format!("no route of router `{}` matches the event `{event}`", self.0.name);
                Failure::permanent(text).with_status(404).into_response()
            }
        }
    }
}

/// Marks a router among handlers.
#[derive(Clone, Copy, Debug)]
pub enum ByRouter {}

impl<S: Send + Sync + 'static> Handler<ByRouter, S> for Routes {
    fn settles_by_hand(&self) -> bool {
        self.0.by_hand
    }
    async fn call(self, incoming: Incoming, _: S) -> Response {
        self.answer(incoming).await
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let patterns: Vec<_> = self.routes().map(|(pattern, _)| pattern).collect();
        f.debug_struct("Routes")
            .field("name", &self.0.name)
            .field("routes", &patterns)
            .finish_non_exhaustive()
    }
}

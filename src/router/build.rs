//! Building a router.

use super::{
    pattern,
    routes::{Inner, Other, Routes},
    tree::Tree,
    unrouted::Unrouted,
};
use crate::handler::{Failure, Handler, HandlerService, Incoming, IntoResponse, Route};
use bus_core::{Error, Result};
use std::{collections::HashMap, fmt, panic::Location, sync::Arc};
use tower::{Layer, Service};

type Place = &'static Location<'static>;

/// A router to be: bind routes, nest others, then [`build`](Self::build) it. `S` is the state that its handlers read;
/// [`with_state`](Self::with_state) gives it.
#[must_use = "a router routes once it is built"]
pub struct Router<S = ()> {
    name: String,
    bound: Vec<Bound<S>>,
    other: Unmatched<S>,
    field: Option<(String, Place)>,
    /// What building will say.
    wrong: Option<Error>,
}

struct Bound<S> {
    pattern: String,
    place: Place,
    by_hand: bool,
    make: Box<dyn FnOnce(S) -> Route + Send>,
}

enum Unmatched<S> {
    Skip,
    Reject(Place),
    Handle(Bound<S>),
}

impl<S: Clone + Send + Sync + 'static> Router<S> {
    /// A router without routes. Its name is the segment under which it is [nested](Self::nest) in another one; the name of
    /// the root is part of no event, and stands in lines of the log.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            bound: Vec::new(),
            other: Unmatched::Skip,
            field: None,
            wrong: None,
        }
    }
    /// Binds a handler to a route: words with dots between, `*` for one segment, `#` at the end for any tail. Whether it is
    /// a route, and the only one of its kind, is said when the router is built.
    #[track_caller]
    pub fn route<H, M>(mut self, pattern: impl Into<String>, handler: H) -> Self
    where
        H: Handler<M, S>,
        M: 'static,
    {
        self.bound
            .push(bound(pattern.into(), handler, Location::caller()));
        self
    }
    /// Nests a router under its own name: route `return` of router `test` matches the event `test.return`. Its fallback
    /// becomes the one for what begins with its name.
    #[track_caller]
    pub fn nest(self, router: Router<S>) -> Self {
        let name = router.name.clone();
        self.under(&name, router, Location::caller())
    }
    /// Nests a router under a prefix instead of its name.
    #[track_caller]
    pub fn mount(self, prefix: impl AsRef<str>, router: Router<S>) -> Self {
        self.under(prefix.as_ref(), router, Location::caller())
    }
    fn under(mut self, prefix: &str, router: Router<S>, place: Place) -> Self {
        let Router {
            name,
            bound: routes,
            other,
            field,
            wrong,
        } = router;
        let first = pattern::check_prefix(prefix)
            .err()
            .map(|error| error.context(place));
        self.wrong = self.wrong.or(first).or(wrong);
        if let Some((_, place)) = field
            && self.wrong.is_none()
        {
            self.wrong = Some(Error::invalid(format!(
                "{place}: `event_field` of the nested router `{name}` would never be looked at; name the field at the root"
            )));
        }
        let inside = |mut bound: Bound<S>| {
            bound.pattern = format!("{prefix}.{}", bound.pattern);
            bound
        };
        self.bound.extend(routes.into_iter().map(inside));
        match other {
            Unmatched::Skip => {}
            Unmatched::Handle(fallback) => self.bound.push(inside(fallback)),
            Unmatched::Reject(place) => {
                let text = format!("no route of router `{name}` matches this event");
                let refuse = move || {
                    let failure = Failure::permanent(text.clone());
                    async move { Err::<(), _>(failure) }
                };
                self.bound.push(inside(bound("#".to_owned(), refuse, place)));
            }
        }
        self
    }
    /// Handles what no route matches, and is counted as [unrouted](Routes::unrouted) all the same (default: it is skipped,
    /// and one line a type says so, because a shared topic carries other people's events).
    #[track_caller]
    pub fn fallback<H, M>(mut self, handler: H) -> Self
    where
        H: Handler<M, S>,
        M: 'static,
    {
        self.other = Unmatched::Handle(bound("#".to_owned(), handler, Location::caller()));
        self
    }
    /// Sends what no route matches to the dead letters: for a topic that is nobody else's.
    #[track_caller]
    pub fn strict(mut self) -> Self {
        self.other = Unmatched::Reject(Location::caller());
        self
    }
    /// Where the type of an event stands in a JSON body, for messages without the header `ce_type`: a field of the
    /// outermost object, such as `event`.
    #[track_caller]
    pub fn event_field(mut self, field: impl Into<String>) -> Self {
        self.field = Some((field.into(), Location::caller()));
        self
    }
    /// Wraps every route that is bound or nested so far, and the fallback, in a tower layer; the last one added is called
    /// first. An error of the layer is a failure of the message.
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<Route> + Clone + Send + 'static,
        L::Service: Service<Incoming> + Clone + Send + Sync + 'static,
        <L::Service as Service<Incoming>>::Response: IntoResponse,
        <L::Service as Service<Incoming>>::Error: Into<Failure>,
        <L::Service as Service<Incoming>>::Future: Send,
    {
        let wrap = |bound: Bound<S>| {
            let (layer, make) = (layer.clone(), bound.make);
            let make = Box::new(move |state| make(state).layer(&layer));
            Bound { make, ..bound }
        };
        self.bound = self.bound.into_iter().map(wrap).collect();
        if let Unmatched::Handle(fallback) = self.other {
            self.other = Unmatched::Handle(wrap(fallback));
        }
        self
    }
    /// Gives the handlers bound so far their state. Routes that are bound afterwards may have another one.
    pub fn with_state<S2: 'static>(self, state: S) -> Router<S2> {
        let give = |bound: Bound<S>| {
            let route = (bound.make)(state.clone());
            Bound {
                pattern: bound.pattern,
                place: bound.place,
                by_hand: bound.by_hand,
                make: Box::new(move |_: S2| route),
            }
        };
        let other = match self.other {
            Unmatched::Skip => Unmatched::Skip,
            Unmatched::Reject(place) => Unmatched::Reject(place),
            Unmatched::Handle(fallback) => Unmatched::Handle(give(fallback)),
        };
        Router {
            name: self.name,
            bound: self.bound.into_iter().map(give).collect(),
            other,
            field: self.field,
            wrong: self.wrong,
        }
    }
}

impl Router<()> {
    /// Builds it.
    /// # Errors
    /// `Invalid`: a route is none, or is bound twice; the error names the place in the program, or both.
    pub fn build(self) -> Result<Routes> {
        if let Some(wrong) = self.wrong {
            return Err(wrong);
        }
        let (mut tree, mut places) = (Tree::default(), HashMap::<String, Place>::new());
        let (mut listed, mut by_hand) = (Vec::new(), false);
        for bound in self.bound {
            let segments = pattern::parse(&bound.pattern).map_err(|error| error.context(bound.place))?;
            if let Some(first) = places.insert(bound.pattern.clone(), bound.place) {
                return Err(Error::invalid(format!(
                    "route `{}` of router `{}` is bound twice: at {first} and at {}",
                    bound.pattern, self.name, bound.place
                )));
            }
            by_hand |= bound.by_hand;
            listed.push((bound.pattern, bound.place));
            tree.insert(&segments, (bound.make)(()));
        }
        let other = match self.other {
            Unmatched::Skip => Other::Skip,
            Unmatched::Reject(_) => Other::Reject,
            Unmatched::Handle(fallback) => {
                by_hand |= fallback.by_hand;
                Other::Handle((fallback.make)(()))
            }
        };
        Ok(Routes(Arc::new(Inner {
            name: self.name,
            tree,
            listed,
            other,
            field: self.field.map(|(field, _)| field),
            by_hand,
            unrouted: Unrouted::default(),
        })))
    }
}

fn bound<H, M, S>(pattern: String, handler: H, place: Place) -> Bound<S>
where
    H: Handler<M, S>,
    M: 'static,
    S: Clone + Send + Sync + 'static,
{
    Bound {
        pattern,
        place,
        by_hand: handler.settles_by_hand(),
        make: Box::new(move |state| HandlerService::route(handler, state)),
    }
}

impl<S> fmt::Debug for Router<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let patterns: Vec<_> = self.bound.iter().map(|bound| &bound.pattern).collect();
        f.debug_struct("Router")
            .field("name", &self.name)
            .field("routes", &patterns)
            .finish_non_exhaustive()
    }
}

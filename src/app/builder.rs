//! Putting an application together.

use super::{Runnable, Started, check};
use crate::{Bus, service::Service};
use bus_core::{Error, Name, Result, TopicSpec};
use std::{fmt, panic::Location, time::Duration};

/// How long handlers may go on after the first signal: the time most supervisors give a process.
const GRACE: Duration = Duration::from_secs(30);
/// The bus of what is registered without one.
pub(super) const DEFAULT: &str = "default";

/// One thing that an application runs, and on which of its buses.
pub(super) struct Item {
    pub(super) bus: Name,
    pub(super) place: &'static Location<'static>,
    pub(super) run: Box<dyn Runnable>,
}

impl Item {
    /// What it is called in messages.
    pub(super) fn title(&self) -> String {
        format!("{} `{}`", self.run.kind(), self.run.name())
    }
}

/// An application to be: give it its buses and what it runs, then [build](Self::build) it.
#[must_use = "an application is built, and then run"]
pub struct Builder {
    name: Name,
    buses: Vec<(Name, Bus)>,
    items: Vec<Item>,
    grace: Duration,
    dead_letter: Option<String>,
}

impl Builder {
    /// The bus of what is [registered](Self::register) without saying which.
    pub fn bus(self, bus: &Bus) -> Self {
        self.named_bus(DEFAULT, bus)
    }
    /// A further bus, for what is registered [on it](Self::register_on).
    pub fn named_bus(mut self, name: impl Into<Name>, bus: &Bus) -> Self {
        self.buses.push((name.into(), bus.clone()));
        self
    }
    /// Runs this: a [`worker`](crate::worker::worker), a [`consumer`](crate::handler::consumer), a [`Service`], anything that is
    /// [`Runnable`]. What is registered first starts first, and stops last.
    #[track_caller]
    pub fn register(self, run: impl Runnable) -> Self {
        self.register_on(DEFAULT, run)
    }
    /// Runs this service, whose router answers what it is asked. One whose events are taken by hand is started beside the
    /// application, by [`Service::start`], which gives the handle to take them by.
    #[track_caller]
    pub fn service(self, service: Service) -> Self {
        self.register(service)
    }
    /// Runs this on the bus of this name.
    #[track_caller]
    pub fn register_on(mut self, bus: impl Into<Name>, run: impl Runnable) -> Self {
        self.items.push(Item {
            bus: bus.into(),
            place: Location::caller(),
            run: Box::new(run),
        });
        self
    }
    /// How long handlers may go on after the first signal (default 30 s: the time most supervisors give a process). It is one
    /// deadline for everything: see [`Started::stop`] for how parts share it. Closing the buses, which waits for what was
    /// published, has what is left of it, and a second if nothing is.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }
    /// Where dead letters go of what does not say so itself (default: what the settings of its bus say, else
    /// `{topic}.{group}.dlq`).
    pub fn dead_letter(mut self, template: impl Into<String>) -> Self {
        self.dead_letter = Some(template.into());
        self
    }
    /// Checks it all. Two that read one topic in one group share its partitions, which is warned about.
    /// # Errors
    /// `Invalid`: two of one name, two definitions of one topic, two dead letters in one topic by accident, each with both
    /// places in the program; a bus that nobody gave; what a part says of itself.
    pub fn build(mut self) -> Result<App> {
        if let Some(template) = &self.dead_letter {
            bus_core::dead_letter_topic(template, "topic", "group")?;
        }
        for item in &mut self.items {
            let of_bus = || find(&self.buses, &item.bus)?.settings().dead_letter_topic();
            if let Some(template) = self.dead_letter.as_deref().or_else(of_bus) {
                item.run.default_dead_letter(template);
            }
        }
        // What it publishes is from it, unless a bus says who it is.
        for (_, bus) in self.buses.iter_mut().filter(|(_, bus)| bus.source().is_none()) {
            *bus = bus.clone().event_source(self.name.clone());
        }
        let topics = check::all(&self.buses, &self.items)?;
        Ok(App {
            name: self.name,
            buses: self.buses,
            items: self.items,
            topics,
            grace: self.grace,
        })
    }
}

/// A checked application: what it runs, and on which buses.
pub struct App {
    pub(super) name: Name,
    pub(super) buses: Vec<(Name, Bus)>,
    pub(super) items: Vec<Item>,
    pub(super) topics: Vec<(Name, TopicSpec)>,
    pub(super) grace: Duration,
}

impl App {
    /// An application of this name, which is the source of the events that its parts publish where their bus has no
    /// [`event_source`](Bus::event_source).
    pub fn builder(name: impl Into<Name>) -> Builder {
        Builder {
            name: name.into(),
            buses: Vec::new(),
            items: Vec::new(),
            grace: GRACE,
            dead_letter: None,
        }
    }
    /// Its bus of this name.
    /// # Errors
    /// `Invalid`, with the names there are.
    pub fn bus(&self, name: &str) -> Result<&Bus> {
        find(&self.buses, name).ok_or_else(|| check::unknown_bus(name, &self.buses))
    }
    /// What it runs, by kind and name, in the order in which it starts.
    pub fn list(&self) -> Vec<(&'static str, String)> {
        self.items
            .iter()
            .map(|item| (item.run.kind(), item.run.name()))
            .collect()
    }
    /// Makes the topics that are missing, and starts everything in order, for use beside something else such as a web server.
    /// # Errors
    /// Why one could not be started; those that had been started before it are stopped. The buses stay open.
    pub async fn start(self) -> Result<Started> {
        let grace = self.grace;
        let (mut started, items, topics) = self.split();
        if let Err(error) = started.begin(items, &topics).await {
            // Nobody else learns of what goes wrong with these.
            if let Err(error) = started.stop(grace).await {
                tracing::warn!(%error, "stopping what had been started failed");
            }
            return Err(error);
        }
        Ok(started)
    }
}

pub(super) async fn ensure(buses: &[(Name, Bus)], topics: &[(Name, TopicSpec)]) -> Result<()> {
    for (name, bus) in buses {
        let of_bus = topics.iter().filter(|(of, _)| of == name);
        let topics: Vec<_> = of_bus.map(|(_, topic)| topic.clone()).collect();
        if !topics.is_empty() {
            let context = |e: Error| e.context(format!("topics of bus `{name}`"));
            crate::ensure::missing(bus, topics).await.map_err(context)?;
        }
    }
    Ok(())
}

pub(super) fn find<'a>(buses: &'a [(Name, Bus)], name: &str) -> Option<&'a Bus> {
    buses
        .iter()
        .find(|(known, _)| **known == *name)
        .map(|(_, bus)| bus)
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("name", &self.name)
            .field("runs", &self.list())
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.items.iter().map(Item::title).collect();
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("runs", &names)
            .finish_non_exhaustive()
    }
}

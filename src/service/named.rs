//! A service with a name, and an inbox of that name.

use super::{Handle, Inbox, Letter, RequestError, Strays, mailbox::Mailbox, respond::Responder};
use crate::{
    Bus,
    event::{Carried, Context},
    handler::{Consumer, Incoming, IntoResponse, Response, Running, State, caught, consumer, consumer_with},
    router::Routes,
};
use bus_core::{Bytes, Control, Delivery, Error, ErrorKind, Name, Notice, Record, Result, TopicSpec};
use std::{collections::BTreeMap, ops::Deref, panic::Location, sync::Arc, time::Duration};
use tokio::time::Instant;
use tower::util::MapRequestLayer;

/// A service to be: it owns the topic of its name, reads it as the group of its name, and reads replies in `<name>.replies`.
///
/// With a [router](Self::router) its events are handled as they come, and requests are answered. Without one, or
/// [by hand](Self::by_hand), they wait to be taken: [`RunningService::receive`], [`poll`](RunningService::poll),
/// [`take`](RunningService::take), [`drain`](RunningService::drain).
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use bus::{Bus, handler::{Payload, Reply}, router::Router, service::Service};
/// # use std::time::Duration;
/// async fn double(Payload(n): Payload<u32>) -> Reply<u32> { Reply(2 * n) }
///
/// let bus = Bus::connect("memory://").await?;
/// let routes = Router::new("sums").route("double", double).build()?;
/// let sums = Service::new("sums").router(routes).start(&bus).await?;
/// let desk = Service::new("desk").start(&bus).await?;
/// let reply = desk.request("sums", "double", &21).await.unwrap();
/// assert_eq!(reply.json::<u32>()?, 42);
/// # desk.stop(Duration::from_secs(1)).await?;
/// # sums.stop(Duration::from_secs(1)).await?;
/// # Ok::<_, bus::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
#[must_use = "a service runs once it is started"]
pub struct Service {
    name: Name,
    routes: Option<Routes>,
    by_hand: bool,
    partitions: u32,
    concurrency: usize,
    dead_letter: Option<String>,
    place: &'static Location<'static>,
}

impl Service {
    /// A service of this name, which is a topic's: see [`check_name`](crate::check_name).
    #[track_caller]
    pub fn new(name: impl Into<Name>) -> Self {
        Self {
            name: name.into(),
            routes: None,
            by_hand: false,
            partitions: 1,
            concurrency: 1,
            dead_letter: None,
            place: Location::caller(),
        }
    }
    /// Handles its events by these routes.
    pub fn router(mut self, routes: Routes) -> Self {
        self.routes = Some(routes);
        self
    }
    /// Lets events wait, although there is a router: it is run by [`RunningService::dispatch`].
    pub fn by_hand(mut self) -> Self {
        self.by_hand = true;
        self
    }
    /// Partitions that its topic is made with if it is missing (default 1): members of the service share them.
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = partitions;
        self
    }
    /// Events that are handled at the same time, at most (default 1).
    pub fn concurrency(mut self, most: usize) -> Self {
        self.concurrency = most;
        self
    }
    /// Where events go that are given up; may hold `{topic}` and `{group}`, which are both its name (default:
    /// `<name>.<name>.dlq`).
    pub fn dead_letter(mut self, topic: impl Into<String>) -> Self {
        self.dead_letter = Some(topic.into());
        self
    }
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Where it was made in the program, for messages about it.
    pub fn place(&self) -> &'static Location<'static> {
        self.place
    }
    pub(crate) fn topic(&self) -> TopicSpec {
        TopicSpec::new(self.name.clone()).partitions(self.partitions)
    }
    pub(crate) fn set_concurrency(&mut self, most: usize) {
        self.concurrency = most;
    }
    pub(crate) fn default_dead_letter(&mut self, template: &str) {
        self.dead_letter.get_or_insert_with(|| template.to_owned());
    }
    pub(crate) fn dead_letter_template(&self) -> &str {
        self.dead_letter.as_deref().unwrap_or("{topic}.{group}.dlq")
    }
    fn check(&self) -> Result<()> {
        let of = |e: Error| e.context(format!("service `{}` at {}", self.name, self.place));
        self.topic().check().map_err(of)?;
        match self.concurrency {
            0 => Err(of(Error::invalid(
                "concurrency is 0: at least one event has to be handled at a time",
            ))),
            _ => Ok(()),
        }
    }
    /// Nobody takes its events by hand.
    pub(crate) fn check_routed(&self) -> Result<()> {
        self.check()?;
        if self.routes.is_some() && !self.by_hand {
            return Ok(());
        }
        let (name, place) = (&self.name, self.place);
        Err(Error::invalid(format!(
            "service `{name}` at {place}: nobody would take its events: give it a router, or start it beside the \
             application by `Service::start`"
        )))
    }
    /// Makes its topics if they are missing, opens its inbox, and begins to read.
    /// # Errors
    /// `Invalid`: the name is no topic's; what subscribing says.
    pub async fn start(self, bus: &Bus) -> Result<RunningService> {
        self.check()?;
        let replies = format!("{}.replies", self.name);
        let mailbox = Arc::new(Mailbox::default());
        let bus = bus.clone().event_source(self.name.clone());
        crate::ensure::missing(&bus, vec![self.topic()]).await?;
        let inbox = Inbox::open(&bus, replies.into(), Some(mailbox.clone())).await?;
        let bus = bus.with_inbox(inbox);
        let running = self.consumer(&mailbox).concurrency(self.concurrency);
        let handle = Handle {
            name: self.name,
            bus: bus.clone(),
        };
        let running = running.layer(introduced(&handle)).start(&bus).await?;
        Ok(RunningService {
            handle,
            mailbox,
            routes: self.routes,
            running,
        })
    }
    fn consumer(&self, mailbox: &Arc<Mailbox>) -> Consumer {
        let (topic, group) = (&*self.name, self.name.clone());
        let consumer = match &self.routes {
            Some(routes) if !self.by_hand => consumer(topic, group, routes.clone()).answer_requests(),
            _ => {
                let waiting = mailbox.clone();
                let lets_go = move |notice| {
                    if matches!(notice, Notice::Lost { .. }) {
                        waiting.let_go();
                    }
                    std::future::ready(())
                };
                consumer_with(topic, group, keep, mailbox.clone()).subscription(|s| s.on_notice(lets_go))
            }
        };
        match &self.dead_letter {
            Some(topic) => consumer.dead_letter(topic),
            None => consumer,
        }
    }
}

/// Gives handlers the service that runs them.
fn introduced(handle: &Handle) -> MapRequestLayer<impl Fn(Incoming) -> Incoming + Clone + use<>> {
    let handle = handle.clone();
    MapRequestLayer::new(move |mut incoming: Incoming| {
        incoming.parts_mut().extensions.insert(handle.clone());
        incoming
    })
}

/// Where events go that wait.
async fn keep(State(mailbox): State<Arc<Mailbox>>, record: Record, delivery: Delivery<Bytes>) {
    mailbox.put(Letter::event(record, delivery));
}

/// A service that runs. What it can do for its handlers too is on [`Handle`], to which it derefs.
#[derive(Debug)]
pub struct RunningService {
    handle: Handle,
    mailbox: Arc<Mailbox>,
    routes: Option<Routes>,
    running: Running,
}

impl RunningService {
    /// The oldest event or reply that nobody else waits for; waits for one. Dropping the future loses nothing.
    pub async fn receive(&self) -> Letter {
        loop {
            if let Some(letter) = self.mailbox.next(None).await {
                return letter;
            }
        }
    }
    /// As [`receive`](Self::receive), for so long at most.
    pub async fn poll(&self, limit: Duration) -> Option<Letter> {
        self.mailbox.next(Some(Instant::now() + limit)).await
    }
    /// The event or reply with this correlation id; waits for it. While it is waited for, nobody else gets it.
    /// # Errors
    /// `Timeout`: it did not come within `limit`.
    pub async fn take(&self, id: &str, limit: Duration) -> Result<Letter, RequestError> {
        let letter = self.mailbox.take(id, Instant::now() + limit).await;
        letter.ok_or(RequestError::Timeout(limit))
    }
    /// All that is here, by correlation id, without what somebody waits for. Of several with one id, the oldest; the others
    /// are here the next time.
    pub fn drain(&self) -> BTreeMap<String, Letter> {
        self.mailbox.drain()
    }
    /// Runs the route of a letter, settles it by what its handler answers, and answers whoever asked.
    /// # Errors
    /// `Invalid`: the service has no router. `Fenced`: the event [is lost](Letter::is_lost). The letter is then dropped, and an
    /// event comes again, here or elsewhere.
    pub async fn dispatch(&self, letter: Letter) -> Result<Response> {
        let Some(routes) = &self.routes else {
            return Err(Error::invalid(format!(
                "service `{}` has no router",
                self.handle.name
            )));
        };
        if letter.is_lost() {
            let text = "the event's partition was taken by another member, which handles it";
            return Err(Error::new(ErrorKind::Fenced, text));
        }
        let record = letter.record().clone();
        let responder = Responder::of(&self.handle.bus, &record);
        let mut incoming = match &letter.delivery {
            Some(delivery) => Incoming::of(delivery)?,
            None => Incoming::by_hand(&record.to_message())?,
        };
        let extensions = &mut incoming.parts_mut().extensions;
        extensions.insert(responder.clone());
        extensions.insert(self.handle.clone());
        let carried = Carried::default().by(&self.handle.bus);
        let context = Context::new(record, carried)
            .received_at(letter.received())
            .answered_by(Some(responder.answered()));
        let handling = async {
            let answered = caught(routes.answer(incoming)).await;
            let mut response = answered.unwrap_or_else(IntoResponse::into_response);
            responder.answer(&mut response).await;
            if let Some(delivery) = letter.delivery {
                response.verdict.clone().settle(delivery);
            }
            response
        };
        Ok(Context::scope(Some(context), handling).await)
    }
    /// Replies that came when nobody waited for them, and those that nobody took by hand, within five minutes or among the
    /// last 1 024, as late ones.
    pub fn stray_replies(&self) -> Strays {
        let strays = self.handle.bus.stray_replies();
        let late = strays.late + self.mailbox.given_up();
        Strays { late, ..strays }
    }
    /// What an application stops; its handlers keep its inbox.
    pub(crate) fn into_running(self) -> Running {
        self.running
    }
    /// A handle for pausing and steering its subscription.
    pub fn control(&self) -> &Control {
        self.running.control()
    }
    /// Takes no more events, gives handlers that run `grace` to finish, stores what they settled, and leaves. Events that
    /// nobody took are left to its other members, or to its next start.
    /// # Errors
    /// What ended it, if it was not this.
    pub async fn stop(self, grace: Duration) -> Result<()> {
        self.running.control().pause();
        self.mailbox.close();
        self.running.drain(grace).await
    }
}

impl Deref for RunningService {
    type Target = Handle;
    fn deref(&self) -> &Handle {
        &self.handle
    }
}

//! The thread: its state and its loop.

use super::{
    Command,
    commits::Commits,
    handover::Revoke,
    lookup::Purpose,
    mailbox::Mailbox,
    part::{Part, Place, State},
    session::{Roster, Session},
    turn::Turn,
    wake::{Sleep, Wake},
};
use crate::{
    KafkaConfig,
    admin::Lookup,
    health::Health,
    native::{Client, Fetch, List, Queue},
    notes::{self, TopicId},
};
use bus_core::{Error, Name, Result, Scope, Shard, Source, Start};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::ControlFlow,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// The longest sleep. A thread that comes round less often than this was frozen or starved.
pub(super) const TICK: Duration = Duration::from_millis(250);
/// Records read at a time from one partition.
const FETCH: usize = 1_000;

/// What a thread is started with.
pub(super) struct Setup {
    pub(super) config: KafkaConfig,
    pub(super) source: Source,
    pub(super) counts: Vec<u32>,
    pub(super) wake: Arc<Wake>,
    pub(super) sleep: Sleep,
    pub(super) mail: Arc<Mailbox>,
    pub(super) inbox: mpsc::Receiver<Command>,
    pub(super) ready: oneshot::Sender<Result<()>>,
    pub(super) health: Arc<Health>,
    pub(super) roster: Arc<Roster>,
    /// With exactly once.
    pub(super) turn: Option<Arc<Turn>>,
}

pub(super) struct Reader {
    pub(super) client: Arc<Client>,
    /// Rebalances, errors, log lines.
    pub(super) main: Queue,
    /// Answers to what the thread asked.
    pub(super) replies: Queue,
    pub(super) wake: Arc<Wake>,
    sleep: Sleep,
    pub(super) mail: Arc<Mailbox>,
    inbox: mpsc::Receiver<Command>,
    pub(super) health: Arc<Health>,
    pub(super) config: KafkaConfig,
    pub(super) topics: Vec<Name>,
    /// Partitions of each topic, as last seen, and the topic's id.
    pub(super) counts: Vec<u32>,
    pub(super) ids: Vec<Option<TopicId>>,
    /// How many looks in a row told another id.
    pub(super) others: Vec<u8>,
    /// Whether any partition of it has ever begun here.
    pub(super) begun: Vec<bool>,
    /// Topics in which a position was found that belongs to another one of the name.
    pub(super) suspects: HashMap<u32, super::suspects::Suspect>,
    pub(super) held: super::held::Held,
    /// `None`: everyone.
    pub(super) group: Option<Name>,
    /// Whether new partitions belong to this reader of `Everyone`.
    pub(super) all: bool,
    pub(super) start: Start,
    pub(super) parts: BTreeMap<Place, Part>,
    pub(super) epoch: u64,
    /// What an answer is for, by its tag.
    pub(super) waits: HashMap<usize, Wait>,
    next_tag: usize,
    /// When stored offsets are to be asked for.
    pub(super) ask_at: Option<Instant>,
    pub(super) asking: Option<super::ask::Asking>,
    /// Since when a topic's start has been left to the owner of its first partition.
    pub(super) left_since: HashMap<u32, Instant>,
    /// Shards that are being moved.
    pub(super) seeks: BTreeMap<Place, super::seek::Seek>,
    /// Those that left while their position was being stored: the answer says what came of them.
    pub(super) unsure: Vec<super::seek::Seek>,
    pub(super) again: Vec<(Instant, Purpose, Lookup)>,
    pub(super) revoke: Option<Revoke>,
    pub(super) commits: Commits,
    /// With exactly once, transactions store positions, and take turns with what this thread does.
    pub(super) turn: Option<Arc<Turn>>,
    /// It is this thread's turn, until a commit of its own is answered.
    pub(super) my_turn: bool,
    /// What waits for its turn.
    pub(super) later: VecDeque<Command>,
    pub(super) doubt: Option<super::freeze::Doubt>,
    pub(super) session: Session,
    pub(super) last_round: Instant,
    pub(super) watch_at: Instant,
    pub(super) tidy_at: Instant,
    /// When the ends that were not answered are asked for again.
    pub(super) nudge_at: Option<Instant>,
    pub(super) missing: Vec<u8>,
    fetch: Fetch,
    pub(super) ready: Option<oneshot::Sender<Result<()>>>,
    /// A fatal error was reported: only leaving is left.
    pub(super) failed: bool,
}

/// What an answer is for.
pub(super) enum Wait {
    Stored,
    Lookup(Purpose, Lookup),
    /// The positions of a new group in a topic were stored.
    StartStored(super::starts::Beginning),
    /// The position of a seek of this shard was stored.
    SeekStored(Shard, i64),
    Commit(super::commits::Flight),
    Proof,
    /// What the member of this id had stored before it gave everything up was stored again.
    Vouched(Option<String>),
    /// Positions behind the last record were stored.
    Tidy(Vec<(Place, Shard, i64)>),
    Ends,
    Topics,
}

pub(super) fn run(setup: Setup) {
    let mut reader = match Reader::new(setup) {
        Ok(reader) => reader,
        Err((ready, error)) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    loop {
        match reader.round() {
            ControlFlow::Continue(()) => {}
            ControlFlow::Break(reply) => {
                reader.leave(reply);
                return;
            }
        }
    }
}

type Refused = (oneshot::Sender<Result<()>>, Error);

impl Reader {
    pub(super) fn new(setup: Setup) -> std::result::Result<Self, Refused> {
        let Setup {
            config,
            source,
            counts,
            wake,
            sleep,
            mail,
            inbox,
            ready,
            health,
            roster,
            turn,
        } = setup;
        let group = match &source.scope {
            Scope::Group(group) => Some(group.clone()),
            Scope::Everyone { .. } => None,
        };
        let name = group.clone().unwrap_or_else(|| super::nobody(&config.client_id));
        let conf = match config.consumer_conf(&name, counts.iter().sum()) {
            Ok(conf) => conf,
            Err(error) => return Err((ready, error)),
        };
        let client = match Client::consumer(conf) {
            Ok(client) => client,
            Err(why) => return Err((ready, Error::invalid(format!("kafka consumer: {why}")))),
        };
        let Some(main) = client.consumer_queue() else {
            return Err((ready, Error::invalid("kafka consumer: no queue")));
        };
        let replies = client.new_queue();
        if let Some(turn) = &turn {
            turn.is_for(&client);
        }
        main.signal(wake.fd());
        replies.signal(wake.fd());
        let now = Instant::now();
        let topics = source.topics;
        let mut reader = Self {
            main,
            replies,
            client,
            wake,
            sleep,
            mail,
            inbox,
            health,
            // At once: a topic that is made anew is told from the one before by what it was.
            watch_at: now,
            session: Session::new(&config, roster, now),
            config,
            ids: vec![None; topics.len()],
            others: vec![0; topics.len()],
            begun: vec![false; topics.len()],
            suspects: HashMap::new(),
            held: super::held::Held::default(),
            missing: vec![0; topics.len()],
            topics,
            counts,
            all: matches!(source.scope, Scope::Everyone { partitions: None }),
            group,
            start: source.start,
            parts: BTreeMap::new(),
            epoch: 0,
            waits: HashMap::new(),
            next_tag: 1,
            ask_at: None,
            asking: None,
            left_since: HashMap::new(),
            seeks: BTreeMap::new(),
            unsure: Vec::new(),
            again: Vec::new(),
            revoke: None,
            commits: Commits::default(),
            turn,
            my_turn: false,
            later: VecDeque::new(),
            doubt: None,
            last_round: now,
            tidy_at: now,
            nudge_at: None,
            fetch: Fetch::new(FETCH),
            ready: Some(ready),
            failed: false,
        };
        let begun = match source.scope {
            Scope::Group(_) => reader
                .client
                .subscribe(&List::topics(reader.topics.iter().map(|t| &**t)))
                .map_err(|f| crate::error::classify("subscribing", &f)),
            Scope::Everyone { partitions } => reader.open(partitions),
        };
        if let Err(error) = begun
            && let Some(ready) = reader.ready.take()
        {
            return Err((ready, error));
        }
        if reader.group.is_some() {
            reader.is_ready(Ok(()));
        }
        Ok(reader)
    }

    /// Tells `subscribe` that it may return.
    pub(super) fn is_ready(&mut self, result: Result<()>) {
        if let Some(ready) = self.ready.take() {
            let _ = ready.send(result);
        }
    }

    /// Whether nothing is in the middle of a transaction, nor will be before [`Self::give_turn_back`].
    pub(super) fn take_turn(&mut self) -> bool {
        let mine = !self.my_turn && self.turn.as_ref().is_none_or(|turn| turn.try_take());
        self.my_turn |= mine && self.turn.is_some();
        mine
    }
    pub(super) fn give_turn_back(&mut self) {
        if let Some(turn) = &self.turn
            && std::mem::take(&mut self.my_turn)
        {
            turn.give_back();
        }
    }

    /// Registers what an answer will be for.
    pub(super) fn tag(&mut self, wait: Wait) -> usize {
        let tag = self.next_tag;
        self.next_tag += 1;
        self.waits.insert(tag, wait);
        tag
    }

    /// What the next request will be tagged with: a larger number than any before.
    pub(super) fn next_tag(&self) -> usize {
        self.next_tag
    }

    /// Once round. `Break` with the one to tell when everything is closed.
    fn round(&mut self) -> ControlFlow<Option<oneshot::Sender<()>>> {
        let now = Instant::now();
        self.notice_freeze(now);
        self.mail.beat(now);
        loop {
            match self.inbox.try_recv() {
                Ok(Command::Close(reply)) => return ControlFlow::Break(Some(reply)),
                Ok(command) => self.command(command),
                Err(mpsc::TryRecvError::Empty) => break,
                // Both halves were dropped.
                Err(mpsc::TryRecvError::Disconnected) => return ControlFlow::Break(None),
            }
        }
        self.serve();
        for _ in 0..self.later.len() {
            if let Some(command) = self.later.pop_front() {
                self.command(command);
            }
        }
        if !self.failed {
            self.timers(now);
        }
        if self.failed || !self.intake() {
            self.check_ends();
            self.tell_positions();
            let wait = self.until_next(Instant::now());
            let Self { sleep, wake, .. } = self;
            sleep.wait(wake, wait);
        }
        ControlFlow::Continue(())
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Commit(done, reply) => self.commit(done, reply),
            Command::Release(..) | Command::Seek(..) if !self.take_turn() => self.later.push_back(command),
            Command::Release(shard, reply) => {
                self.void_shard(shard);
                self.give_turn_back();
                self.revoke_timer(Instant::now());
                let _ = reply.send(Ok(()));
            }
            Command::Seek(shard, to, reply) => {
                let result = self.seek(shard, &to);
                self.give_turn_back();
                let _ = reply.send(result);
            }
            Command::Lose(shards) => shards.into_iter().for_each(|shard| self.lose(shard)),
            Command::Reread(shards) => shards.into_iter().for_each(|shard| self.reread(shard)),
            Command::Out(shards) => {
                for shard in shards {
                    self.void_shard(shard);
                }
                self.revoke_timer(Instant::now());
            }
            Command::Close(_) => {}
        }
    }

    /// Every shard is lost, and `receive` ends with this error.
    pub(super) fn fail(&mut self, error: Error) {
        tracing::error!(target: "bus::kafka", "{error}");
        self.void_all();
        self.tell_held(None);
        self.failed = true;
        self.is_ready(Err(error.duplicate()));
        self.mail.fail(error);
        self.answer_commits_with(|| Error::closed("the subscription"));
    }

    fn timers(&mut self, now: Instant) {
        self.ask_timers(now);
        self.revoke_timer(now);
        self.session_timer(now);
        self.doubt_timer(now);
        self.watch_timer(now);
        self.pump_commits();
        self.held_timer(now);
    }

    /// How long the thread may sleep.
    fn until_next(&self, now: Instant) -> Duration {
        let retry = self.again.iter().map(|(at, ..)| *at).min();
        [
            self.ask_at,
            retry,
            self.revoke.as_ref().map(|r| r.deadline),
            self.proof_at(),
        ]
        .into_iter()
        .flatten()
        .map(|at| at.saturating_duration_since(now))
        .fold(TICK, Duration::min)
    }

    /// Records of all partitions that have room.
    fn intake(&mut self) -> bool {
        if self.is_in_doubt() {
            return false;
        }
        let mut busy = false;
        let mut troubled = Vec::new();
        for (place, part) in &mut self.parts {
            if part.state == State::Active && !part.stray && self.mail.has_room(&part.gauge) {
                let taken = super::intake::take(part, &mut self.fetch, &self.mail);
                busy |= taken.any;
                if let Some(code) = taken.trouble {
                    troubled.push((*place, code));
                }
            }
        }
        for (place, code) in troubled {
            self.trouble(place, code);
        }
        busy
    }

    /// Which topic of its name this is, as far as that is known.
    pub(super) fn id(&self, topic: u32) -> Option<TopicId> {
        // Brokers without ids say zero.
        self.ids[topic as usize].filter(|id| *id != (0, 0))
    }
    /// Puts a position into a list that is to be stored.
    pub(super) fn list(&self, list: &mut List, (topic, partition): Place, offset: i64, notes: &[u8]) {
        let metadata = notes::encode(self.id(topic), notes);
        list.add_with(
            &self.client,
            &self.topics[topic as usize],
            partition,
            offset,
            &metadata,
        );
    }
    pub(super) fn topic(&self, place: Place) -> Name {
        self.topics[place.0 as usize].clone()
    }
    /// The index of a topic of this subscription.
    pub(super) fn index(&self, topic: &str) -> Option<u32> {
        self.topics.iter().position(|t| **t == *topic).map(|i| i as u32)
    }
}

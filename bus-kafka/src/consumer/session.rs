//! Whether the group still has this member, watched by a clock of our own.
//!
//! librdkafka watches its session only while nothing moves. In the middle of a rebalance its requests to the group's
//! coordinator may hang for minutes, a join for as long as `max.poll.interval.ms`, while the coordinator counts on and
//! gives the partitions to others. So what counts here is the coordinator's word:
//!
//! 1. an answer to any request of a member is good for a session, from when the request was sent;
//! 2. where none comes for half a session, the group is asked, on a connection of its own, whether it has this member:
//!    one that waits in a rebalance is a member for as long as that takes. Each such answer is good for a moment;
//! 3. where both are over, ownership is in doubt and no handler is started;
//! 4. when the group does not have it, or when the time for handlers of a partition that leaves is over as well,
//!    everything is lost, and if that was wrong it is gained again where the group stands. That takes the group's own
//!    word: that it has this member, a commit of the same member's that it takes, or an assignment. An answer as such says
//!    nothing, because it may be that the coordinator is another one by now.

use super::{
    freeze::Doubt,
    part::{Part, State},
    reader::{Reader, Wait},
    wake::Wake,
};
use crate::{
    KafkaConfig,
    admin::Requests,
    native::{Failure, List},
};
use bus_core::{Bytes, Name, Shard};
use parking_lot::Mutex;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How often the group is asked, and how long it may take to answer.
const EVERY: Duration = Duration::from_millis(500);
const ANSWER: Duration = Duration::from_secs(3);
/// The same once everything is given up: a question without an answer costs a client, and the outage may be long.
const SELDOM: Duration = Duration::from_secs(5);
/// How long it is good for that the group has this member: its session may end at any moment.
const FRESH: Duration = Duration::from_secs(2);
/// In a group at rest librdkafka says itself that a session is over, and goes first.
const FIRST: Duration = Duration::from_millis(500);
/// The session of the newer protocol is the brokers' choice; this is their default.
const NEWER: Duration = Duration::from_secs(45);

/// What is known of the session.
pub(super) struct Session {
    length: Duration,
    roster: Arc<Roster>,
    /// Since when an answer is waited for, and when to ask next.
    asking: Option<Instant>,
    ask_at: Instant,
    /// When the latest question was asked that found this member in its group.
    listed: Option<Instant>,
    /// What was given up without a word from librdkafka, when, and under which id; `None`: that member is no more.
    given_up: Vec<Shard>,
    given_up_at: Instant,
    given_up_as: Option<String>,
    /// What was stored of it, as far as that is known, and when to store it again: the group takes that of its members.
    proof: Vec<(Shard, i64, Bytes)>,
    prove_at: Instant,
    /// Commits with a smaller tag were sent by a member that is no more.
    pub(super) since: usize,
}

/// Asks the group for its members, away from the thread.
pub(super) struct Roster {
    requests: Arc<Requests>,
    runtime: tokio::runtime::Handle,
    wake: Arc<Wake>,
    answer: Mutex<Option<Answer>>,
}

struct Answer {
    asked: Instant,
    id: String,
    /// Whether this member is in the group; `None`: nobody could say.
    listed: Option<bool>,
}

impl Roster {
    /// Inside of a runtime.
    pub(super) fn new(requests: Arc<Requests>, wake: Arc<Wake>) -> Arc<Self> {
        Arc::new(Self {
            requests,
            runtime: tokio::runtime::Handle::current(),
            wake,
            answer: Mutex::default(),
        })
    }
    fn ask(self: &Arc<Self>, group: Name, id: String, asked: Instant) {
        let roster = self.clone();
        drop(self.runtime.spawn(async move {
            let answer = tokio::time::timeout(ANSWER, roster.requests.has_member(&group, &id));
            let listed = match answer.await {
                Ok(Ok(listed)) => Some(listed),
                Ok(Err(error)) => {
                    tracing::debug!(target: "bus::kafka", group = &*group, "asking for members: {error}");
                    None
                }
                Err(_) => None,
            };
            *roster.answer.lock() = Some(Answer { asked, id, listed });
            roster.wake.wake();
        }));
    }
}

impl Session {
    pub(super) fn new(config: &KafkaConfig, roster: Arc<Roster>, now: Instant) -> Self {
        let newer = config.native.get("group.protocol").map(String::as_str) == Some("consumer");
        Self {
            length: if newer { NEWER } else { config.session_timeout },
            roster,
            asking: None,
            ask_at: now,
            listed: None,
            given_up: Vec::new(),
            given_up_at: now,
            given_up_as: None,
            proof: Vec::new(),
            prove_at: now,
            since: 0,
        }
    }
}

impl Reader {
    pub(super) fn session_timer(&mut self, now: Instant) {
        let (Some(heard), true) = (self.client.heard(), self.group.is_some()) else {
            return;
        };
        if self.session.asking.is_some() {
            let answer = self.session.roster.answer.lock().take();
            if let Some(answer) = answer {
                self.session.asking = None;
                self.told(answer, now);
            }
        }
        let quiet = now.saturating_duration_since(heard);
        if quiet < self.session.length / 2 && self.doubt.is_none() && self.session.given_up.is_empty() {
            return;
        }
        let parts = &self.parts;
        self.session.given_up.retain(|shard| {
            let part = parts.get(&(shard.topic, shard.partition));
            part.is_some_and(|p| p.shard == *shard && p.state == State::Finding)
        });
        let owns = self.parts.values().any(Part::is_owned);
        if !owns && self.session.given_up.is_empty() {
            return;
        }
        if owns || self.session.given_up_as.is_some() {
            self.ask_for_members(now);
        }
        self.prove(now);
        let sure = heard + self.session.length + FIRST;
        let sure = self.session.listed.map_or(sure, |at| sure.max(at + FRESH));
        if !owns || now < sure {
            return;
        }
        match self.doubt.as_ref().and_then(Doubt::since) {
            None => {
                tracing::warn!(
                    target: "bus::kafka", group = ?self.group,
                    "the group's coordinator has not answered for {quiet:?}; asking whether partitions are still ours"
                );
                self.doubt_all(now);
            }
            Some(since) if now >= since + self.config.rebalance_grace => {
                self.give_up(now, "nobody says whether this member is still in its group");
            }
            Some(_) => {}
        }
    }

    fn ask_for_members(&mut self, now: Instant) {
        let session = &mut self.session;
        // One that never came back was asked in a runtime that has ended.
        let waits = session.asking.is_some_and(|since| now < since + 2 * ANSWER);
        if waits || now < session.ask_at {
            return;
        }
        let given_up = !session.given_up.is_empty();
        session.ask_at = now + if given_up { SELDOM } else { EVERY };
        if let (Some(group), Some(member)) = (&self.group, self.client.membership()) {
            session.asking = Some(now);
            session.roster.ask(group.clone(), member.id(), now);
        }
    }

    fn told(&mut self, answer: Answer, now: Instant) {
        // Under another id it is another member, and librdkafka has told what became of this one.
        let same = self.client.membership().is_some_and(|m| m.id() == answer.id);
        match answer.listed.filter(|_| same) {
            None => {}
            Some(false) => self.give_up(now, "this member was put out of its group"),
            Some(true) => {
                self.session.listed = self.session.listed.max(Some(answer.asked));
                if answer.asked >= self.session.given_up_at {
                    self.regain_as(Some(answer.id));
                }
                if let Some(since) = self.doubt.as_ref().and_then(Doubt::since)
                    && answer.asked >= since
                {
                    self.no_doubt();
                }
            }
        }
    }

    /// Everything is lost, until it is known better.
    fn give_up(&mut self, now: Instant, why: &str) {
        let owned = self.parts.values().filter(|p| p.is_owned());
        let shards: Vec<Shard> = owned.map(|p| p.shard).collect();
        if shards.is_empty() {
            return;
        }
        let places: Vec<_> = shards.iter().map(|s| (s.topic, s.partition)).collect();
        tracing::warn!(target: "bus::kafka", group = ?self.group, "{why}; partitions are lost: {places:?}");
        // A transaction under way may still store more than what is known now.
        let still = self.take_turn();
        let known = |part: &&Part| still && part.is_owned();
        let stored = |part: &Part| self.stored_of(part).map(|(at, notes)| (part.shard, at, notes));
        self.session.proof = self.parts.values().filter(known).filter_map(stored).collect();
        if still {
            self.give_turn_back();
        }
        for shard in shards {
            self.lose(shard);
            self.session.given_up.push(shard);
        }
        self.session.given_up_at = now;
        self.session.given_up_as = self.client.membership().map(|m| m.id());
        self.no_doubt();
    }

    /// Stores once more what was stored of what was given up. Nobody else can have it before the group has put this member
    /// out, and then it refuses; a member that joined again has another id.
    fn prove(&mut self, now: Instant) {
        let doubt = self.doubt.as_ref().is_some_and(Doubt::is_busy);
        if self.session.given_up.is_empty() || now < self.session.prove_at || doubt || self.commits.is_busy()
        {
            return;
        }
        self.session.prove_at = now + EVERY;
        if self.session.given_up_as.is_none()
            || self.client.membership().map(|m| m.id()) != self.session.given_up_as
        {
            return;
        }
        let given_up = &self.session.given_up;
        self.session.proof.retain(|(shard, ..)| given_up.contains(shard));
        if self.session.proof.is_empty() || !self.take_turn() {
            return;
        }
        let (mut list, mut places) = (List::new(), Vec::new());
        for (shard, at, notes) in &self.session.proof {
            let place = (shard.topic, shard.partition);
            places.push(place);
            self.list(&mut list, place, *at, notes);
        }
        self.commits.begin(places);
        let tag = self.tag(Wait::Vouched(self.session.given_up_as.clone()));
        if let Err(failure) = self.client.commit(&list, &self.replies, tag) {
            self.committed(tag, Some(failure), &[]);
        }
    }

    /// A commit was answered after its shard had been given up.
    pub(super) fn session_stored(&mut self, shard: Shard, next: i64, notes: &Bytes) {
        for (_, at, noted) in self.session.proof.iter_mut().filter(|(of, ..)| *of == shard) {
            (*at, *noted) = (next, notes.clone());
        }
    }

    pub(super) fn vouched(&mut self, id: Option<String>, failure: Option<&Failure>) {
        self.commits.end();
        self.give_turn_back();
        match failure {
            None => self.regain_as(id),
            Some(failure) => {
                tracing::debug!(target: "bus::kafka", code = ?failure.code, "not ours again: {}", failure.text);
            }
        }
    }

    /// It was wrong to give up what is still ours: this is still the member that had it.
    fn regain_as(&mut self, id: Option<String>) {
        if id.is_some() && id == self.session.given_up_as {
            self.regain();
        }
    }

    fn regain(&mut self) {
        for shard in std::mem::take(&mut self.session.given_up) {
            self.reread(shard);
        }
    }

    /// The coordinator does not know this member any more. librdkafka joins again, as another one. It tells what is lost
    /// by that, but not while a revocation waits for its answer: then it claims what it still has, and is silent when the
    /// group gives it that again.
    pub(super) fn put_out(&mut self) {
        tracing::warn!(target: "bus::kafka", group = ?self.group, "this member was put out of its group");
        self.session.since = self.next_tag();
        for part in self.parts.values_mut() {
            if part.is_owned() {
                self.mail.lost(part.shard);
            }
            part.state = match part.state {
                State::Leaving | State::Void => State::Void,
                State::Asking | State::Starting | State::Finding | State::Active => {
                    part.asked = 0;
                    self.session.given_up.push(part.shard);
                    part.since = Instant::now();
                    State::Finding
                }
            };
        }
        // A commit would be taken from the next member too, whoever has the partition by then.
        for place in self.parts.keys().copied().collect::<Vec<_>>() {
            self.end_seek(place);
        }
        self.session.given_up_at = Instant::now();
        self.session.given_up_as = None;
        self.no_doubt();
        self.answer_revocation();
    }

    /// An assignment came, and is not answered yet: librdkafka does not join again before it is. Whoever is a member now
    /// has in it whatever it was not told to give back.
    pub(super) fn joined(&mut self) {
        if !self.session.given_up.is_empty() && self.client.membership().is_some() {
            self.regain();
        }
    }
}

//! Publishers and consumers of one topic and group, and what is done to them.

use crate::{
    actor::{Consume, Produce, Role, Spec},
    cast::Actor,
    evidence::{Evidence, File},
    loss::Lost,
    observer::{self, Logged, Watch},
    payload,
    record::{Base, Entry, Recorder},
    server::Server,
    test::{Numbers, Test, until},
    verdict::{Case, judge},
};
use bus::{Bus, Message, Name, TopicSpec};
use bus_core::conformance::{Failure, Place, checkers::Interruption};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::PathBuf,
    time::{Duration, Instant},
};

/// Partitions of a topic under test.
pub(crate) const PARTITIONS: u32 = 4;
/// How long a graceful end may take: the drain, and a broker that is slow to answer.
const END: Duration = Duration::from_secs(60);
/// How long everything may take to be settled once the faults are over.
const DRAIN: Duration = Duration::from_secs(90);
/// The most memory an actor may hold, in KiB. One at rest has about 30 MiB in a debug build.
const MEMORY: u64 = 300 * 1024;
/// Commits go out this often at the latest.
const COMMIT: Duration = Duration::from_millis(200);

/// Publishers and consumers of one topic and group.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    pub(crate) test: &'a Test,
    pub(crate) server: &'a Server,
    pub(crate) bus: Bus,
    pub(crate) topic: String,
    pub(crate) group: String,
    /// All topics that are read and by which group, in the order in which they settle.
    pub(crate) hops: Vec<(String, String)>,
    /// All who ever played, the dead too; numbered in order.
    pub(crate) actors: Vec<Actor>,
    /// Messages a second that all publishers were asked for.
    rate: u32,
    /// How long everything may take to be settled once the faults are over.
    pub(crate) patience: Duration,
    base: Base,
    pub(crate) watch: Watch,
    cuts: Vec<(Option<u32>, Instant, Instant)>,
    /// Where actors connect, from now on.
    pub(crate) url: String,
    /// What actors have in their environment, from now on.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// Whether the server may lose what it confirmed, see [`Lost`].
    pub(crate) lossy: bool,
    /// Whether commits arrive so late that the positions they store go back. Kafka takes one of a member that is still in
    /// the group, whatever came between; the next commit mends it.
    pub(crate) late_commits: bool,
    /// What it lost, once it was judged.
    pub(crate) lost: Lost,
    /// What was in the log, as far as the test has to know it because records are removed: see [`Stage::remember`].
    pub(crate) known: BTreeMap<Place, Logged>,
    /// What of that was removed before anybody got it, once it was judged.
    pub(crate) unread: Vec<Logged>,
    /// Changes what publishers and consumers do before they start.
    pub(crate) tune_produce: fn(&mut Produce),
    pub(crate) tune_consume: fn(&mut Consume),
}

impl<'a> Stage<'a> {
    /// Makes the topic.
    pub(crate) async fn open(test: &'a Test, server: &'a Server) -> Result<Self, Failure> {
        let bus = server.observer().await?;
        let (topic, group) = ("orders".to_owned(), "billing".to_owned());
        bus.ensure_topics([TopicSpec::new(&*topic).partitions(PARTITIONS)])
            .await?;
        let watch = Watch::start(bus.clone(), group.clone(), topic.clone());
        Ok(Self {
            test,
            server,
            bus,
            hops: vec![(topic.clone(), group.clone())],
            topic,
            group,
            actors: Vec::new(),
            rate: 0,
            patience: DRAIN,
            base: Base::new(),
            watch,
            cuts: Vec::new(),
            url: server.url(),
            environment: Vec::new(),
            lossy: false,
            late_commits: false,
            lost: Lost::default(),
            known: BTreeMap::new(),
            unread: Vec::new(),
            tune_produce: |_| {},
            tune_consume: |_| {},
        })
    }
    /// A member (`None`: any) may lose its partitions without asking for it, from then until now and one session more:
    /// it was frozen or cut off.
    pub(crate) fn may_lose(&mut self, member: Option<u32>, from: Instant) {
        let slack = self.server.session() * 2 + Duration::from_secs(2);
        self.cuts.push((member, from, Instant::now() + slack));
    }
    /// The usual cast: two publishers of this rate together, three consumers.
    pub(crate) async fn cast(&mut self, rate: u32) -> Result<(), Failure> {
        for _ in 0..3 {
            self.consume()?;
        }
        self.all_own().await?;
        for _ in 0..2 {
            self.produce(rate / 2)?;
        }
        Ok(())
    }
    /// Starts a publisher; returns its number.
    pub(crate) fn produce(&mut self, rate: u32) -> Result<u32, Failure> {
        let mut role = Produce {
            rate,
            ..Produce::new(&self.topic, PARTITIONS)
        };
        (self.tune_produce)(&mut role);
        self.publish_as(role)
    }
    /// Starts a publisher with this role; returns its number.
    pub(crate) fn publish_as(&mut self, role: Produce) -> Result<u32, Failure> {
        self.rate += role.rate;
        self.start(Role::Produce(role))
    }
    /// A key of that kind (`actor/habit.rs`) that lies in this partition.
    pub(crate) fn key_in(&self, partition: u32, kind: &str) -> String {
        let here = |key: &String| {
            bus::partition::Partitioner::Murmur2.partition(key.as_bytes(), PARTITIONS) == partition
        };
        // There is one in four.
        (0u64..)
            .map(|n| format!("{kind}-{n}"))
            .find(here)
            .unwrap_or_default()
    }
    /// Publishes one message of this key around the proxy, on record like those of the publishers; returns its id.
    pub(crate) async fn send(&self, key: &str, counter: u64) -> Result<String, Failure> {
        let recorder = Recorder::open(&self.host())?;
        let id = format!("{key}:{counter}");
        recorder.write(Entry::Intent { id: id.clone() });
        let message = Message::new(payload::encode(&id, 0)).keyed(key.to_owned());
        self.bus.publish_message(&self.topic, message).await?;
        recorder.write(Entry::Stored { id: id.clone() });
        Ok(id)
    }
    fn host(&self) -> PathBuf {
        self.test.dir.join("host.record")
    }
    /// Who owns what in the stage's topic, by the members' ids.
    pub(crate) async fn owners(&self) -> Result<BTreeMap<String, BTreeSet<u32>>, Failure> {
        let spec = self.bus.admin().group(&self.group).await?;
        let of = |partitions: Vec<(Name, u32)>| partitions.into_iter().map(|(_, p)| p).collect();
        Ok(spec
            .members
            .into_iter()
            .map(|m| (m.id, of(m.partitions)))
            .collect())
    }
    /// Starts a member of the group; returns its number.
    pub(crate) fn consume(&mut self) -> Result<u32, Failure> {
        let mut role = Consume::new(&self.topic, &self.group);
        (self.tune_consume)(&mut role);
        self.start(Role::Consume(role))
    }
    /// Starts anybody; returns its number.
    pub(crate) fn start(&mut self, role: Role) -> Result<u32, Failure> {
        let number = self.actors.len() as u32;
        let spec = Spec {
            url: self.url.clone(),
            environment: self.environment.clone(),
            number,
            seed: self.test.seed.wrapping_mul(1_000).wrapping_add(u64::from(number)),
            record: self.test.dir.join(format!("{number}.record")),
            role,
        };
        self.actors.push(Actor::start(spec)?);
        Ok(number)
    }
    /// Waits until every partition has an owner among the members.
    pub(crate) async fn all_own(&self) -> Result<(), Failure> {
        for (_, group) in &self.hops {
            self.owned(group).await?;
        }
        Ok(())
    }
    async fn owned(&self, group: &str) -> Result<(), Failure> {
        let admin = self.bus.admin();
        until(
            "every partition has an owner",
            Duration::from_secs(60),
            || async {
                match admin.group(group).await {
                    Ok(spec) => {
                        let owned: usize = spec.members.iter().map(|m| m.partitions.len()).sum();
                        (owned == PARTITIONS as usize)
                            .then_some(())
                            .ok_or(format!("{:?}", spec.members))
                    }
                    Err(error) => Err(error.to_string()),
                }
            },
        )
        .await
    }
    /// Waits until the partitions are shared among as many members as live: nothing moves any more by itself. Who owns what.
    pub(crate) async fn all_share(&self) -> Result<BTreeMap<String, BTreeSet<u32>>, Failure> {
        let (members, seen) = (self.members().len(), Mutex::default());
        let least = PARTITIONS as usize / members.max(1);
        until("every member has its share", Duration::from_secs(60), || async {
            let owners = self.owners().await.map_err(|e| e.to_string())?;
            let shared = owners.len() == members
                && owners.values().map(BTreeSet::len).sum::<usize>() == PARTITIONS as usize
                && owners
                    .values()
                    .all(|own| (least..=least + 1).contains(&own.len()));
            *seen.lock() = owners;
            shared.then_some(()).ok_or_else(|| format!("{:?}", seen.lock()))
        })
        .await?;
        Ok(seen.into_inner())
    }
    /// The numbers of the living members of the group.
    pub(crate) fn members(&self) -> Vec<u32> {
        self.living(|role| matches!(role, Role::Consume(_)))
    }
    /// The numbers of the living publishers.
    pub(crate) fn publishers(&self) -> Vec<u32> {
        self.living(|role| matches!(role, Role::Produce(_)))
    }
    fn living(&self, of: impl Fn(&Role) -> bool) -> Vec<u32> {
        let living = self.actors.iter().filter(|a| a.is_alive() && of(&a.spec.role));
        living.map(|a| a.spec.number).collect()
    }
    pub(crate) fn actor(&mut self, number: u32) -> &mut Actor {
        &mut self.actors[number as usize]
    }
    /// Kills an actor.
    pub(crate) fn kill(&mut self, number: u32) -> Result<(), Failure> {
        self.actor(number).kill()
    }
    /// Kills a member at random and starts another in its place; returns the number of the killed one.
    pub(crate) fn replace_a_member(&mut self) -> Result<u32, Failure> {
        let members = self.members();
        let member = members[self.test.random(0..=members.len() as u64 - 1) as usize];
        self.kill(member)?;
        self.consume()?;
        Ok(member)
    }
    /// Kills a publisher and starts another in its place, which publishes what the first one would have.
    pub(crate) fn replace_a_publisher(&mut self, number: u32) -> Result<(), Failure> {
        self.kill(number)?;
        let actor = self.actor(number);
        let Role::Produce(mut role) = actor.spec.role.clone() else {
            return Ok(());
        };
        if let Some(count) = role.count {
            let lines = crate::record::read(&actor.spec.record, true)?;
            let sent = lines
                .iter()
                .filter(|l| matches!(l.what, Entry::Intent { .. }))
                .count() as u64;
            role.count = Some(count.saturating_sub(sent));
        }
        self.start(Role::Produce(role))?;
        Ok(())
    }
    /// Forgets publishers that have sent all they were to send.
    pub(crate) fn bury_the_done(&mut self) -> Result<(), Failure> {
        for actor in &mut self.actors {
            if matches!(&actor.spec.role, Role::Produce(p) if p.count.is_some())
                && actor.look()? == Some(true)
            {
                actor.bury();
            }
        }
        Ok(())
    }
    /// Starts another member for each that ended by itself, as if it had been killed; returns how many.
    pub(crate) fn revive(&mut self) -> Result<usize, Failure> {
        let mut ended = 0;
        for number in self.members() {
            if self.actor(number).look()?.is_some() {
                self.kill(number)?;
                self.consume()?;
                ended += 1;
            }
        }
        Ok(ended)
    }
    /// Fails when an actor has ended that nobody ended; looks at their memory too.
    pub(crate) fn look(&mut self) -> Result<(), Failure> {
        for actor in &mut self.actors {
            if actor.is_alive()
                && let Some(well) = actor.look()?
                && !(well && matches!(&actor.spec.role, Role::Produce(p) if p.count.is_some()))
            {
                let errors =
                    std::fs::read_to_string(actor.spec.record.with_extension("err")).unwrap_or_default();
                let last = errors.lines().last().unwrap_or("it left no word");
                let number = actor.spec.number;
                return Err(Failure::new(format_args!(
                    "actor {number} ended by itself: {last}"
                )));
            }
        }
        Ok(())
    }
    /// Ends all publishers in order, waits until the group has settled everything, ends the consumers in order.
    pub(crate) async fn drain(&mut self) -> Result<Duration, Failure> {
        self.look()?;
        self.end(self.publishers()).await?;
        let since = Instant::now();
        self.settled(self.patience).await?;
        let took = since.elapsed();
        self.end(self.members()).await?;
        self.settled(Duration::from_secs(10)).await?;
        Ok(took)
    }
    /// Ends actors in order.
    pub(crate) async fn end(&mut self, numbers: Vec<u32>) -> Result<(), Failure> {
        for number in &numbers {
            self.actor(*number).stop()?;
        }
        for number in numbers {
            self.actor(number).ended(END).await?;
        }
        Ok(())
    }
    /// Waits until the group's stored positions are at the ends of the partitions.
    async fn settled(&self, limit: Duration) -> Result<(), Failure> {
        for (topic, group) in &self.hops {
            self.hop_settled(topic, group, limit).await?;
        }
        Ok(())
    }
    async fn hop_settled(&self, topic: &str, group: &str, limit: Duration) -> Result<(), Failure> {
        let admin = self.bus.admin();
        until("the group has settled everything", limit, || async {
            match admin.lag(group).await {
                Ok(lag) => {
                    let of = || lag.iter().filter(|l| *l.topic == *topic);
                    let done = of().count() == PARTITIONS as usize && of().all(|l| l.behind == 0);
                    done.then_some(()).ok_or_else(|| format!("{lag:?}"))
                }
                Err(error) => Err(error.to_string()),
            }
        })
        .await
    }
    /// Ends everything in order, and checks what always holds.
    /// # Errors
    /// The first promise that was not kept.
    pub(crate) async fn finish(&mut self) -> Result<Numbers, Failure> {
        let drained = self.drain().await?;
        let mut numbers = self.judge().await?;
        numbers.add("drained in", format_args!("{:.1} s", drained.as_secs_f64()));
        let peak = self.actors.iter().map(|a| a.peak).max().unwrap_or(0);
        if peak > 0 {
            numbers.add("memory", format_args!("{} MiB", peak / 1024));
        }
        if peak > MEMORY {
            return Err(Failure::new(format_args!(
                "an actor held {} MiB of memory",
                peak / 1024
            )));
        }
        Ok(numbers)
    }
    /// Checks what always holds, of what was recorded so far.
    pub(crate) async fn judge(&mut self) -> Result<Numbers, Failure> {
        let mut evidence = self.evidence()?;
        let mut log = observer::log(&self.bus, &self.topic).await?;
        self.put_back(&evidence, &mut log);
        if self.lossy {
            self.lost = Lost::take(&mut evidence, &log);
        }
        let dead = self.dead_letters().await?;
        // What is lost takes stored positions back with it.
        let stored = if self.lossy { Vec::new() } else { self.watch.seen() };
        let mut numbers = Numbers::default();
        judge(
            &Case {
                evidence: &evidence,
                log: &log,
                dead: &dead,
                unread: &self.unread,
                kills: &self.kills(),
                cuts: &self.cuts,
                stored: &stored,
                may_go_back: self.late_commits,
                in_flight: 256,
                // A commit that is due, and one that waits for a rebalance in progress.
                unstored: (f64::from(self.rate) * (COMMIT + self.server.session()).as_secs_f64()) as usize,
            },
            &mut numbers,
        )?;
        Ok(numbers)
    }
    /// The group's dead letters.
    pub(crate) async fn dead_letters(&self) -> Result<Vec<Logged>, Failure> {
        let name = format!("{}.{}.dlq", self.topic, self.group);
        if !self.bus.admin().topics().await?.iter().any(|t| *t.name == *name) {
            return Ok(Vec::new());
        }
        observer::log(&self.bus, &name).await
    }
    /// What was recorded so far.
    pub(crate) fn evidence(&self) -> Result<Evidence, Failure> {
        let mine = self.actors.iter().filter(|a| a.spec.topic() == self.topic);
        let file = |a: &Actor| File {
            number: a.spec.number,
            path: a.spec.record.clone(),
            killed: a.killed.is_some(),
        };
        let mut files: Vec<_> = mine.map(file).collect();
        // Nothing is torn for ever, but who is alive may be in the middle of a line.
        files
            .iter_mut()
            .for_each(|f| f.killed |= self.actors[f.number as usize].is_alive());
        files.push(File {
            number: u32::MAX,
            path: self.host(),
            killed: true,
        });
        Evidence::gather(&files, self.base)
    }
    /// The members that were killed.
    pub(crate) fn kills(&self) -> Vec<Interruption> {
        let kill = |a: &Actor| {
            Some(Interruption {
                at: a.killed?,
                member: a.spec.number,
                partition: None,
            })
        };
        self.actors
            .iter()
            .filter(|a| matches!(a.spec.role, Role::Consume(_)))
            .filter_map(kill)
            .collect()
    }
}

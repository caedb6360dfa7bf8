//! What an application asks of a running subscription: pause, go on, seek, read a range, tell of partitions; patterns.

use crate::{
    Delivery, ErrorKind, Message, Notice, Raw, Start, Subscription, Topic,
    conformance::{
        Failure, History, Lab, Proof,
        lab::Feed,
        member::{Act, Member, Seen, payloads},
        work::{messages, names, unkeyed},
    },
};
use bytes::Bytes;
use futures_util::FutureExt;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use tokio::sync::Semaphore;

type Reading = Subscription<Bytes, Raw>;

/// The next `count`, acknowledged, with their positions.
async fn read(lab: &Lab, reader: &mut Reading, count: usize) -> Result<Vec<(u32, u128, String)>, Failure> {
    let mut read = Vec::with_capacity(count);
    let look = |d: &Delivery<Bytes>| {
        read.push((
            d.partition(),
            d.position(),
            String::from_utf8_lossy(d).into_owned(),
        ));
        Ok(())
    };
    lab.each(reader, count, look).await?;
    Ok(read)
}

fn sorted(mut read: Vec<(u32, u128, String)>) -> Vec<String> {
    read.sort();
    let mut names: Vec<_> = read.into_iter().map(|(.., name)| name).collect();
    names.sort();
    names
}

pub(crate) async fn a_paused_subscription_is_silent(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let mut reader = lab.join(lab.subscribe(&bus, &topic, &lab.group("g"))).await?;
    lab.store(&bus, topic.name(), unkeyed("first", 4, 40)).await?;
    let before = read(lab, &mut reader, 4).await?;
    reader.control().pause();
    let second = unkeyed("second", 4, 40);
    lab.store(&bus, topic.name(), second.clone()).await?;
    // Another group has it all, so it is there to be had.
    let mut other = lab.join(lab.subscribe(&bus, &topic, &lab.group("other"))).await?;
    read(lab, &mut other, 80).await?;
    ensure!(
        reader.next().now_or_never().is_none(),
        "a paused subscription handed something out"
    );
    let paused: Vec<_> = reader.control().assignment().iter().map(|o| o.paused).collect();
    ensure_eq!(
        paused,
        [true; 4],
        "whether the four partitions say that they are paused"
    );
    reader.control().resume();
    let after = read(lab, &mut reader, 76).await?;
    let all = before.into_iter().chain(after).collect();
    let mut expected = names(&unkeyed("first", 4, 40));
    expected.extend(names(&second));
    ensure_eq!(sorted(all), expected, "what came before the pause and after it");
    let third = unkeyed("third", 4, 40);
    lab.store(&bus, topic.name(), third.clone()).await?;
    let third_read = sorted(read(lab, &mut reader, 40).await?);
    ensure_eq!(third_read, names(&third), "what was published after it went on");
    Ok(())
}

pub(crate) async fn a_paused_partition_lets_others_go_on(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let mut reader = lab.join(lab.subscribe(&bus, &topic, &lab.group("g"))).await?;
    let control = reader.control();
    control.pause_partition(topic.name(), 2)?;
    let unknown = control.pause_partition("another", 0).map_err(|e| e.kind());
    ensure_eq!(
        unknown,
        Err(ErrorKind::Invalid),
        "pausing a topic that is not subscribed to"
    );
    lab.store(&bus, topic.name(), unkeyed("m", 4, 200)).await?;
    let others = read(lab, &mut reader, 150).await?;
    ensure!(
        others.iter().all(|(partition, ..)| *partition != 2),
        "a paused partition handed something out"
    );
    ensure!(
        reader.next().now_or_never().is_none(),
        "there is nothing else to hand out"
    );
    control.resume_partition(topic.name(), 2)?;
    let rest = read(lab, &mut reader, 50).await?;
    ensure!(
        rest.iter().all(|(partition, ..)| *partition == 2)
            && rest.is_sorted_by_key(|(_, position, _)| *position),
        "after it went on, the partition's messages come in log order: {rest:?}"
    );
    lab.store(&bus, topic.name(), unkeyed("later", 4, 20)).await?;
    let later = read(lab, &mut reader, 20).await?;
    ensure_eq!(
        sorted(later),
        names(&unkeyed("later", 4, 20)),
        "what was published after it went on"
    );
    Ok(())
}

pub(crate) async fn a_seek_reads_again(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let group = lab.group("g");
    lab.store(&bus, topic.name(), unkeyed("m", 4, 40)).await?;
    let mut reader = lab.join(lab.subscribe(&bus, &topic, &group)).await?;
    let mut first: BTreeMap<u32, Vec<_>> = BTreeMap::new();
    for (partition, position, name) in read(lab, &mut reader, 40).await? {
        first.entry(partition).or_default().push((position, name));
    }
    let control = reader.control();
    lab.within("storing what was acknowledged", control.flush())
        .await??;
    // From its fourth message on, one partition comes again; the others stay where they are.
    let from = first[&1][3].0;
    let to = Start::Positions(BTreeMap::from([(1, from)]));
    lab.within("seeking", control.seek_partition(topic.name(), 1, to))
        .await??;
    let again = read(lab, &mut reader, 7).await?;
    let expected: Vec<_> = first[&1][3..].iter().map(|(p, n)| (1, *p, n.clone())).collect();
    ensure_eq!(
        again,
        expected,
        "what came after a seek of partition 1 to its fourth message"
    );
    // All of them.
    lab.within("seeking", control.seek(Start::Earliest)).await??;
    let all = read(lab, &mut reader, 20).await?;
    lab.within("storing what was acknowledged", control.flush())
        .await??;
    lab.within("closing", reader.close()).await??;
    // What was sought is what the group resumes from.
    let mut reader = lab.join(lab.subscribe(&bus, &topic, &group)).await?;
    let rest = lab.rest(&bus, &topic, &mut reader).await?;
    let mut together: Vec<_> = all
        .into_iter()
        .map(|(.., name)| name)
        .chain(payloads(&rest))
        .collect();
    together.sort();
    ensure_eq!(
        together,
        names(&unkeyed("m", 4, 40)),
        "what came after a seek to the beginning, across a restart"
    );
    drop(rest);
    let nobody = lab.join(lab.subscribe(&bus, &topic, &lab.group("idle"))).await?;
    let unknown = nobody
        .control()
        .seek_partition(topic.name(), 9, Start::Earliest)
        .await;
    ensure_eq!(
        unknown.map_err(|e| e.kind()),
        Err(ErrorKind::Invalid),
        "seeking in a partition that is not owned"
    );
    Ok(())
}

pub(crate) async fn a_loaded_state_is_told(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    lab.store(&bus, topic.name(), messages(50, 400)).await?;
    for observer in [true, false] {
        let seen = Arc::new(Mutex::new(BTreeSet::new()));
        let subscribe = match observer {
            true => bus.observe(&topic),
            false => lab.subscribe(&bus, &topic, &lab.group("g")),
        };
        let reader = lab.join(subscribe).await?;
        let (control, into) = (reader.control(), seen.clone());
        let last = Arc::new(Semaphore::new(0));
        let hold = last.clone();
        let task = tokio::spawn(reader.for_each(4, move |delivery| {
            let (into, hold) = (into.clone(), hold.clone());
            async move {
                // So that handing out and handling are told apart.
                if &**delivery == b"k49:7" {
                    let _ = hold.acquire().await;
                }
                into.lock().insert(delivery.payload().map(<[u8]>::to_vec));
                delivery.ack();
            }
        }));
        let mut caught_up = pin!(control.caught_up());
        let others = lab.poll("all but one are handled", || async {
            Ok(seen.lock().len() == 399)
        });
        tokio::select! {
            early = &mut caught_up => {
                early?;
                return Err(Failure::new("the state was said to be loaded while a message was being handled"));
            }
            handled = others => handled?,
        }
        last.add_permits(1);
        lab.within("catching up", caught_up).await??;
        ensure_eq!(
            seen.lock().len(),
            400,
            "messages handled when the state was said to be loaded"
        );
        let caught_up: Vec<_> = control.assignment().iter().map(|o| o.caught_up).collect();
        ensure_eq!(
            caught_up,
            [true; 4],
            "whether the four partitions say that they have caught up"
        );
        lab.within("draining", control.drain(lab.patience())).await??;
        lab.within("the end", task).await???;
    }
    Ok(())
}

pub(crate) async fn a_range_is_replayed_and_ends(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let group = lab.group("g");
    lab.store(&bus, topic.name(), unkeyed("m", 4, 200)).await?;
    let mut live = lab.join(lab.subscribe(&bus, &topic, &group)).await?;
    let all = read(lab, &mut live, 100).await?;
    let all: Vec<_> = all.into_iter().chain(read(lab, &mut live, 100).await?).collect();
    lab.within("storing", live.flush()).await??;
    let lag = || async { bus.admin().lag(&group).await };
    let before = lag().await?;
    // To the end that is there, and not to what comes after.
    let replay = lab.join(bus.observe(&topic).until(Start::Latest)).await?;
    lab.store(&bus, topic.name(), unkeyed("late", 4, 40)).await?;
    ensure_eq!(
        lab.until_end(replay).await?,
        names(&unkeyed("m", 4, 200)),
        "a replay to the end"
    );
    // Positions 10 to 20 of each partition.
    let mut places: BTreeMap<u32, Vec<(u128, String)>> = BTreeMap::new();
    for (partition, position, name) in all {
        places.entry(partition).or_default().push((position, name));
    }
    let at = |n: usize| Start::Positions(places.iter().map(|(p, all)| (*p, all[n].0)).collect());
    let replay = lab.join(bus.observe(&topic).start(at(10)).until(at(20))).await?;
    let mut expected: Vec<_> = places
        .values()
        .flat_map(|all| all[10..20].iter().map(|(_, name)| name.clone()))
        .collect();
    expected.sort();
    ensure_eq!(
        lab.until_end(replay).await?,
        expected,
        "a replay of ten messages of each partition"
    );
    let empty = lab.join(bus.observe(&topic).start(at(20)).until(at(20))).await?;
    ensure_eq!(
        lab.until_end(empty).await?,
        Vec::<String>::new(),
        "a replay of nothing"
    );
    ensure_eq!(
        lag().await?.iter().map(|l| l.position).collect::<Vec<_>>(),
        before.iter().map(|l| l.position).collect::<Vec<_>>(),
        "the live group's positions"
    );
    let group = bus.subscribe(&topic, &group).until(Start::Latest).await;
    ensure_eq!(
        group.map(|_| ()).map_err(|e| e.kind()),
        Err(ErrorKind::Invalid),
        "an end for a group"
    );
    Ok(())
}

impl Lab {
    /// The payloads until the subscription ends by itself, sorted.
    pub(crate) async fn until_end(&self, mut reader: Reading) -> Result<Vec<String>, Failure> {
        let mut all = Vec::new();
        while let Some(delivery) = self.within("the next message or the end", reader.next()).await? {
            let delivery = delivery?;
            all.push(String::from_utf8_lossy(&delivery).into_owned());
            delivery.ack();
        }
        all.sort();
        Ok(all)
    }
    /// A subscription that keeps what it was told.
    async fn told(
        &self,
        topic: &Feed,
        group: &str,
        history: &Arc<History>,
        member: u32,
    ) -> Result<(Member, Arc<Mutex<Told>>), Failure> {
        let bus = self.bus().await?;
        let told = Arc::new(Mutex::new(Told::default()));
        let (hear, look) = (told.clone(), told.clone());
        let subscribe = self.subscribe(&bus, topic, group).on_notice(move |notice| {
            let hear = hear.clone();
            async move {
                // Slow, so that what is delivered too early would be seen.
                tokio::time::sleep(Duration::from_millis(50)).await;
                hear.lock().hear(&notice);
            }
        });
        let handler = move |seen: Seen| {
            let look = look.clone();
            async move {
                look.lock().saw(seen.place.partition);
                Act::Ack
            }
        };
        Ok((self.member(subscribe, (member, 4), history, handler).await?, told))
    }
}

/// What a member was told about partitions, and what it saw of them.
#[derive(Debug, Default)]
struct Told {
    owned: BTreeSet<u32>,
    gained: usize,
    lost: usize,
    wrong: Vec<String>,
}

impl Told {
    fn hear(&mut self, notice: &Notice) {
        match notice {
            Notice::Gained { partition, .. } => {
                self.gained += 1;
                if !self.owned.insert(*partition) {
                    self.wrong.push(format!("partition {partition} was gained twice"));
                }
            }
            Notice::Lost { partition, .. } => {
                self.lost += 1;
                if !self.owned.remove(partition) {
                    self.wrong
                        .push(format!("partition {partition} was lost and not gained"));
                }
            }
            _ => {}
        }
    }
    fn saw(&mut self, partition: u32) {
        if !self.owned.contains(&partition) {
            self.wrong.push(format!(
                "a message of partition {partition} came before it was told"
            ));
        }
    }
}

pub(crate) async fn gained_and_lost_are_told(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let (group, history) = (lab.group("g"), Arc::new(History::default()));
    let publishing = lab.publish_steadily(&bus, topic.name(), &history, 20);
    let (first, of_first) = lab.told(&topic, &group, &history, 0).await?;
    let all = || async { Ok(of_first.lock().owned.len() == 4) };
    lab.poll("the first member was told of four partitions", all)
        .await?;
    let (second, of_second) = lab.told(&topic, &group, &history, 1).await?;
    let shared = || async { Ok(of_first.lock().owned.len() == 2 && of_second.lock().owned.len() == 2) };
    lab.poll("each of two members was told of its two partitions", shared)
        .await?;
    publishing.stop().await?;
    let done = |h: &History| h.tally().acked == h.tally().published;
    lab.until(&history, "everything is acknowledged", done).await?;
    first.close(lab).await?;
    second.close(lab).await?;
    for told in [of_first, of_second] {
        let told = told.lock();
        ensure!(told.wrong.is_empty(), "{:?}", told.wrong);
        ensure_eq!(told.gained, told.lost, "partitions gained, and lost by the end");
    }
    Ok(())
}

pub(crate) async fn a_pattern_finds_topics(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let (first, second) = (
        lab.topic(&bus, "in.a", 4).await?,
        lab.topic(&bus, "in.b", 2).await?,
    );
    let other = lab.topic(&bus, "out.a", 4).await?;
    lab.topic(&bus, "in.a.g.dlq", 4).await?;
    for (topic, name) in [(&first, "a"), (&second, "b"), (&other, "o")] {
        lab.store(&bus, topic.name(), unkeyed(name, 2, 20)).await?;
    }
    lab.store(&bus, &lab.name("in.a.g.dlq"), unkeyed("d", 2, 20))
        .await?;
    let pattern: Feed = Topic::named(lab.name("in.*"));
    let group = lab.group("g");
    let subscribe = bus
        .subscribe_pattern(&pattern, &group)
        .no_dead_letters()
        .look_every(Duration::from_millis(200));
    let mut reader = lab.join(subscribe).await?;
    let from = |name: &str| names(&unkeyed(name, 2, 20));
    let found = sorted(read(lab, &mut reader, 40).await?);
    ensure_eq!(
        found,
        [from("a"), from("b")].concat(),
        "what matches at the beginning"
    );
    // One appears, with messages from before it was found; what was there goes on where it was.
    let third = lab.topic(&bus, "in.c", 4).await?;
    lab.store(&bus, third.name(), unkeyed("c", 2, 20)).await?;
    lab.store(&bus, first.name(), unkeyed("more", 2, 20)).await?;
    let mut both: Vec<(String, String)> = Vec::new();
    lab.each(&mut reader, 40, |d| {
        both.push((d.topic().to_owned(), String::from_utf8_lossy(d).into_owned()));
        Ok(())
    })
    .await?;
    both.sort();
    let expected = |topic: &Feed, name: &str| {
        from(name)
            .into_iter()
            .map(|n| (topic.name().to_owned(), n))
            .collect()
    };
    let expected: [Vec<_>; 2] = [expected(&first, "more"), expected(&third, "c")];
    ensure_eq!(both, expected.concat(), "what came after another topic appeared");
    // One is deleted, and the others go on.
    lab.within("deleting", bus.admin().delete(second.name()))
        .await??;
    lab.store(&bus, third.name(), unkeyed("last", 2, 20)).await?;
    let last = sorted(read(lab, &mut reader, 20).await?);
    ensure_eq!(last, from("last"), "what came after a topic was deleted");
    let refused = bus.subscribe_pattern(&Feed::named("in/*"), &group).await;
    ensure_eq!(
        refused.map(|_| ()).map_err(|e| e.kind()),
        Err(ErrorKind::Invalid),
        "a pattern that no topic can match"
    );
    lab.within("closing", reader.close()).await??;
    let mut reader = lab.join(lab.subscribe(&bus, &third, &group)).await?;
    lab.store(&bus, third.name(), vec![Message::new("end").to_partition(0)])
        .await?;
    let rest = read(lab, &mut reader, 1).await?;
    ensure_eq!(rest[0].2, "end", "what comes to the group after a graceful close");
    Ok(())
}

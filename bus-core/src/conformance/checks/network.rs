//! A way to the server that is cut, reset, or loses a word: everybody goes on by himself, nothing is lost, and nothing
//! is stored twice.

use crate::{
    Bus, Message, Order, Topic,
    conformance::{
        Failure, History, Lab, Proof, checkers,
        lab::Feed,
        member::{Act, Member},
        work::{Steady, id_of, key_of, keyed},
    },
};
use std::{collections::HashMap, sync::Arc, time::Duration};

/// How long the network is cut: longer than a session, so that partitions have to be taken anew. `BUS_TEST_CUT` says
/// otherwise, in seconds.
fn cut(lab: &Lab) -> Duration {
    let given = std::env::var("BUS_TEST_CUT")
        .ok()
        .and_then(|seconds| seconds.parse().ok());
    given.map_or(
        lab.harness().session() + Duration::from_secs(2),
        Duration::from_secs,
    )
}

/// Two members and a publisher at work.
pub(crate) struct Load {
    pub(crate) bus: Bus,
    pub(crate) topic: Feed,
    pub(crate) history: Arc<History>,
    members: Vec<Member>,
    steady: Steady,
}

impl Load {
    pub(crate) async fn start(lab: &Lab) -> Result<Self, Failure> {
        let (bus, other) = (lab.bus().await?, lab.bus().await?);
        let topic = lab.topic(&bus, "t", 4).await?;
        let (history, group) = (Arc::new(History::default()), lab.group("g"));
        let mut members = Vec::new();
        for (number, bus) in [&bus, &other].into_iter().enumerate() {
            // Slow enough for something to be out whenever something happens.
            let ack = |_| async {
                tokio::time::sleep(Duration::from_millis(10)).await;
                Act::Ack
            };
            let subscribe = lab.subscribe(bus, &topic, &group);
            members.push(lab.member(subscribe, (number as u32, 8), &history, ack).await?);
        }
        let steady = lab.publish_steadily(&bus, topic.name(), &history, 8);
        let load = Self {
            bus,
            topic,
            history,
            members,
            steady,
        };
        load.goes_on(lab, 100).await?;
        Ok(load)
    }
    /// Waits for so many more acks.
    pub(crate) async fn goes_on(&self, lab: &Lab, more: usize) -> Proof {
        let goal = self.history.tally().acked + more;
        let what = format!("{more} more messages are acknowledged");
        // The publisher goes on, so something always happens.
        let reached = self
            .history
            .reaches(|h| h.tally().acked >= goal || h.failure().is_some());
        lab.within_time(lab.takeover(), what, reached).await?;
        self.history
            .failure()
            .map_or(Ok(()), |failure| Err(Failure::new(failure)))
    }
    /// Waits for everything, and asks whether anything was lost, mixed up, or stored twice.
    pub(crate) async fn finish(self, lab: &Lab) -> Proof {
        self.goes_on(lab, 100).await?;
        self.steady.stop().await?;
        let done = |h: &History| h.tally().acked == h.tally().published;
        lab.until_for(lab.takeover(), &self.history, "everything is acknowledged", done)
            .await?;
        for member in self.members {
            member.close(lab).await?;
        }
        checkers::after_crashes(&self.history.happenings())?;
        let log = log_of(lab, &self.topic).await?;
        ensure_eq!(
            log.len(),
            self.history.tally().published,
            "messages in the log, sent again or not"
        );
        Ok(())
    }
}

/// Keys and payloads of everything that is stored, in the order of each partition.
pub(crate) async fn log_of(lab: &Lab, topic: &Feed) -> Result<Vec<(String, String)>, Failure> {
    let bus = lab.bus().await?;
    let mut reader = lab.join(bus.observe(topic).order(Order::None)).await?;
    let mut log = Vec::new();
    lab.drain_to_end(&bus, topic, &mut reader, |d| {
        let key = key_of(d.key()).map(|key| key.to_string());
        log.push((key.unwrap_or_default(), id_of(d.payload()).to_string()));
        d.ack();
    })
    .await?;
    Ok(log)
}

pub(crate) async fn a_network_that_is_cut_comes_back(lab: &Lab) -> Proof {
    let cut = cut(lab);
    let lab = &lab.patient(cut);
    let load = Load::start(lab).await?;
    lab.server()?.cut();
    tokio::time::sleep(cut).await;
    lab.server()?.heal();
    load.finish(lab).await
}

pub(crate) async fn connections_that_are_reset_are_made_anew(lab: &Lab) -> Proof {
    let load = Load::start(lab).await?;
    for _ in 0..5 {
        lab.server()?.reset();
        load.goes_on(lab, 60).await?;
    }
    load.finish(lab).await
}

/// Publishes rounds of one and of ten messages, each after some harm, and compares the log with what was sent.
async fn rounds(lab: &Lab, count: usize, harm: impl Fn() -> Proof) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    for n in 0..count {
        harm()?;
        let keys = if n % 2 == 0 { 1 } else { 10 };
        let batch = (0..keys).map(|key| keyed(format_args!("k{key}"), n)).collect();
        lab.store(&bus, topic.name(), batch)
            .await
            .map_err(|f| f.context(format_args!("round {n}")))?;
    }
    let struck = || async { Ok(lab.server()?.struck() >= count) };
    lab.poll("every round was harmed", struck).await?;
    in_order_and_once(&log_of(lab, &topic).await?, count)
}

/// Each key has its rounds, once each and in order.
fn in_order_and_once(log: &[(String, String)], count: usize) -> Proof {
    let mut seen: HashMap<&str, Vec<&str>> = HashMap::new();
    for (key, payload) in log {
        seen.entry(key).or_default().push(payload);
    }
    for key in 0..10 {
        let key = format!("k{key}");
        let rounds = (0..count).filter(|n| n % 2 == 1 || key == "k0");
        let expected: Vec<_> = rounds.map(|n| format!("{key}:{n}")).collect();
        let stored = seen.remove(&*key).unwrap_or_default();
        ensure_eq!(stored, expected, "what is stored of key {key}");
    }
    ensure!(seen.is_empty(), "keys that nobody published: {seen:?}");
    Ok(())
}

pub(crate) async fn a_lost_reply_makes_no_duplicate(lab: &Lab) -> Proof {
    let server = lab.server()?;
    rounds(lab, 12, || {
        server.lose_replies(1);
        Ok(())
    })
    .await
}

pub(crate) async fn a_late_request_makes_no_duplicate(lab: &Lab) -> Proof {
    let server = lab.server()?;
    rounds(lab, 6, || {
        server.delay_request(Duration::from_millis(700));
        Ok(())
    })
    .await
}

/// A batch that was confirmed by a handle that may be too hasty for its first publishes on a slow machine.
async fn confirmed(
    lab: &Lab,
    bus: &Bus,
    topic: &Feed,
    batch: impl Fn(&str) -> Vec<Message>,
) -> Result<Vec<Message>, Failure> {
    let (mut turn, mut sent) = (0, Vec::new());
    lab.poll("a publish is confirmed while all is well", || {
        turn += 1;
        sent = batch(&format!("before{turn}."));
        let publish = bus.publish_batch(topic.name(), sent.clone());
        async { Ok(publish.await.iter().all(Result::is_ok)) }
    })
    .await?;
    Ok(sent)
}

pub(crate) async fn a_publish_that_times_out_is_honest(lab: &Lab) -> Proof {
    const LIMIT: Duration = Duration::from_secs(2);
    let hasty = lab.within("connecting", lab.server()?.hasty(LIMIT)).await??;
    let bus = lab.within("making a bus", Bus::new(hasty)).await??;
    let topic: Feed = Topic::named(lab.name("t")).partitions(4);
    lab.create(&bus, [topic.spec()]).await?;
    let batch = |name: &str| {
        (0..20)
            .map(|n| keyed(format_args!("{name}{n}"), 0))
            .collect::<Vec<_>>()
    };
    let before = confirmed(lab, &bus, &topic, batch).await?;
    lab.server()?.cut();
    let during = bus.publish_batch(topic.name(), batch("during"));
    let what = "the end of a publish that cannot be confirmed";
    let outcomes = lab.within_time(LIMIT + lab.takeover(), what, during).await?;
    let mut unknown = Vec::new();
    let mut not_stored = Vec::new();
    for (message, outcome) in batch("during").iter().zip(outcomes) {
        let id = id_of(message.payload.as_deref()).to_string();
        match outcome {
            Ok(outcome) => {
                return Err(Failure::new(format_args!(
                    "{id:?} was confirmed while nothing gets through: {outcome:?}"
                )));
            }
            Err(unsent) if unsent.is_unknown() => unknown.push(id),
            Err(_) => not_stored.push(id),
        }
    }
    lab.server()?.heal();
    // The handle is as good as before; what was under way arrives before this, or never.
    let mut after = 0;
    lab.poll("publishing works again", || {
        after += 1;
        let message = keyed(format_args!("after{after}"), 0);
        let publish = bus.publish_batch(topic.name(), vec![message]);
        async { Ok(publish.await.iter().all(Result::is_ok)) }
    })
    .await?;
    let late = || async {
        let log = log_of(lab, &topic).await?;
        let count = |id: &str| log.iter().filter(|(_, payload)| payload == id).count();
        if let Some(id) = not_stored.iter().find(|id| count(id) > 0) {
            return Err(Failure::new(format_args!(
                "{id:?} was said to be not stored, and is in the log"
            )));
        }
        if let Some(id) = unknown.iter().find(|id| count(id) > 1) {
            return Err(Failure::new(format_args!(
                "{id:?} is in the log {} times",
                count(id)
            )));
        }
        for message in &before {
            let id = id_of(message.payload.as_deref()).to_string();
            ensure_eq!(
                count(&id),
                1,
                "how often {id:?}, which was confirmed, is in the log"
            );
        }
        Ok(())
    };
    // Now, and once more when everything that was under way has had its time.
    late().await?;
    tokio::time::sleep(LIMIT).await;
    late().await
}

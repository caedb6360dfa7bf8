//! What callers put in and the task takes out.

use super::{
    call::Call,
    lane::{Form, Lane},
    routes::Route,
};
use crate::{Context, RedisConfig, topics::TopicInfo};
use bus_core::{Error, Message, Name, Unsent};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a topic's partitions are believed without asking again.
const FRESH: Duration = Duration::from_secs(5);
/// Messages without a key go to one partition for so long before the next gets some: packs stay large.
const RUN: u32 = 100;

/// Behind the publisher's lock.
#[derive(Debug)]
pub(crate) struct State {
    publisher: String,
    pub(crate) form: Form,
    topics: HashMap<Name, Topic>,
    pub(crate) lanes: Vec<Lane>,
    by_stream: HashMap<String, usize>,
    /// The nodes that they go to.
    pub(crate) routes: Vec<Route>,
    /// Topics to look up.
    pub(crate) unknown: Vec<Name>,
    pub(crate) closing: bool,
}

#[derive(Debug, Default)]
struct Topic {
    info: Option<Arc<TopicInfo>>,
    lanes: Vec<usize>,
    /// Taken before its partitions were known.
    early: Vec<(Vec<Message>, Arc<Call>)>,
    looked: Option<Instant>,
    looking: bool,
    spread: u32,
}

impl State {
    pub(crate) fn new(form: Form) -> Self {
        Self {
            publisher: uuid::Uuid::new_v4().simple().to_string(),
            form,
            topics: HashMap::new(),
            lanes: Vec::new(),
            by_stream: HashMap::new(),
            routes: Vec::new(),
            unknown: Vec::new(),
            closing: false,
        }
    }

    /// Takes a batch, in the order of calls.
    pub(crate) fn take(&mut self, config: &RedisConfig, name: &str, batch: Vec<Message>, call: Arc<Call>) {
        if !self.topics.contains_key(name) {
            self.topics.insert(name.into(), Topic::default());
        }
        let now = Instant::now();
        let Some((key, topic)) = self.topics.get_key_value(name) else {
            return;
        };
        let stale = topic.looked.is_none_or(|at| now.duration_since(at) > FRESH);
        if stale && !topic.looking {
            self.unknown.push(key.clone());
        }
        let Some(topic) = self.topics.get_mut(name) else {
            return;
        };
        topic.looking |= stale;
        match topic.info.clone() {
            Some(info) => self.route(config, &info, batch, &call, now),
            None => topic.early.push((batch, call)),
        }
    }

    fn route(
        &mut self,
        config: &RedisConfig,
        info: &Arc<TopicInfo>,
        batch: Vec<Message>,
        call: &Arc<Call>,
        now: Instant,
    ) {
        let Some(topic) = self.topics.get_mut(&info.name) else {
            return;
        };
        let mut lost: Vec<(usize, Error)> = Vec::new();
        for (index, message) in batch.iter().enumerate() {
            let index = index as u32;
            if let Err(error) = check(config, info, message) {
                call.settle(&[index], |_| Err(Unsent::not_stored(error.duplicate())));
                continue;
            }
            let partition = match (message.partition, &message.key) {
                (Some(partition), _) => partition,
                (None, Some(key)) => config.partitioner.partition(key, info.partitions),
                (None, None) => (topic.spread + index / RUN) % info.partitions,
            };
            let number = topic.lanes[partition as usize];
            let lane = &mut self.lanes[number];
            if let Some(error) = lane.lost.take() {
                lost.push((number, error));
            }
            if let Some((_, error)) = lost.iter().find(|(lane, _)| *lane == number) {
                call.settle(&[index], |_| Err(Unsent::not_stored(error.duplicate())));
                continue;
            }
            lane.push(message, call, index, now);
            if !lane.ready && lane.flying.is_none() {
                lane.ready = true;
                self.routes[lane.route].ready.push_back(number);
            }
        }
        topic.spread = (topic.spread + (batch.len() as u32).div_ceil(RUN)) % info.partitions;
    }

    /// The next lane of a route with something to send.
    pub(crate) fn next_ready(&mut self, route: usize) -> Option<usize> {
        let number = self.routes[route].ready.pop_front()?;
        self.lanes[number].ready = false;
        Some(number)
    }
    /// A lane's pack has landed; what waits behind it goes next.
    pub(crate) fn landed(&mut self, number: usize) {
        let lane = &mut self.lanes[number];
        if !lane.ready && lane.flying.is_none() && !lane.waiting.is_empty() {
            lane.ready = true;
            self.routes[lane.route].ready.push_back(number);
        }
    }

    /// A topic was looked up.
    pub(crate) fn resolved(&mut self, context: &Context, name: &Name, result: Result<Arc<TopicInfo>, Error>) {
        let (publisher, form, config) = (self.publisher.clone(), self.form, &context.config);
        // Where each partition belongs, before anything is borrowed.
        let info = result.as_ref().ok().cloned();
        let streams = info.map_or(Vec::new(), |info| info.streams());
        let nodes = streams.iter().map(|s| context.topology.node_of(s.as_bytes()));
        let routes: Vec<usize> = nodes.map(|node| self.route_to(node)).collect();
        let Some(topic) = self.topics.get_mut(name) else {
            return;
        };
        topic.looking = false;
        let early = std::mem::take(&mut topic.early);
        match result {
            Ok(info) => {
                topic.looked = Some(Instant::now());
                if topic.info.as_ref() != Some(&info) {
                    topic.lanes.clear();
                    for partition in 0..info.partitions {
                        let lanes = &mut self.lanes;
                        let number = *self.by_stream.entry(info.stream(partition)).or_insert_with(|| {
                            let route = routes[partition as usize];
                            lanes.push(Lane::new(&info, partition, &publisher, form, route));
                            lanes.len() - 1
                        });
                        topic.lanes.push(number);
                    }
                    topic.info = Some(info.clone());
                }
                let now = Instant::now();
                for (batch, call) in early {
                    self.route(config, &info, batch, &call, now);
                }
            }
            Err(error) => {
                if !error.is_transient() {
                    topic.info = None;
                }
                for (batch, call) in early {
                    let all: Vec<u32> = (0..batch.len() as u32).collect();
                    call.settle(&all, |_| Err(Unsent::not_stored(error.duplicate())));
                }
                if topic.info.is_none() {
                    self.topics.remove(name);
                }
            }
        }
    }

    /// A topic turned out to be gone: the next batch asks again.
    pub(crate) fn forget(&mut self, name: &Name) {
        if let Some(topic) = self.topics.get_mut(name) {
            topic.info = None;
            topic.looked = None;
        }
    }

    /// Whether nothing waits for anything.
    pub(crate) fn is_idle(&self) -> bool {
        self.lanes.iter().all(|lane| lane.since().is_none())
            && self.topics.values().all(|t| t.early.is_empty())
    }
}

fn check(config: &RedisConfig, info: &TopicInfo, message: &Message) -> Result<(), Error> {
    if let Some(partition) = message.partition.filter(|p| *p >= info.partitions) {
        let (name, partitions) = (&info.name, info.partitions);
        let sentence =
            format!("topic `{name}` has {partitions} partitions, there is no partition {partition}");
        return Err(Error::invalid(sentence));
    }
    if info.compact && message.key.is_none() {
        return Err(Error::invalid(format!(
            "topic `{}` is compacted: give each message a key",
            info.name
        )));
    }
    let size = message.size();
    if size > config.message_max {
        return Err(Error::too_large(&info.name, size, config.message_max));
    }
    Ok(())
}

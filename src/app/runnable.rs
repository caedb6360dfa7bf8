//! What an application can run.

use crate::{
    Bus,
    handler::{Consumer, Running, Scope},
    service::Service,
    worker::{Runner, Worker},
};
use async_trait::async_trait;
use bus_core::{Codec, Name, Result, TopicSpec, dead_letter_topic};
use std::panic::Location;

/// What is read, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reads {
    /// The topic.
    pub topic: Name,
    /// The group whose members share its partitions.
    pub group: Name,
    /// Where its dead letters go, if that follows from topic and group; a name that was chosen may be that of several.
    pub dead_letters: Option<Name>,
}

impl Reads {
    /// A topic read by a group.
    pub fn new(topic: impl Into<Name>, group: impl Into<Name>) -> Self {
        Self {
            topic: topic.into(),
            group: group.into(),
            dead_letters: None,
        }
    }
    /// Says where its dead letters go by this template.
    fn letters_by(mut self, template: Option<&str>) -> Self {
        let follows = |template: &&str| template.contains("{topic}") && template.contains("{group}");
        let name = |template: &str| dead_letter_topic(template, &self.topic, &self.group).ok();
        self.dead_letters = template.filter(follows).and_then(name);
        self
    }
}

/// What an [`App`](super::App) can run: a [worker](Runner), a [consumer](Consumer), a [service](Service), or something of
/// one's own.
#[async_trait]
pub trait Runnable: Send + 'static {
    /// What it is, in one word: `worker`, `consumer`.
    fn kind(&self) -> &'static str;
    /// By which it is found among its kind.
    fn name(&self) -> String;
    /// Where it was made in the program, for messages about it.
    fn place(&self) -> &'static Location<'static>;
    /// What it reads.
    fn reads(&self) -> Vec<Reads>;
    /// The topics that have to exist before it starts.
    fn topics(&self) -> Vec<TopicSpec>;
    /// Refuses settings that cannot be, before anything is asked of a broker.
    /// # Errors
    /// `Invalid`, with its name and place.
    fn check(&self) -> Result<()>;
    /// Sets how many messages are worked on at the same time.
    fn set_concurrency(&mut self, most: usize);
    /// Sets where its dead letters go unless it says so itself; may hold `{topic}` and `{group}`.
    fn default_dead_letter(&mut self, template: &str);
    /// Starts it.
    /// # Errors
    /// Why it cannot; nothing of it runs then.
    async fn start(self: Box<Self>, bus: &Bus) -> Result<Running>;
}

#[async_trait]
impl<W, C, O> Runnable for Runner<W, C, O>
where
    W: Worker<C, O>,
    C: Codec<W::Input>,
    O: Codec<W::Output>,
{
    fn kind(&self) -> &'static str {
        "worker"
    }
    fn name(&self) -> String {
        self.name().to_owned()
    }
    fn place(&self) -> &'static Location<'static> {
        self.place()
    }
    fn reads(&self) -> Vec<Reads> {
        let template = self.dead_letter_template().unwrap_or("{topic}.{group}.dlq");
        let reads = |(topic, group)| Reads::new(topic, group).letters_by(Some(template));
        self.source().into_iter().map(reads).collect()
    }
    fn topics(&self) -> Vec<TopicSpec> {
        self.topics()
    }
    fn check(&self) -> Result<()> {
        self.check()
    }
    fn set_concurrency(&mut self, most: usize) {
        self.set_concurrency(most);
    }
    fn default_dead_letter(&mut self, template: &str) {
        self.default_dead_letter(template);
    }
    async fn start(self: Box<Self>, bus: &Bus) -> Result<Running> {
        (*self).start(bus).await
    }
}

#[async_trait]
impl Runnable for Consumer {
    fn kind(&self) -> &'static str {
        "consumer"
    }
    fn name(&self) -> String {
        let topics: Vec<_> = self.topics().iter().map(|topic| &*topic.name).collect();
        format!("{} --group {}", topics.join(","), self.group())
    }
    fn place(&self) -> &'static Location<'static> {
        self.place()
    }
    fn reads(&self) -> Vec<Reads> {
        if self.scope() == Scope::Everyone {
            return Vec::new();
        }
        let template = self.dead_letter_template();
        let reads = |topic: &TopicSpec| Reads::new(topic.name.clone(), self.group()).letters_by(template);
        self.topics().iter().map(reads).collect()
    }
    fn topics(&self) -> Vec<TopicSpec> {
        match self.scope() {
            Scope::Matching => Vec::new(),
            _ => self.topics().to_vec(),
        }
    }
    fn check(&self) -> Result<()> {
        self.check()
    }
    fn set_concurrency(&mut self, most: usize) {
        self.set_concurrency(most);
    }
    fn default_dead_letter(&mut self, template: &str) {
        self.default_dead_letter(template);
    }
    async fn start(self: Box<Self>, bus: &Bus) -> Result<Running> {
        (*self).start(bus).await
    }
}

#[async_trait]
impl Runnable for Service {
    fn kind(&self) -> &'static str {
        "service"
    }
    fn name(&self) -> String {
        self.name().to_owned()
    }
    fn place(&self) -> &'static Location<'static> {
        self.place()
    }
    fn reads(&self) -> Vec<Reads> {
        let template = self.dead_letter_template();
        vec![Reads::new(self.name(), self.name()).letters_by(Some(template))]
    }
    fn topics(&self) -> Vec<TopicSpec> {
        vec![self.topic()]
    }
    fn check(&self) -> Result<()> {
        self.check_routed()
    }
    fn set_concurrency(&mut self, most: usize) {
        self.set_concurrency(most);
    }
    fn default_dead_letter(&mut self, template: &str) {
        self.default_dead_letter(template);
    }
    async fn start(self: Box<Self>, bus: &Bus) -> Result<Running> {
        Ok((*self).start(bus).await?.into_running())
    }
}

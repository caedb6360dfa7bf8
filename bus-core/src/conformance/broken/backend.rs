//! A backend that lets in whom it should not, or begins where it should not.

use super::{
    Fault,
    ack::BrokenAck,
    admin::BrokenAdmin,
    publisher::BrokenPublisher,
    shared::{Shared, Tracks},
    subscriber::{BrokenSubscriber, Idle, Late},
};
use crate::{
    Ack, Admin, Backend, Error, Limits, Publisher, Result, Scope, Source, Start, Subscriber, TopicSpec,
};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};

#[derive(Debug)]
pub(super) struct Broken {
    pub(super) inner: Arc<dyn Backend>,
    pub(super) shared: Arc<Shared>,
}

#[async_trait]
impl Backend for Broken {
    fn name(&self) -> &'static str {
        self.inner.name()
    }
    fn limits(&self) -> Limits {
        self.inner.limits()
    }
    async fn publisher(&self) -> Result<Arc<dyn Publisher>> {
        let (inner, admin) = (self.inner.publisher().await?, self.inner.admin());
        if self.shared.is(Fault::LeakConnections) {
            self.shared.state.lock().leaked.push(inner.clone());
        }
        Ok(Arc::new(BrokenPublisher {
            inner,
            admin,
            shared: self.shared.clone(),
            held: Mutex::new(Some(Vec::new())),
        }))
    }
    async fn subscribe(&self, mut source: Source) -> Result<(Box<dyn Subscriber>, Arc<dyn Ack>)> {
        let group = match &source.scope {
            Scope::Group(group) => Some(group.clone()),
            Scope::Everyone { .. } => None,
        };
        self.prepare(&mut source).await;
        if let (Fault::IdleSecond, Some(group)) = (self.shared.fault, &group) {
            let mut state = self.shared.state.lock();
            let members = state.members.entry(group.clone()).or_default();
            *members += 1;
            if *members > 1 {
                return Ok((Box::new(Idle), Arc::new(Idle)));
            }
        }
        if self.shared.is(Fault::ResolveLate) && group.is_none() && source.start == Start::Latest {
            let late = Late {
                backend: self.inner.clone(),
                source,
                inner: None,
            };
            return Ok((Box::new(late), Arc::new(Idle)));
        }
        let topics = source.topics.clone();
        let (subscriber, inner) = self
            .inner
            .subscribe(source)
            .await
            .map_err(|e| self.shared.error(e))?;
        let subscriber = match self.shared.is(Fault::LeaveMembers) {
            true => Forgotten::unless_taken(subscriber).await?,
            false => subscriber,
        };
        let shared = self.shared.clone();
        let tracks = Arc::new(Tracks {
            shared,
            group,
            topics,
            inner,
            seen: Default::default(),
        });
        let publisher = self.inner.publisher().await?;
        let subscriber = BrokenSubscriber::new(subscriber, tracks.clone());
        Ok((Box::new(subscriber), Arc::new(BrokenAck { tracks, publisher })))
    }
    fn admin(&self) -> Arc<dyn Admin> {
        Arc::new(BrokenAdmin {
            inner: self.inner.admin(),
            shared: self.shared.clone(),
        })
    }
    fn health(&self) -> Result<()> {
        self.inner.health()
    }
}

impl Broken {
    async fn prepare(&self, source: &mut Source) {
        match (self.shared.fault, &source.scope) {
            (Fault::StartAtEarliest, Scope::Group(_)) => source.start = Start::Earliest,
            (Fault::StartAtLatest, Scope::Group(_)) => source.start = Start::Latest,
            (Fault::OneGroup, Scope::Group(_)) => source.scope = Scope::Group("one-for-all".into()),
            (Fault::NoExclusion, Scope::Group(_)) => source.scope = Scope::Everyone { partitions: None },
            (Fault::ObserverGroup, Scope::Everyone { .. }) => {
                let mut state = self.shared.state.lock();
                state.observers += 1;
                let topic = source.topics.first().map_or("", |topic| topic);
                let name = format!("{topic}.observer-{}", state.observers);
                source.scope = Scope::Group(name.into());
            }
            (Fault::ResetToLatest, Scope::Group(group)) => {
                for topic in &source.topics {
                    let _ = self.inner.admin().reset(group, topic, Start::Latest).await;
                }
            }
            (Fault::CreateMissing, _) => {
                let specs: Vec<_> = source
                    .topics
                    .iter()
                    .map(|name| TopicSpec::new(name.clone()))
                    .collect();
                let _ = self.inner.admin().create(&specs).await;
            }
            _ => {}
        }
    }
}

/// A subscriber that nobody leaves the group for, when its caller has gone away.
struct Forgotten(Option<Box<dyn Subscriber>>);

impl Forgotten {
    async fn unless_taken(subscriber: Box<dyn Subscriber>) -> Result<Box<dyn Subscriber>> {
        let mut kept = Self(Some(subscriber));
        tokio::time::sleep(Duration::from_millis(50)).await;
        kept.0.take().ok_or_else(|| Error::closed("the subscriber"))
    }
}

impl Drop for Forgotten {
    fn drop(&mut self) {
        std::mem::forget(self.0.take());
    }
}

//! What a check works with: names of its own, buses as different processes would have them, and patience.

use super::{Failure, Harness, History, Private, Proof};
use crate::{Backend, Bus, Raw, Topic, TopicSpec};
use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};
use tokio::time::{Instant, timeout};

/// A topic of the suite: it holds bytes.
pub(crate) type Feed = Topic<Bytes, Raw>;

/// One run of one check.
#[derive(Clone, Debug)]
pub(crate) struct Lab {
    harness: Arc<dyn Harness>,
    private: Option<Arc<dyn Private>>,
    more: Duration,
    prefix: Arc<str>,
    groups: Arc<Mutex<Vec<String>>>,
    numbers: Arc<AtomicU64>,
}

impl Lab {
    pub(crate) fn new(harness: Arc<dyn Harness>) -> Self {
        Self {
            harness,
            private: None,
            more: Duration::ZERO,
            prefix: unique().into(),
            groups: Arc::default(),
            numbers: Arc::default(),
        }
    }
    /// On a server that may be harmed.
    pub(crate) fn private(private: Arc<dyn Private>) -> Self {
        Self {
            private: Some(private.clone()),
            ..Self::new(private)
        }
    }
    /// The server that may be harmed, and the way to it.
    pub(crate) fn server(&self) -> Result<&dyn Private, Failure> {
        let none = || Failure::new("this check has no server of its own");
        self.private.as_deref().ok_or_else(none)
    }
    pub(crate) fn harness(&self) -> &dyn Harness {
        &*self.harness
    }
    /// A name that nobody else uses.
    pub(crate) fn name(&self, what: &str) -> String {
        format!("{}.{what}", self.prefix)
    }
    /// A group's name that nobody else uses.
    pub(crate) fn group(&self, what: &str) -> String {
        let name = self.name(what);
        self.groups.lock().push(name.clone());
        name
    }
    /// A number that this run has not seen.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Relaxed)
    }
    /// A fresh handle to the server.
    pub(crate) async fn backend(&self) -> Result<Arc<dyn Backend>, Failure> {
        Ok(self.within("connecting", self.harness.backend()).await??)
    }
    /// A bus as another process would have it.
    pub(crate) async fn bus(&self) -> Result<Bus, Failure> {
        let backend = self.backend().await?;
        Ok(self.within("making a bus", Bus::new(backend)).await??)
    }
    /// Creates a topic.
    pub(crate) async fn topic(&self, bus: &Bus, what: &str, partitions: u32) -> Result<Feed, Failure> {
        let topic = Topic::named(self.name(what)).partitions(partitions);
        self.create(bus, [topic.spec()]).await?;
        Ok(topic)
    }
    /// Creates topics.
    pub(crate) async fn create(&self, bus: &Bus, topics: impl IntoIterator<Item = TopicSpec>) -> Proof {
        self.within("creating topics", bus.ensure_topics(topics))
            .await??;
        Ok(())
    }
    pub(crate) fn patience(&self) -> Duration {
        self.harness.patience() + self.more
    }
    /// The same, with so much more patience.
    pub(crate) fn patient(&self, more: Duration) -> Self {
        Self { more, ..self.clone() }
    }
    /// How long a partition of a member that crashed may take to come to another one.
    pub(crate) fn takeover(&self) -> Duration {
        self.harness.session() + self.patience()
    }
    /// What this comes to, if it comes in time.
    pub(crate) async fn within<T>(
        &self,
        what: impl fmt::Display,
        f: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        self.within_time(self.patience(), what, f).await
    }
    /// What this comes to, if it comes within `limit`.
    pub(crate) async fn within_time<T>(
        &self,
        limit: Duration,
        what: impl fmt::Display,
        f: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let late = |_| Failure::new(format_args!("{what}: not within {limit:?}"));
        timeout(limit, f).await.map_err(late)
    }
    /// Waits until this holds of the history, as long as something happens now and then.
    pub(crate) async fn until(
        &self,
        history: &History,
        what: &str,
        holds: impl Fn(&History) -> bool,
    ) -> Proof {
        self.until_for(self.patience(), history, what, holds).await
    }
    /// Waits until this holds of the history; fails after a silence of `patience`.
    pub(crate) async fn until_for(
        &self,
        patience: Duration,
        history: &History,
        what: &str,
        holds: impl Fn(&History) -> bool,
    ) -> Proof {
        loop {
            let before = history.tally();
            let over = |history: &History| holds(history) || history.failure().is_some();
            if timeout(patience, history.reaches(over)).await.is_ok() {
                return match history.failure() {
                    Some(failure) => Err(Failure::new(failure)),
                    None => Ok(()),
                };
            }
            let now = history.tally();
            let open = history.open();
            let (count, first) = (open.len(), &open[..open.len().min(5)]);
            ensure!(
                now != before,
                "waiting until {what}: nothing happened for {patience:?}; so far {now:?}; {count} are open, the first: {first:?}"
            );
        }
    }
    /// Reads on to the end of a subscription.
    pub(crate) async fn until_over(&self, reader: &mut crate::Subscription<Bytes, Raw>) -> Proof {
        while self
            .within("the end of a subscription", reader.next())
            .await?
            .is_some()
        {}
        Ok(())
    }
    /// Asks again until this is true, for what nobody tells of.
    pub(crate) async fn poll<F: Future<Output = Result<bool, Failure>>>(
        &self,
        what: &str,
        mut holds: impl FnMut() -> F,
    ) -> Proof {
        let deadline = Instant::now() + self.takeover();
        while !holds().await? {
            ensure!(
                Instant::now() < deadline,
                "waiting until {what}: not within {:?}",
                self.takeover()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
    /// Removes what the check left at the server. A failure to do so is no failure of the check.
    pub(crate) async fn clean(&self) {
        let Ok(backend) = self.backend().await else { return };
        let admin = backend.admin();
        let work = async {
            for topic in admin.topics().await.unwrap_or_default() {
                if topic.name.starts_with(&*self.prefix) {
                    let _ = admin.delete(&topic.name).await;
                }
            }
            let groups = std::mem::take(&mut *self.groups.lock());
            for group in groups {
                let _ = admin.delete_group(&group).await;
            }
        };
        let _ = timeout(Duration::from_secs(10), work).await;
    }
}

/// Short, and unlike any other of any process on any day.
fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let (process, count) = (std::process::id(), COUNT.fetch_add(1, Relaxed));
    format!("cf-{:x}-{process:x}-{count:x}", now.as_millis())
}

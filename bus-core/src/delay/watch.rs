//! Movers for the topics that this process subscribes to: who waits for their messages has the most to gain.

use super::{Delays, SUFFIX, delays::Stop};
use crate::{Name, topics::Topics};
use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

/// How often the list of topics is looked at: so long messages may be late whose publishers are all gone.
const LOOK: Duration = Duration::from_secs(30);

impl Delays {
    /// A group of this process reads these topics: while it does, their delays are moved here too.
    pub(crate) fn subscribed(self: &Arc<Self>, topics: &Arc<Topics>) {
        self.watched.lock().push(Arc::downgrade(topics));
        self.look.notify_one();
        if !self.watching.swap(true, SeqCst) {
            self.spawn(watch(self.clone()));
        }
    }
    /// The topics that are subscribed to now, but for those that hold delays themselves.
    fn watched(&self) -> HashSet<Name> {
        let mut names = HashSet::new();
        self.watched.lock().retain(|topics| {
            let Some(topics) = topics.upgrade() else {
                return false;
            };
            let own = topics.iter().filter(|topic| !topic.name.ends_with(SUFFIX));
            names.extend(own.map(|topic| topic.name.clone()));
            true
        });
        names
    }
}

async fn watch(delays: Arc<Delays>) {
    let mut stop = delays.stop.subscribe();
    while *stop.borrow_and_update() == Stop::Go {
        look(&delays).await;
        tokio::select! {
            _ = stop.changed() => {}
            () = delays.look.notified() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

async fn look(delays: &Arc<Delays>) {
    let watched = delays.watched();
    let lines = watched.iter().filter_map(|topic| delays.line(topic).ok());
    let still: Vec<_> = lines.filter(|line| !line.is_moving()).collect();
    if still.is_empty() {
        return;
    }
    match delays.backend.admin().topics().await {
        Ok(known) => {
            for line in still {
                if known.iter().any(|topic| topic.name == line.delays) {
                    delays.start_mover(&line, Duration::ZERO);
                }
            }
        }
        Err(error) => tracing::debug!(%error, "looking for topics of delayed messages failed; again later"),
    }
}

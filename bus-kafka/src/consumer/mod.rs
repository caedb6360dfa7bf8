//! Reading. One thread owns the client: it creates it, polls it, copies records out, commits, leaves, drops it. The
//! async side never touches the client, and the thread never waits for the application.
//!
//! | file | what |
//! |---|---|
//! | `reader` | the thread's state and its loop |
//! | `ask` | where the group stands: its stored offsets |
//! | `starts` | where a new group starts, once for all its members |
//! | `begin` | partitions begin |
//! | `suspects` | positions that are another topic's |
//! | `held` | partitions that do not begin or go on: why, where that takes long |
//! | `lookup` | positions by what they are: the beginning, the end, a time |
//! | `hear` | events, copied and acted upon |
//! | `ends` | where partitions end |
//! | `seek` | moving on request, or because records are gone |
//! | `intake` | from fetched records to batches |
//! | `handover` | rebalances: losing, releasing, losing at once |
//! | `commits` | offsets and notes, one request in flight |
//! | `freeze` | ownership in doubt, as after a process was stopped and wakes |
//! | `session` | whether the group still has this member, by a clock of our own |
//! | `watch` | partitions added, topics deleted |
//! | `leave` | closing, bounded |
//! | `transaction` | exactly once: a second thread that writes outputs and positions |
//! | `turn` | what keeps the two threads apart |
//! | `mailbox`, `wake` | what lies between the thread and the application |
//! | `subscriber`, `ack` | the application's halves |

mod ack;
mod ask;
mod begin;
mod commits;
mod ends;
mod freeze;
mod handover;
mod hear;
mod held;
mod intake;
mod leave;
mod lookup;
mod mailbox;
mod part;
mod reader;
mod seek;
mod session;
mod starts;
mod subscriber;
mod suspects;
#[cfg(test)]
mod tests;
mod transaction;
mod turn;
mod wake;
mod watch;

pub(crate) use transaction::Names;

use crate::{KafkaConfig, admin::Requests, health::Health, kafka::Outputs};
use bus_core::{Ack, Done, Error, ErrorKind, Name, Result, Scope, Shard, Source, Start, Subscriber};
use std::sync::{Arc, mpsc};
use tokio::sync::oneshot;
use transaction::Transactional;

/// What the application's halves ask of the thread.
pub(crate) enum Command {
    Commit(Vec<Done>, oneshot::Sender<Vec<Result<()>>>),
    Release(Shard, oneshot::Sender<Result<()>>),
    Seek(Shard, Start, oneshot::Sender<Result<()>>),
    /// What is stored of these is not known: void.
    Lose(Vec<Shard>),
    /// It is known to the group again: ours from where they stand.
    Reread(Vec<Shard>),
    /// The group does not know this member any more.
    Out(Vec<Shard>),
    Close(oneshot::Sender<()>),
}

/// What both halves send commands through.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    commands: mpsc::Sender<Command>,
    wake: Arc<wake::Wake>,
}

impl Line {
    /// # Errors
    /// `Closed` where the thread has ended.
    fn send(&self, command: Command) -> Result<()> {
        self.commands
            .send(command)
            .map_err(|_| Error::closed("the subscription"))?;
        self.wake.wake();
        Ok(())
    }
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.send(command(reply))?;
        answer.await.map_err(|_| Error::closed("the subscription"))
    }
}

/// What a subscription needs of its backend.
pub(crate) struct Backing {
    pub(crate) config: KafkaConfig,
    pub(crate) requests: Arc<Requests>,
    pub(crate) outputs: Arc<Outputs>,
    pub(crate) health: Arc<Health>,
    pub(crate) names: Names,
}

/// Joins a group, or opens partitions for everyone.
pub(crate) async fn subscribe(
    backing: Backing,
    source: Source,
) -> Result<(Box<dyn Subscriber>, Arc<dyn Ack>)> {
    let requests = &backing.requests;
    if source.topics.is_empty() {
        return Err(Error::invalid("a subscription needs at least one topic"));
    }
    let mut counts = Vec::new();
    for topic in &source.topics {
        counts.push(requests.partitions(topic).await?);
    }
    match &source.scope {
        Scope::Group(group) => {
            bus_core::check_name(group)?;
            if source.start == Start::Stored {
                let stored = requests.stored(group).await?;
                if let Some(topic) = source
                    .topics
                    .iter()
                    .find(|t| !stored.iter().any(|p| p.topic == ***t))
                {
                    return Err(Error::new(
                        ErrorKind::GroupMissing,
                        format!(
                            "group `{group}` has no stored position in topic `{topic}`, and the start is `Stored`"
                        ),
                    ));
                }
            }
        }
        Scope::Everyone { partitions } => {
            if source.start == Start::Stored {
                return Err(Error::invalid(
                    "`Everyone` has no stored positions: choose another start",
                ));
            }
            for (topic, count) in source.topics.iter().zip(&counts) {
                if let Some(bad) = partitions.iter().flatten().find(|p| *p >= count) {
                    return Err(Error::invalid(format!(
                        "topic `{topic}` has no partition {bad}; it has {count}, from 0"
                    )));
                }
            }
        }
    }
    // Before joining, so that a member is never there and cannot store anything.
    let producer = match &source.scope {
        Scope::Group(group) if source.exactly_once => Some(transactional(&backing, group).await?),
        _ => None,
    };
    start(backing, source, counts, producer).await
}

async fn transactional(backing: &Backing, group: &Name) -> Result<Transactional> {
    let config = backing.config.clone();
    let named = backing
        .names
        .take(&config.client_id, group, config.instance.as_deref());
    let (health, group) = (backing.health.clone(), group.clone());
    tokio::task::spawn_blocking(move || Transactional::open(&config, health, &group, named))
        .await
        .map_err(|_| Error::closed("the subscription"))?
}

fn no_thread(error: std::io::Error) -> Error {
    Error::unavailable("no thread or socket pair for a kafka subscription").source(error)
}

async fn start(
    backing: Backing,
    source: Source,
    counts: Vec<u32>,
    producer: Option<Transactional>,
) -> Result<(Box<dyn Subscriber>, Arc<dyn Ack>)> {
    let Backing {
        config,
        requests,
        outputs,
        health,
        ..
    } = backing;
    let (wake, sleep) = wake::pair().map_err(no_thread)?;
    let mail = mailbox::Mailbox::new(wake.clone());
    let (commands, inbox) = mpsc::channel();
    let (ready, is_ready) = oneshot::channel();
    let line = Line {
        commands,
        wake: wake.clone(),
    };
    let subscriber = subscriber::KafkaSubscriber::new(mail.clone(), line.clone(), config.session_timeout);
    let roster = session::Roster::new(requests.clone(), wake.clone());
    let (ack, turn): (Arc<dyn Ack>, _) = match producer {
        None => (
            Arc::new(ack::KafkaAck::new(mail.clone(), line, requests, outputs)),
            None,
        ),
        Some(producer) => {
            let turn = turn::Turn::new(wake.clone());
            let (jobs, work) = mpsc::channel();
            let place = transaction::Place {
                topics: source.topics.clone(),
                mail: mail.clone(),
                line: line.clone(),
                turn: turn.clone(),
            };
            let writer = transaction::Writer::new(producer, config.transaction_patience(), place, work);
            std::thread::Builder::new()
                .name("bus-kafka-writer".to_owned())
                .spawn(move || writer.run())
                .map_err(no_thread)?;
            (Arc::new(transaction::ExactlyOnceAck::new(line, jobs)), Some(turn))
        }
    };
    let setup = reader::Setup {
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
    };
    std::thread::Builder::new()
        .name("bus-kafka-reader".to_owned())
        .spawn(move || reader::run(setup))
        .map_err(no_thread)?;
    is_ready.await.map_err(|_| Error::closed("the subscription"))??;
    Ok((Box::new(subscriber), ack))
}

/// The group that a reader without a group names itself by towards librdkafka, which wants one. Nothing is ever
/// stored under it.
fn nobody(client_id: &str) -> Name {
    Name::from(format!("{client_id}.everyone"))
}

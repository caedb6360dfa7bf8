//! The members of the group: processes of this program, or tasks of this one where the bus is in its memory.

use crate::{Options, member::Member};
use bus::{Bus, Control, Error, ErrorKind, Result};
use std::{process::Stdio, time::Duration};
use tokio::{
    process::{Child, ChildStdin, Command},
    task::JoinHandle,
    time::sleep,
};

/// Who works.
pub(crate) struct Crew(Vec<(String, Worker)>);

enum Worker {
    Task(Control, JoinHandle<Result<()>>),
    /// It ends when its input does.
    Process(Child, Option<ChildStdin>),
}

impl Crew {
    /// Starts the members, and waits until each has its partitions.
    pub(crate) async fn start(bus: &Bus, options: &Options) -> Result<Self> {
        let (names, mut members) = (options.names(), Vec::new());
        for number in 1..=options.members {
            let name = format!("member-{number}");
            let worker = if options.url.starts_with("memory:") {
                let (control, task) = Member::start(bus, &names, &name, options.pace()).await?;
                Worker::Task(control, task)
            } else {
                process(options, &name).map_err(|e| Error::unavailable("starting a member").source(e))?
            };
            members.push((name, worker));
        }
        let (mut crew, group) = (Self(members), names.group());
        tokio::select! {
            ready = ready(bus, &group, options.members.into()) => ready?,
            failed = crew.failed() => return Err(failed),
        }
        Ok(crew)
    }
    /// Waits until a member ends that nobody asked to.
    pub(crate) async fn failed(&mut self) -> Error {
        let ends = self.0.iter_mut().map(|(name, worker)| {
            Box::pin(async move {
                let how = match worker {
                    Worker::Task(_, task) => format!("{:?}", task.await),
                    Worker::Process(child, _) => format!("{:?}", child.wait().await),
                };
                Error::unavailable(format!("{name} ended: {how}"))
            })
        });
        futures_util::future::select_all(ends).await.0
    }
    /// Ends one in the middle of its work, with nothing stored and nobody told.
    pub(crate) async fn kill(&mut self, name: &str) -> Result<()> {
        let place = self.0.iter().position(|(member, _)| member == name);
        let place = place.ok_or_else(|| Error::invalid(format!("there is no member `{name}`")))?;
        match self.0.remove(place).1 {
            Worker::Task(control, task) => {
                control.abort();
                drop(task.await);
                Ok(())
            }
            Worker::Process(mut child, _) => {
                let failed = |e| Error::unavailable(format!("killing {name}")).source(e);
                child.kill().await.map_err(failed)
            }
        }
    }
    /// Lets everybody finish, store and leave.
    pub(crate) async fn dismiss(self) -> Result<()> {
        for (name, worker) in self.0 {
            match worker {
                Worker::Task(control, _) => control.drain(Duration::from_secs(30)).await?,
                Worker::Process(mut child, input) => {
                    drop(input);
                    let status = child.wait().await;
                    let status =
                        status.map_err(|e| Error::unavailable(format!("waiting for {name}")).source(e))?;
                    if !status.success() {
                        return Err(Error::unavailable(format!("{name} ended: {status}")));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Waits until so many members have partitions.
async fn ready(bus: &Bus, group: &str, count: usize) -> Result<()> {
    loop {
        let members = match bus.admin().group(group).await {
            Ok(group) => group.members,
            // Nobody has joined yet.
            Err(error) if error.kind() == ErrorKind::GroupMissing || error.is_transient() => Vec::new(),
            Err(error) => return Err(error),
        };
        let busy = members.iter().filter(|member| !member.partitions.is_empty());
        if busy.count() == count {
            return Ok(());
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// This program again, as one member.
fn process(options: &Options, name: &str) -> std::io::Result<Worker> {
    let pace = options.pace_ms.to_string();
    let mut child = Command::new(std::env::current_exe()?)
        .args([
            "--url",
            &options.url,
            "--topic",
            &options.topic,
            "--pace-ms",
            &pace,
            "--member",
            name,
        ])
        .stdin(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let input = child.stdin.take();
    Ok(Worker::Process(child, input))
}

//! An actor in the hands of its test: a process, or, on the memory bus, a task.

use crate::{
    actor::{self, Life, Spec},
    record::{Entry, Recorder},
};
use bus_core::conformance::Failure;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

#[derive(Debug)]
pub(crate) struct Actor {
    pub(crate) spec: Spec,
    body: Body,
    /// When it was killed, if it was.
    pub(crate) killed: Option<Instant>,
    /// The most memory it was seen to hold, in KiB.
    pub(crate) peak: u64,
}

#[derive(Debug)]
enum Body {
    Process(Child),
    Task {
        life: Arc<Life>,
        recorder: Arc<Recorder>,
        handle: JoinHandle<Result<(), Failure>>,
    },
    Gone,
}

impl Actor {
    /// Starts it.
    pub(crate) fn start(spec: Spec) -> Result<Self, Failure> {
        let body = if spec.url.starts_with("memory:") {
            task(&spec)?
        } else {
            process(&spec)?
        };
        Ok(Self {
            spec,
            body,
            killed: None,
            peak: 0,
        })
    }
    /// Kills it: SIGKILL, or what comes nearest for a task.
    pub(crate) fn kill(&mut self) -> Result<(), Failure> {
        match std::mem::replace(&mut self.body, Body::Gone) {
            Body::Process(mut child) => {
                child.kill().map_err(Failure::new)?;
                child.wait().map_err(Failure::new)?;
            }
            Body::Task {
                life,
                recorder,
                handle,
            } => {
                recorder.silence();
                life.crash();
                handle.abort();
            }
            Body::Gone => return Ok(()),
        }
        self.killed = Some(Instant::now());
        Ok(())
    }
    /// Sends a signal to the process.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), Failure> {
        match &self.body {
            Body::Process(child) => {
                let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or(0));
                let pid = pid.ok_or_else(|| Failure::new("a process without an id"))?;
                kill_process(pid, signal).map_err(Failure::new)
            }
            _ => Err(Failure::new("a task takes no signals")),
        }
    }
    /// Asks it to end in order.
    pub(crate) fn stop(&self) -> Result<(), Failure> {
        match &self.body {
            Body::Process(_) => self.signal(Signal::TERM),
            Body::Task { life, .. } => {
                life.stop();
                Ok(())
            }
            Body::Gone => Ok(()),
        }
    }
    pub(crate) fn is_alive(&self) -> bool {
        !matches!(self.body, Body::Gone)
    }
    /// Whether it has ended by itself, and how; looking at it takes note of its memory too.
    pub(crate) fn look(&mut self) -> Result<Option<bool>, Failure> {
        match &mut self.body {
            Body::Process(child) => {
                self.peak = self.peak.max(resident(child.id()));
                Ok(child
                    .try_wait()
                    .map_err(Failure::new)?
                    .map(|status| status.success()))
            }
            Body::Task { handle, .. } if handle.is_finished() => Ok(Some(true)),
            _ => Ok(None),
        }
    }
    /// Waits until it has ended in order.
    pub(crate) async fn ended(&mut self, limit: Duration) -> Result<(), Failure> {
        let who = format!("{:?}", self.spec.role);
        let deadline = Instant::now() + limit;
        while matches!(&self.body, Body::Process(_)) && self.look()?.is_none() {
            if Instant::now() > deadline {
                return Err(Failure::new(format_args!("{who} did not end within {limit:?}")));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        match std::mem::replace(&mut self.body, Body::Gone) {
            Body::Process(mut child) => {
                let status = child.wait().map_err(Failure::new)?;
                if status.success() {
                    Ok(())
                } else {
                    Err(Failure::new(format_args!("{who} ended with {status}")))
                }
            }
            Body::Task { handle, .. } => {
                let ended = tokio::time::timeout(limit, handle).await;
                ended.map_err(|_| Failure::new(format_args!("{who} did not end within {limit:?}")))??
            }
            Body::Gone => Ok(()),
        }
    }
    /// Forgets one that has ended by itself, as it should.
    pub(crate) fn bury(&mut self) {
        self.body = Body::Gone;
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

fn process(spec: &Spec) -> Result<Body, Failure> {
    let program = std::env::current_exe().map_err(Failure::new)?;
    let text = serde_json::to_string(spec).map_err(Failure::new)?;
    let errors = spec.record.with_extension("err");
    let errors = std::fs::File::options()
        .create(true)
        .append(true)
        .open(errors)
        .map_err(Failure::new)?;
    let mut command = Command::new(program);
    command
        .arg(crate::ACTOR)
        .arg(text)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors)
        .envs(spec.environment.iter().map(|(name, value)| (name, value)));
    // What it has to say about a broker that is shot at is for whoever looks into a failure.
    command.env(
        "BUS_LOG",
        std::env::var("BUS_ACTOR_LOG").unwrap_or_else(|_| "warn".into()),
    );
    Ok(Body::Process(command.spawn().map_err(Failure::new)?))
}

fn task(spec: &Spec) -> Result<Body, Failure> {
    let recorder = Arc::new(Recorder::open(&spec.record)?);
    let life = Arc::new(Life::default());
    let playing = actor::play(spec.clone(), recorder.clone(), life.clone());
    let failures = recorder.clone();
    let handle = tokio::spawn(async move {
        let played = playing.await;
        if let Err(error) = &played {
            failures.write(Entry::Failed {
                why: error.to_string(),
            });
        }
        played
    });
    Ok(Body::Task {
        life,
        recorder,
        handle,
    })
}

/// Memory that a process holds, in KiB; 0 once it is gone.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}

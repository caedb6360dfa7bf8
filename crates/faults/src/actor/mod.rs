//! A publisher or consumer under test: a process of its own, or, for the memory bus, a task.

mod consume;
mod habit;
mod life;
mod produce;
mod spec;

pub(crate) use habit::mended;
pub(crate) use life::Life;
pub(crate) use spec::{Consume, Produce, Role, Spec};

use crate::record::{Entry, Recorder};
use bus::{Bus, ErrorKind};
use bus_core::conformance::Failure;
use std::{process::ExitCode, sync::Arc, time::Duration};
use tokio::{signal::unix, time::Instant};

/// How long an actor tries to reach its broker before it gives up: a broker may be down when it starts.
const CONNECT: Duration = Duration::from_secs(90);

/// Plays the role that a process was started for; SIGTERM ends it in order.
pub(crate) async fn process(spec: &str) -> ExitCode {
    // Nobody may be left behind to talk to brokers that are gone.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    let (spec, recorder) = match prepare(spec) {
        Ok(ready) => ready,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    let life = Arc::new(Life::default());
    let stop = life.clone();
    tokio::spawn(async move {
        if let Ok(mut term) = unix::signal(unix::SignalKind::terminate()) {
            term.recv().await;
            stop.stop();
        }
    });
    let played = play(spec, recorder.clone(), life).await;
    match played {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            recorder.write(Entry::Failed {
                why: error.to_string(),
            });
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn prepare(spec: &str) -> Result<(Spec, Arc<Recorder>), Failure> {
    let spec: Spec = serde_json::from_str(spec).map_err(Failure::new)?;
    let recorder = Recorder::open(&spec.record)?;
    Ok((spec, Arc::new(recorder)))
}

/// Plays a role until it is done or told to stop.
/// # Errors
/// What its publisher or subscription ended with.
pub(crate) async fn play(spec: Spec, recorder: Arc<Recorder>, life: Arc<Life>) -> Result<(), Failure> {
    let Some(bus) = connect(&spec.url, &life).await? else {
        return Ok(());
    };
    recorder.write(Entry::Note {
        text: "connected".into(),
    });
    match spec.role.clone() {
        Role::Produce(role) => produce::produce(&bus, &spec, role, recorder, &life).await,
        Role::Consume(role) => consume::consume(&bus, &spec, role, recorder, &life).await,
    }
}

/// `None`: told to stop before there was a connection.
async fn connect(url: &str, life: &Life) -> Result<Option<Bus>, Failure> {
    let deadline = Instant::now() + CONNECT;
    loop {
        match Bus::connect(url).await {
            Ok(bus) => return Ok(Some(bus)),
            Err(error) if passes(&error) && Instant::now() < deadline => {
                tokio::select! {
                    () = life.stopped() => return Ok(None),
                    () = tokio::time::sleep(Duration::from_millis(200)) => {}
                }
            }
            Err(error) => return Err(Failure::new(format_args!("connecting: {error}"))),
        }
    }
}

/// Whether a supervisor would simply start the process again.
fn passes(error: &bus::Error) -> bool {
    error.is_transient() || matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Unavailable)
}

//! The shared servers: one of each kind, outliving whoever started them.

use std::fs::File;

use crate::error::{Error, Result};
use crate::kind::Kind;
use crate::native::{self, Kafka, Place, Redis, RedisOptions, RedisVersion, SchemaRegistry};
use crate::record::{Host, Record};
use crate::say::say;
use crate::server::{Origin, Server};
use crate::{lock, paths};

/// Starts every shared server that does not run yet, and says where each is.
///
/// # Errors
///
/// At the first server that cannot be started; the ones before it keep running.
pub fn up() -> Result<Vec<Server>> {
    let _lock = the_lock()?;
    native::sweep()?;
    Kind::ALL.into_iter().map(find_or_start).collect()
}

/// The shared server of that kind, started if it does not run yet. It keeps running: `down` stops it.
///
/// # Errors
///
/// When it cannot be started, or the environment names one that does not answer.
pub fn shared(kind: Kind) -> Result<Server> {
    let _lock = the_lock()?;
    find_or_start(kind)
}

/// Stops every shared server that was started here, and private ones whose owner is dead. Servers that the
/// environment names are left alone. Returns how many were stopped.
///
/// # Errors
///
/// When one cannot be stopped.
pub fn down() -> Result<usize> {
    let _lock = the_lock()?;
    native::sweep()?;
    let stopped = Kind::ALL
        .into_iter()
        .map(stop_recorded)
        .collect::<Result<Vec<bool>>>()?;
    Ok(stopped.into_iter().filter(|stopped| *stopped).count())
}

/// Stops the shared server of that kind if it was started here.
///
/// # Errors
///
/// When it cannot be stopped.
pub fn stop(kind: Kind) -> Result<()> {
    let _lock = the_lock()?;
    stop_recorded(kind).map(drop)
}

/// The shared servers that answer; starts nothing.
///
/// # Errors
///
/// When the environment names a server that does not answer.
pub fn status() -> Result<Vec<Server>> {
    let mut servers = Vec::new();
    for kind in Kind::ALL {
        let found = match given(kind)? {
            Some(server) => Some(server),
            None => recorded(kind)?,
        };
        servers.extend(found);
    }
    Ok(servers)
}

fn the_lock() -> Result<File> {
    lock::wait_for(&paths::brokers_dir().join("shared.lock"))
}

fn find_or_start(kind: Kind) -> Result<Server> {
    let server = match (given(kind)?, recorded(kind)?) {
        (Some(server), _) | (None, Some(server)) => server,
        (None, None) => start(kind)?,
    };
    say(&server);
    Ok(server)
}

/// The server that the environment names.
fn given(kind: Kind) -> Result<Option<Server>> {
    let variable = kind.variable();
    let Some(address) = std::env::var(variable).ok().filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let own = Record::read(&paths::shared_dir(kind.name()))?
        .is_some_and(|r| r.address == address && r.is_running());
    if own {
        // The variables that `up` printed, in the environment of the next command.
        return recorded(kind);
    }
    match kind.probe(&address) {
        Ok(version) => Ok(Some(Server {
            kind,
            address,
            origin: Origin::Given,
            version,
            started: false,
        })),
        Err(why) => Err(Error::Given {
            variable,
            address,
            why,
        }),
    }
}

/// The server that was started before and still answers.
fn recorded(kind: Kind) -> Result<Option<Server>> {
    let Some(record) = Record::read(&paths::shared_dir(kind.name()))? else {
        return Ok(None);
    };
    if !record.is_running() || kind.probe(&record.address).is_err() {
        return Ok(None);
    }
    let origin = match record.host {
        Host::Native(_) => Origin::Native,
        Host::Docker { .. } => Origin::Docker,
    };
    Ok(Some(Server {
        kind,
        address: record.address,
        origin,
        version: record.version,
        started: false,
    }))
}

fn start(kind: Kind) -> Result<Server> {
    // A server that runs but does not answer is in the way of its own successor.
    stop_recorded(kind)?;
    if !in_docker(kind) {
        natively(kind)?;
    }
    let server = recorded(kind)?.map(|server| Server {
        started: true,
        ..server
    });
    server.ok_or_else(|| {
        Error::State(format!(
            "{} answered and then died; run the command again",
            kind.name()
        ))
    })
}

/// Starts it as a container if it can be; says why where an engine answers but the server is not in it.
fn in_docker(kind: Kind) -> bool {
    if !crate::engine::docker_engine_answers() {
        return false;
    }
    #[cfg(feature = "docker")]
    let done = crate::docker::start(kind);
    #[cfg(not(feature = "docker"))]
    let done: Result<(), &str> =
        Err("a Docker engine answers, but this was built without the feature `docker`");
    done.inspect_err(|why| say(format_args!("{}: {why}; starting it natively", kind.name())))
        .is_ok()
}

fn natively(kind: Kind) -> Result<()> {
    match kind {
        Kind::Kafka => Kafka::start_shared(Place::shared(kind, 3)?)?.keep(),
        Kind::Redis => Redis::start_at(Place::shared(kind, 1)?, RedisOptions::new())?.keep(),
        Kind::Redis8 => Redis::start_at(
            Place::shared(kind, 1)?,
            RedisOptions::new().version(RedisVersion::V8),
        )?
        .keep(),
        Kind::Registry => SchemaRegistry::start_at(Place::shared(kind, 1)?, None)?.keep(),
    }
}

/// Stops what the record says, removes its data; says whether there was something to stop.
fn stop_recorded(kind: Kind) -> Result<bool> {
    let dir = paths::shared_dir(kind.name());
    let Some(record) = Record::read(&dir)? else {
        return Ok(false);
    };
    let running = record.is_running();
    // Also what does not run: a dead container still has its name and its volumes.
    record.stop()?;
    if running {
        say(format_args!("{}: {} stopped", kind.name(), record.address));
    }
    let _ = std::fs::remove_dir_all(&dir);
    Ok(running)
}

//! Where the primary is at the moment, as sentinels say. Each connection asks anew, so that a failover needs no
//! subscription: it breaks every connection to the server that was the primary, and the next one leads to the new one.
//!
//! A sentinel may be behind, or alone with a primary that the others have replaced, and one that comes back says of
//! itself that it is a primary until somebody tells it otherwise. So what a sentinel names is believed only where it is
//! of no older failover than what was known before, and says of itself that it is a primary; else the next is asked.

use super::{Conn, Pipeline, Topology, Value, promotion};
use crate::{
    error::{classify, silent, unexpected},
    servers::{Host, Sentinels},
};
use bus_core::{Error, ErrorKind, Result};
use tokio::time::timeout;

/// What a sentinel says.
struct Named {
    host: Host,
    /// It grows with each failover.
    epoch: u64,
}

/// A connection to the primary that the first sentinel names whose word is true.
pub(super) async fn primary(topology: &Topology, sentinels: &Sentinels, role: &str) -> Result<Conn> {
    // One that does not answer must leave time for the others and for the primary.
    let share = topology.config().connect_timeout / (sentinels.hosts.len() as u32 + 1);
    let (mut last, mut unknown, mut old) = (None, 0, Vec::new());
    for host in &sentinels.hosts {
        let asked = timeout(share, ask(topology, sentinels, host)).await;
        match asked.unwrap_or_else(|_| Err(silent(&host.to_string()))) {
            Ok(Some(named)) if named.epoch < topology.epoch() => old.push(named),
            Ok(Some(named)) => match reach(topology, &named, role).await {
                // What the primary refuses it refuses whoever names it.
                Err(error) if error.is_transient() => last = Some(error),
                result => return result,
            },
            Ok(None) => unknown += 1,
            Err(error) => last = Some(error),
        }
    }
    // Where all who answer know of less than was known before, they were made to forget it.
    if last.is_none()
        && let Some(named) = old.iter().max_by_key(|named| named.epoch)
    {
        return reach(topology, named, role).await;
    }
    Err(match last {
        _ if unknown == sentinels.hosts.len() => unnamed(sentinels),
        Some(error) if !error.is_transient() => error,
        last => missing(sentinels, last),
    })
}

async fn reach(topology: &Topology, named: &Named, role: &str) -> Result<Conn> {
    let conn = Conn::dial(&named.host, topology.security(), topology.config(), role).await?;
    if conn.is_replica() {
        return Err(promotion::replica(conn.address()));
    }
    topology.reached(named.epoch);
    Ok(conn)
}

/// What one sentinel says; `None` where it knows no such primary.
async fn ask(topology: &Topology, sentinels: &Sentinels, host: &Host) -> Result<Option<Named>> {
    let mut conn = Conn::connect(host, topology.security()).await?;
    let mut pipeline = Pipeline::new();
    pipeline.authenticate(sentinels.user.as_deref(), sentinels.password.as_ref());
    pipeline.add(&[b"SENTINEL", b"MASTER", sentinels.primary.as_bytes()]);
    let mut told = Value::Nil;
    // The first error is the telling one: without AUTH what follows is refused too.
    for reply in conn.call(&pipeline).await? {
        match reply {
            Value::Error(text) if text.contains("No such master") => return Ok(None),
            Value::Error(text) => return Err(refused(host, &text)),
            reply => told = reply,
        }
    }
    let named = told.field("ip").text().zip(told.field("port").int());
    let (name, port) = named.ok_or_else(|| unexpected(conn.address(), "SENTINEL MASTER"))?;
    Ok(Some(Named {
        host: Host::new(name, port as u16),
        epoch: told.field("config-epoch").int().unwrap_or(0) as u64,
    }))
}

fn refused(host: &Host, text: &str) -> Error {
    let code = text.split(' ').next().unwrap_or_default();
    if !matches!(code, "NOAUTH" | "WRONGPASS") {
        return classify(&host.to_string(), text);
    }
    let sentence = format!(
        "the sentinel at {host} answered `{text}`: it has a user and password of its own, \
         `sentinel.user=…&sentinel.password=…` in the URL"
    );
    Error::new(ErrorKind::Denied, sentence)
}

fn unnamed(sentinels: &Sentinels) -> Error {
    let Some(host) = sentinels.hosts.first() else {
        return Error::invalid("no sentinel is named; name at least one");
    };
    let name = &sentinels.primary;
    let sentence = format!(
        "no sentinel of {sentinels} knows a primary called `{name}`; \
         `redis-cli -h {} -p {} sentinel masters` lists what they are called",
        host.name, host.port
    );
    Error::invalid(sentence)
}

fn missing(sentinels: &Sentinels, last: Option<Error>) -> Error {
    let sentence = format!("no sentinel of {sentinels} leads to a primary");
    match last {
        Some(last) => Error::unavailable(format!("{sentence}: {last}")),
        None => Error::unavailable(sentence),
    }
}

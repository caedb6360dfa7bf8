//! Where the primary is at the moment, as sentinels say. Each connection asks anew, so that a failover needs no
//! subscription: it breaks every connection to the server that was the primary, and the next one leads to the new one.
//!
//! A sentinel may be behind, or alone with a primary that the others have replaced, and one that comes back says of
//! itself that it is a primary until somebody tells it otherwise. So all sentinels are asked, at the same time, and only
//! those are believed that know of the latest failover; what they name must say of itself that it is a primary.
//!
//! The one that knows of it may be silent in the very seconds in which the others have not heard of it and the former
//! primary is back. So one that has just started is taken for what it was before only where every sentinel answers.
//!
//! While one of them can still be waited for, nothing that another says is for good: with a failover going on, one that
//! is set up wrongly must not end what the others will bring back.

use super::{Conn, Pipeline, Topology, Value, promotion, together::together};
use crate::{
    error::{classify, silent, unexpected},
    servers::{Host, Sentinels},
};
use bus_core::{Error, ErrorKind, Result};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Within so much all sentinels hear of a failover: they tell each other every two seconds.
const HEARD: Duration = Duration::from_secs(10);

/// What a sentinel says.
#[derive(PartialEq, Eq)]
struct Named {
    host: Host,
    /// It grows with each failover.
    epoch: u64,
}

/// A connection to the primary that the sentinels name who know of the latest failover.
pub(super) async fn primary(topology: &Topology, sentinels: &Sentinels, role: &str) -> Result<Conn> {
    let limit = topology.config().connect_timeout;
    // So much less than all of it that the reason is told, and not only that there was no answer.
    let until = Instant::now() + limit - limit / 8;
    let seen = topology.epoch();
    let (mut named, mut unknown, mut errors) = (Vec::new(), 0, Vec::new());
    for answer in answers(topology, sentinels).await {
        match answer {
            Ok(Some(one)) => named.push(one),
            Ok(None) => unknown += 1,
            Err(error) => errors.push(error),
        }
    }
    let Some(newest) = named.iter().map(|one| one.epoch).max() else {
        if unknown > 0 || errors.is_empty() {
            errors.push(unnamed(topology, sentinels));
        }
        return Err(missing(sentinels, errors));
    };
    // Where all of them know of less than was known before, they were made to forget it.
    if newest < seen && named.len() < sentinels.hosts.len() {
        errors.push(behind());
        return Err(missing(sentinels, errors));
    }
    let all_answered = named.len() + unknown == sentinels.hosts.len();
    let doubted = !all_answered && newest <= seen;
    named.retain(|one| one.epoch == newest);
    let mut distinct: Vec<Named> = Vec::new();
    for one in named {
        if !distinct.contains(&one) {
            distinct.push(one);
        }
    }
    let mut refused = Vec::new();
    let count = distinct.len();
    for (index, one) in distinct.iter().enumerate() {
        let share = until.saturating_duration_since(Instant::now()) / (count - index) as u32;
        let reached = timeout(share, reach(topology, seen, one, role)).await;
        match reached.unwrap_or_else(|_| Err(silent(&one.host.to_string()))) {
            // Who has known no other has nothing to lose.
            Ok(conn) if doubted && conn.uptime() < HEARD && topology.was_another(&conn) => {
                refused.push(just_started(&conn));
            }
            Ok(conn) => {
                topology.led_to(&conn);
                return Ok(conn);
            }
            Err(error) => refused.push(error),
        }
    }
    // What the primary refuses it refuses whoever names it.
    Err(missing(sentinels, refused))
}

/// What each sentinel says, in their order. They are asked at the same time: one that does not answer must leave time
/// for the primary.
async fn answers(topology: &Topology, sentinels: &Sentinels) -> Vec<Result<Option<Named>>> {
    let share = topology.config().connect_timeout / 4;
    let asked = sentinels.hosts.iter().map(|host| async move {
        let asked = timeout(share, ask(topology, sentinels, host)).await;
        asked.unwrap_or_else(|_| Err(silent(&host.to_string())))
    });
    together(asked).await
}

/// Asks one of them whether there was a later failover. The new primary is believed when it says so itself, and from
/// then on connections from before it are not used any more.
pub(super) async fn look(topology: &Topology, sentinels: &Sentinels, turn: usize) {
    let limit = topology.config().connect_timeout;
    let Some(host) = sentinels.hosts.get(turn % sentinels.hosts.len().max(1)) else {
        return;
    };
    let seen = topology.epoch();
    let looked = async {
        match ask(topology, sentinels, host).await? {
            Some(named) if named.epoch > seen => reach(topology, seen, &named, "watch").await.map(drop),
            _ => Ok(()),
        }
    };
    if let Ok(Err(error)) = timeout(limit, looked).await {
        // Who needs a connection is told what is wrong.
        tracing::debug!(sentinel = %host, %error, "it is not known whether there was a failover");
    }
}

async fn reach(topology: &Topology, seen: u64, named: &Named, role: &str) -> Result<Conn> {
    let mut conn = Conn::dial(&named.host, topology.security(), topology.config(), role).await?;
    if conn.is_replica() {
        return Err(promotion::replica(conn.address()));
    }
    // Another connection may have heard of a later failover meanwhile.
    match topology.reached(seen, named.epoch) {
        true => {
            conn.belongs_to(topology, named.epoch);
            Ok(conn)
        }
        false => Err(behind()),
    }
}

/// What one sentinel says; `None` where it knows no such primary.
async fn ask(topology: &Topology, sentinels: &Sentinels, host: &Host) -> Result<Option<Named>> {
    let config = topology.config();
    let mut conn = Conn::connect(host, topology.security()).await?;
    let mut pipeline = Pipeline::new();
    pipeline.authenticate(config.sentinel_user.as_deref(), config.sentinel_password.as_ref());
    // While a failover reconfigures the other replicas, the first has its epoch with the address from before it, and
    // only the second has the one that was promoted.
    let name = sentinels.primary.as_bytes();
    pipeline.add(&[b"SENTINEL", b"MASTER", name]);
    pipeline.add(&[b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", name]);
    let mut told = Vec::new();
    // The first error is the telling one: without AUTH what follows is refused too.
    for reply in conn.call(&pipeline).await? {
        match reply {
            Value::Error(text) if text.contains("No such master") => return Ok(None),
            Value::Error(text) => return Err(refused(host, &text)),
            reply => told.push(reply),
        }
    }
    let [.., about, address] = &told[..] else {
        return Err(unexpected(conn.address(), "SENTINEL MASTER"));
    };
    let named = address.at(0).text().zip(address.at(1).int());
    let (name, port) = named.ok_or_else(|| unexpected(conn.address(), "SENTINEL GET-MASTER-ADDR-BY-NAME"))?;
    Ok(Some(Named {
        host: Host::new(name, port as u16),
        epoch: about.field("config-epoch").int().unwrap_or(0) as u64,
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

fn unnamed(topology: &Topology, sentinels: &Sentinels) -> Error {
    let Some(host) = sentinels.hosts.first() else {
        return Error::invalid("no sentinel is named; name at least one");
    };
    let name = &sentinels.primary;
    let sentence = format!(
        "no sentinel of {sentinels} knows a primary called `{name}`; \
         `redis-cli -h {} -p {} sentinel masters` lists what they are called",
        host.name, host.port
    );
    // They knew it before, and may be told of it again.
    Error::invalid(sentence).transient(topology.security().has_worked())
}

fn behind() -> Error {
    Error::unavailable("they know of an older failover than the last one")
}

fn just_started(conn: &Conn) -> Error {
    let address = conn.address();
    Error::unavailable(format!(
        "redis at {address} has just started, and not every sentinel answers that it is still the primary; \
         it is believed {HEARD:?} after its start"
    ))
}

/// For good only where everything that went wrong is.
fn missing(sentinels: &Sentinels, mut errors: Vec<Error>) -> Error {
    let sentence = format!("no sentinel of {sentinels} leads to a primary");
    let lasting = errors.iter().all(|error| !error.is_transient());
    match errors.pop() {
        Some(error) if lasting => error,
        Some(last) => Error::unavailable(format!("{sentence}: {last}")),
        None => Error::unavailable(sentence),
    }
}

//! What a server must be, asked once at the start.

use crate::{
    Context, security,
    security::probe,
    servers::{Host, Servers},
    wire::{Conn, Node, Pipeline, info_field},
};
use bus_core::{Error, ErrorKind, Result};
use std::{future::Future, sync::atomic::Ordering};
use tokio::time::Instant;

/// Connects and checks, each node of a cluster; within twice `connect_timeout` for each.
pub(crate) async fn check(context: &Context) -> Result<()> {
    let config = &context.config;
    if context.topology.is_cluster() {
        if config.database != 0 {
            return Err(Error::invalid(
                "a cluster has database 0 only; take the number out of the URL",
            ));
        }
        let looking = context.topology.look();
        let found = match &config.servers {
            Servers::Cluster(hosts) if !hosts.is_empty() => {
                spoken(context, &hosts[0], security::speaks_plain, looking).await
            }
            _ => looking.await,
        };
        found.map_err(|error| unreachable(context, error))?;
        context.clustered.store(true, Ordering::Relaxed);
    }
    for node in context.topology.nodes() {
        check_node(context, &node).await?;
    }
    Ok(())
}

fn unreachable(context: &Context, error: Error) -> Error {
    if error.kind() != ErrorKind::Unavailable {
        return error;
    }
    let (address, tls) = (context.config.address(), context.topology.security().has_tls());
    let advice = advice(&context.config.servers, tls);
    Error::unavailable(format!(
        "no Redis answers at {address}\ncause: {error}\ntry: {advice}"
    ))
}

async fn check_node(context: &Context, node: &Node) -> Result<()> {
    let config = &context.config;
    let conn = open(context, node).await;
    let mut conn = conn.map_err(|error| unreachable(context, error))?;
    let address = conn.address().clone();
    version(conn.version(), &address)?;
    let mut pipeline = Pipeline::new();
    for section in [&b"replication"[..], b"memory", b"persistence", b"cluster"] {
        pipeline.add(&[b"INFO", section]);
    }
    let call = tokio::time::timeout(config.connect_timeout, conn.call(&pipeline)).await;
    let replies = call.unwrap_or_else(|_| Err(crate::error::silent(&address)))?;
    let mut info = String::new();
    for reply in replies {
        info.push_str(conn.check(reply)?.text().unwrap_or_default());
    }
    server(&info, &address)?;
    let field = |name: &str| info_field(&info, name).unwrap_or_default().to_owned();
    if field("cluster_enabled") == "1" {
        context.clustered.store(true, Ordering::Relaxed);
    }
    config.durability.check(conn.version(), field, &address)
}

/// A first connection.
async fn open(context: &Context, node: &Node) -> Result<Conn> {
    let opening = Conn::open(&context.topology, node, "preflight");
    match (&context.config.servers, node.host()) {
        (Servers::One(host), _) => spoken(context, host, security::speaks_plain, opening).await,
        (Servers::Cluster(_), Some(host)) => spoken(context, host, security::names_plain, opening).await,
        // Sentinels answer for themselves.
        _ => opening.await,
    }
}

/// What `opening` gives. Where the server seems to speak otherwise than was thought, that is found out and told; `plain` is
/// the error of one without TLS.
async fn spoken<T>(
    context: &Context,
    host: &Host,
    plain: fn(&str) -> Error,
    opening: impl Future<Output = Result<T>>,
) -> Result<T> {
    if context.topology.security().has_tls() {
        let mut opening = std::pin::pin!(opening);
        if let Ok(result) = tokio::time::timeout(probe::HANDSHAKE, &mut opening).await {
            return result;
        }
        let otherwise = async {
            match probe::speaks_plain(host).await {
                true => plain(&host.to_string()),
                false => std::future::pending().await,
            }
        };
        return tokio::select! {
            result = opening => result,
            error = otherwise => Err(error),
        };
    }
    let until = Instant::now() + context.config.connect_timeout;
    let error = match opening.await {
        Err(error) if error == ErrorKind::Unavailable => error,
        result => return result,
    };
    // No time is left for it where nothing answered at all.
    match tokio::time::timeout_at(until, probe::speaks_tls(host)).await {
        Ok(true) => Err(security::wants_tls(&host.to_string())),
        _ => Err(error),
    }
}

/// What to try where nobody answers.
fn advice(servers: &Servers, tls: bool) -> String {
    let tls = if tls { " --tls" } else { "" };
    match servers {
        Servers::One(host) => format!(
            "`redis-cli{tls} -h {} -p {} ping`, look at host and port in the URL, or start one with `redis-server`",
            host.name, host.port
        ),
        Servers::Cluster(hosts) => hosts.first().map_or(String::new(), |host| {
            let (name, port) = (&host.name, host.port);
            format!("`redis-cli -h {name} -p {port} cluster nodes`, and whether each of them can be reached from here")
        }),
        Servers::Sentinels(sentinels) => sentinels.hosts.first().map_or(String::new(), |host| {
            let (name, port, primary) = (&host.name, host.port, &sentinels.primary);
            format!(
                "`redis-cli{tls} -h {name} -p {port} sentinel get-master-addr-by-name {primary}`, and whether that primary \
                 can be reached from here"
            )
        }),
    }
}

fn version(version: &str, address: &str) -> Result<()> {
    let major: u32 = version
        .split('.')
        .next()
        .and_then(|m| m.parse().ok())
        .unwrap_or(0);
    if major >= 7 {
        return Ok(());
    }
    let sentence = format!(
        "redis at {address} is version {version}; the bus needs 7.0 or newer, or Valkey (`XGROUP SETID … ENTRIESREAD`)"
    );
    Err(Error::new(ErrorKind::Unsupported, sentence))
}

fn server(info: &str, address: &str) -> Result<()> {
    let field = |name: &str| info_field(info, name).unwrap_or_default();
    if field("role") == "slave" {
        let (host, port) = (field("master_host"), field("master_port"));
        let sentence = format!("redis at {address} is a replica; connect to its primary, {host}:{port}");
        return Err(Error::new(ErrorKind::Unsupported, sentence));
    }
    let policy = field("maxmemory_policy");
    if !matches!(field("maxmemory"), "0" | "") && policy != "noeviction" {
        let sentence = format!(
            "redis at {address} may evict records when its memory is full (`maxmemory-policy {policy}`); \
             set `maxmemory-policy noeviction`, then publishers wait instead"
        );
        return Err(Error::new(ErrorKind::Conflict, sentence));
    }
    if field("aof_enabled") != "1" {
        tracing::warn!(
            address,
            "the append-only file is off: a restart of this redis loses records; set `appendonly yes` (and `appendfsync everysec` or `always`)"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_keep_the_contract_is_refused_with_what_to_set() {
        assert!(version("7.0.15", "h:1").is_ok() && version("8.2.3", "h:1").is_ok());
        assert_eq!(version("6.2.1", "h:1").unwrap_err(), ErrorKind::Unsupported);
        assert!(
            server(
                "role:master\r\nmaxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n",
                "h:1"
            )
            .is_ok()
        );
        assert!(server("maxmemory:100\r\nmaxmemory_policy:noeviction\r\n", "h:1").is_ok());
        let error = server("maxmemory:100\r\nmaxmemory_policy:allkeys-lru\r\n", "h:1").unwrap_err();
        assert!(error.message().contains("set `maxmemory-policy noeviction`"));
        let error = server("role:slave\r\nmaster_host:p\r\nmaster_port:7\r\n", "h:1").unwrap_err();
        assert!(error.message().contains("p:7"));
    }
}

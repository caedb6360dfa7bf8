//! The proxy itself: it listens, and takes orders.

use crate::{
    Counters, Faults, Filter, Late, Protocol, Strike, connection::carry, faults::Action, shared::Shared,
};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpSocket},
    task::{JoinHandle, JoinSet},
    time::sleep,
};

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;
/// How long to wait after nobody could be accepted.
const AGAIN: Duration = Duration::from_millis(20);

/// A proxy on a port of 127.0.0.1. Dropping it closes its connections and its port.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// A proxy to be.
#[derive(Clone, Debug)]
pub struct Builder {
    protocol: Protocol,
    port: u16,
    upstream: Option<String>,
    seed: u64,
}

impl Builder {
    /// Listens on this port of 127.0.0.1 (default: a free one).
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }
    /// Where clients are led, `host:port`. Until it is known, their connections are reset.
    pub fn upstream(mut self, address: impl Into<String>) -> Self {
        self.upstream = Some(address.into());
        self
    }
    /// What all chances are drawn by (default 0): the same seed draws the same numbers, although clients may come to
    /// them in another order.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
    /// Listens. Inside a tokio runtime only.
    /// # Errors
    /// When the port cannot be had.
    pub async fn start(self) -> io::Result<Proxy> {
        let reserved = bound(self.port)?;
        let address = reserved.local_addr()?;
        let listener = listener(address.port())?;
        let shared = Arc::new(Shared::new(self.protocol, self.upstream, self.seed));
        let task = tokio::spawn(accept(reserved, listener, shared.clone()));
        Ok(Proxy {
            address,
            shared,
            task,
        })
    }
}

impl Proxy {
    /// A proxy on a free port of 127.0.0.1 in front of `upstream`, `host:port`.
    /// # Errors
    /// When there is no free port.
    pub async fn start(protocol: Protocol, upstream: impl Into<String>) -> io::Result<Self> {
        Self::builder(protocol).upstream(upstream).start().await
    }
    /// A proxy with a port or a seed of one's own, or one whose upstream is not there yet.
    pub fn builder(protocol: Protocol) -> Builder {
        Builder {
            protocol,
            port: 0,
            upstream: None,
            seed: 0,
        }
    }
    /// Where clients connect to: `127.0.0.1:port`. It stays the same, whatever happens to the upstream.
    pub fn address(&self) -> String {
        self.address.to_string()
    }
    /// The port of [`address`](Self::address).
    pub fn port(&self) -> u16 {
        self.address.port()
    }
    /// Leads new connections to this server, `host:port`; live ones stay where they are.
    pub fn set_upstream(&self, address: impl Into<String>) {
        *self.shared.upstream.lock() = Some(address.into());
    }
    /// Changes the faults, for live and new connections.
    pub fn change(&self, change: impl FnOnce(&mut Faults)) {
        self.shared.faults.send_modify(change);
    }
    /// Ends all faults and calls off the single ones that have not begun. Connections that were reset or cut stay so;
    /// what a held link has accepted arrives now.
    pub fn heal(&self) {
        self.shared.heal();
    }
    /// Resets every live connection (RST) now; new ones are taken.
    pub fn reset(&self) {
        self.shared.resets.send_modify(|resets| *resets += 1);
    }
    /// Makes every live connection silent for good, in both directions, as if the network had forgotten it; new ones
    /// work. Healing brings them back.
    pub fn freeze(&self) {
        let connections = self.shared.counters.lock().connections;
        self.change(|faults| faults.frozen = connections);
    }
    /// Swallows the answer to the next such request, and closes its connection.
    pub fn drop_next_reply(&self, filter: Filter) -> Strike {
        self.aim(filter, Action::DropReply)
    }
    /// Hangs up on the client of the next such request, and hands the request to the server after `time`.
    pub fn hold_next_request(&self, filter: Filter, time: Duration) -> Strike {
        self.aim(
            filter,
            Action::Hold {
                time,
                late: Late::HungUp,
            },
        )
    }
    /// Lets the next such request, and what is sent behind it, wait for `time`; its client may wait too.
    pub fn delay_next_request(&self, filter: Filter, time: Duration) -> Strike {
        self.aim(
            filter,
            Action::Hold {
                time,
                late: Late::Waiting,
            },
        )
    }
    fn aim(&self, filter: Filter, action: Action) -> Strike {
        let (struck, strike) = Strike::new();
        self.shared.aim(filter, action, struck);
        strike
    }
    /// What it has done so far.
    pub fn counters(&self) -> Counters {
        self.shared.counters.lock().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A socket that holds a port without listening on it: while it lives nobody else gets the port, and who connects
/// there is refused.
fn bound(port: u16) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into())?;
    Ok(socket)
}

fn listener(port: u16) -> io::Result<TcpListener> {
    bound(port)?.listen(BACKLOG)
}

async fn accept(reserved: TcpSocket, listener: TcpListener, shared: Arc<Shared>) {
    let mut faults = shared.faults.subscribe();
    let mut connections = JoinSet::new();
    let mut open = Some(listener);
    let port = reserved.local_addr().map_or(0, |a| a.port());
    loop {
        let refuse = faults.borrow_and_update().refuse;
        if refuse {
            open = None;
        } else if open.is_none() {
            open = self::listener(port).ok();
        }
        let accepted = async {
            match &open {
                Some(listener) => listener.accept().await,
                None if refuse => std::future::pending().await,
                None => Err(io::ErrorKind::AddrInUse.into()),
            }
        };
        tokio::select! {
            // The order to refuse comes before those who wait already.
            biased;
            changed = faults.changed() => if changed.is_err() { return },
            accepted = accepted => match accepted {
                Ok((client, _)) => drop(connections.spawn(carry(client, shared.clone()))),
                // No file descriptor is left, or the like: it passes.
                Err(_) => sleep(AGAIN).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

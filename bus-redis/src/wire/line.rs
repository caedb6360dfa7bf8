//! A connection to one node that comes back.

use super::{Conn, Pipeline, Topology, Value, promotion, topology::Node};
use crate::{error::silent, health::Health};
use bus_core::{ErrorKind, Result};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::timeout};

/// Calls one after the other over one connection, which is made when it is needed.
#[derive(Debug)]
pub(super) struct Line {
    topology: Arc<Topology>,
    pub(super) node: Node,
    role: &'static str,
    health: Arc<Health>,
    conn: Mutex<Option<Conn>>,
}

impl Line {
    /// Not connected yet.
    pub(super) fn new(topology: Arc<Topology>, node: Node, role: &'static str, health: Arc<Health>) -> Self {
        Self {
            topology,
            node,
            role,
            health,
            conn: Mutex::new(None),
        }
    }

    /// Sends `pipeline` and answers its replies, and which run gave them; errors of single commands are among them. A
    /// connection that turns out to be dead is replaced once. To another run than `run_id`, where one is wanted, nothing
    /// is sent, and there are no values.
    pub(super) async fn call(
        &self,
        run_id: Option<&str>,
        pipeline: &Pipeline,
        limit: Duration,
    ) -> Result<(Arc<str>, Vec<Value>)> {
        let other = |conn: &Conn| run_id.is_some_and(|wanted| !promotion::same(wanted, conn.run_id()));
        let mut slot = self.conn.lock().await;
        // Taken out while it is used, so that a dropped call leaves no connection with half an answer behind.
        let reused = slot.take();
        // One to another run may be an old one that nobody noticed to be dead: a new one tells.
        if let Some(mut conn) = reused.filter(|conn| !other(conn)) {
            match self.round(&mut conn, pipeline, limit).await {
                Ok(values) => return Ok(self.keep(&mut slot, conn, values)),
                Err(error) if error.kind() != ErrorKind::Unavailable => return Err(error),
                Err(error) => tracing::debug!(address = %conn.address(), %error, "connection replaced"),
            }
        }
        let result = async {
            let mut conn = Conn::open(&self.topology, &self.node, self.role).await?;
            self.health.connected(&self.node);
            if other(&conn) {
                return Ok((conn, Vec::new()));
            }
            let values = self.round(&mut conn, pipeline, limit).await?;
            Ok((conn, values))
        }
        .await;
        match result {
            Ok((conn, values)) => Ok(self.keep(&mut slot, conn, values)),
            Err(error) => {
                self.topology.doubt();
                self.health.down(&self.node, &error);
                Err(error)
            }
        }
    }

    fn keep(&self, slot: &mut Option<Conn>, conn: Conn, values: Vec<Value>) -> (Arc<str>, Vec<Value>) {
        self.health.up(&self.node);
        let run_id = conn.run_id().clone();
        *slot = Some(conn);
        (run_id, values)
    }

    async fn round(&self, conn: &mut Conn, pipeline: &Pipeline, limit: Duration) -> Result<Vec<Value>> {
        let address = conn.address().clone();
        let round = async {
            if pipeline.has_scripts() && !conn.has_scripts() {
                conn.load_scripts().await?;
            }
            let mut values = conn.call_here(pipeline).await?;
            let flushed = |v: &Value| matches!(v, Value::Error(text) if text.starts_with("NOSCRIPT"));
            if values.iter().any(flushed) {
                conn.load_scripts().await?;
                for (index, value) in values.iter_mut().enumerate().filter(|(_, value)| flushed(value)) {
                    *value = conn.call_here(&pipeline.pick([index])).await?.remove(0);
                }
            }
            Ok(values)
        };
        timeout(limit, round)
            .await
            .unwrap_or_else(|_| Err(silent(&address)))
    }

    /// Our end's address, where there is a connection now.
    pub(super) async fn local(&self) -> Option<String> {
        self.conn.lock().await.as_ref().map(Conn::local)
    }
}

//! A connection that comes back: for calls that may be made again, such as scripts that recognise themselves.

use super::{Conn, Pipeline, Topology, Value, promotion};
use crate::{error::silent, health::Health, scripts::Script};
use bus_core::{ErrorKind, Result};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::timeout};

/// Calls one after the other over one connection, which is made when it is needed.
#[derive(Debug)]
pub(crate) struct Link {
    topology: Arc<Topology>,
    role: &'static str,
    health: Arc<Health>,
    conn: Mutex<Option<Conn>>,
}

/// Replies, and which run of the server gave them, behind which promotion.
#[derive(Debug)]
pub(crate) struct Answers {
    pub(crate) run_id: Arc<str>,
    pub(crate) values: Vec<Value>,
}

impl Link {
    /// Not connected yet.
    pub(crate) fn new(topology: Arc<Topology>, role: &'static str, health: Arc<Health>) -> Self {
        Self {
            topology,
            role,
            health,
            conn: Mutex::new(None),
        }
    }

    /// Sends `pipeline` and answers its replies; errors of single commands are among them. A connection that turns
    /// out to be dead is replaced once. So what is sent must be harmless to send twice.
    pub(crate) async fn call(&self, pipeline: &Pipeline) -> Result<Answers> {
        self.call_within(pipeline, self.topology.config().connect_timeout)
            .await
    }

    pub(crate) async fn call_within(&self, pipeline: &Pipeline, limit: Duration) -> Result<Answers> {
        self.call_run(None, pipeline, limit).await
    }

    /// As [`call`](Self::call), but what is sent is for this run of the server alone: to another one nothing is sent, and
    /// there are no values.
    pub(crate) async fn call_on(&self, run_id: &str, pipeline: &Pipeline) -> Result<Answers> {
        self.call_run(Some(run_id), pipeline, self.topology.config().connect_timeout)
            .await
    }

    async fn call_run(&self, run_id: Option<&str>, pipeline: &Pipeline, limit: Duration) -> Result<Answers> {
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
            let mut conn = Conn::open(&self.topology, self.role).await?;
            self.health.connected();
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
                self.health.down(&error);
                Err(error)
            }
        }
    }

    fn keep(&self, slot: &mut Option<Conn>, conn: Conn, values: Vec<Value>) -> Answers {
        self.health.up();
        let run_id = conn.run_id().clone();
        *slot = Some(conn);
        Answers { run_id, values }
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
                    *value = conn.call_here(&pipeline.only(index)).await?.remove(0);
                }
            }
            Ok(values)
        };
        timeout(limit, round)
            .await
            .unwrap_or_else(|_| Err(silent(&address)))
    }

    /// One command; a reply that is an error is one.
    pub(crate) async fn ask(&self, words: &[&[u8]]) -> Result<Value> {
        self.one(&Pipeline::of(words)).await
    }
    /// One call of a script; a reply that is an error is one.
    pub(crate) async fn run(&self, script: Script, keys: &[&[u8]], arguments: &[&[u8]]) -> Result<Value> {
        let mut pipeline = Pipeline::new();
        pipeline.script(script, keys, arguments);
        self.one(&pipeline).await
    }
    async fn one(&self, pipeline: &Pipeline) -> Result<Value> {
        self.check(self.call(pipeline).await?.values.remove(0))
    }
    /// The reply, or the error that it is.
    pub(crate) fn check(&self, reply: Value) -> Result<Value> {
        match reply {
            Value::Error(text) => Err(crate::error::classify(&self.topology.config().address(), &text)),
            reply => Ok(reply),
        }
    }
    /// Our end's address, where there is a connection now.
    pub(crate) async fn local(&self) -> String {
        self.conn
            .lock()
            .await
            .as_ref()
            .map(Conn::local)
            .unwrap_or_default()
    }
}

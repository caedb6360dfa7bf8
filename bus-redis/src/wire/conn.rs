//! One connection: commands go into a buffer, replies are read out of one.

use super::{Node, Pipeline, Stream, Topology, Value, encode, promotion};
use crate::{
    RedisConfig,
    error::{broken, classify, silent, unexpected},
    scripts::Script,
    security::{self, Security},
    servers::Host,
};
use bus_core::{Error, ErrorKind, Result};
use std::{
    future::poll_fn,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{io::ReadBuf, net::TcpStream, time::timeout};

/// Enough that a reply of many records needs few system calls.
const INPUT: usize = 64 * 1024;

/// Bytes that a buffer keeps when it is empty.
const KEPT: usize = 4 * 1024 * 1024;

/// A connection and the history it talks to: `(connection, run_id)` never changes, another run is another connection.
///
/// A server that was a replica meanwhile has another history too, under the same run, and connections outlive that:
/// [`Conn::call_here`] finds it out.
#[derive(Debug)]
pub(crate) struct Conn {
    stream: Stream,
    address: Arc<str>,
    out: Vec<u8>,
    written: usize,
    input: Vec<u8>,
    start: usize,
    end: usize,
    id: u64,
    run_id: Arc<str>,
    version: String,
    replica: bool,
    /// How long it had been up.
    uptime: Duration,
    shas: Vec<String>,
    /// Behind sentinels: under which epoch it was made, and which is the latest.
    epoch: Option<(u64, Arc<AtomicU64>)>,
}

impl Conn {
    /// Connects, authenticates and learns which server this is; within `connect_timeout`.
    pub(crate) async fn open(topology: &Topology, node: &Node, role: &str) -> Result<Self> {
        let config = topology.config();
        match timeout(config.connect_timeout, topology.dial(node, role)).await {
            Ok(result) => result,
            Err(_) => {
                topology.doubt();
                Err(silent(&config.address()))
            }
        }
    }

    /// Connects to this server, secured so. What `config` says of servers and security is not looked at.
    pub(super) async fn dial(
        host: &Host,
        security: &Security,
        config: &RedisConfig,
        role: &str,
    ) -> Result<Self> {
        let mut conn = Self::connect(host, security).await?;
        match conn.introduce(security, config, role).await {
            Ok(()) => {
                security.worked();
                Ok(conn)
            }
            // It may be changed where it comes from before the next try.
            Err(error) if error == ErrorKind::Denied && security.is_renewable() => Err(error.transient(true)),
            Err(error) => Err(error),
        }
    }

    /// A connection that nothing was said on; with TLS its handshake is done.
    pub(super) async fn connect(host: &Host, security: &Security) -> Result<Self> {
        let address: Arc<str> = host.to_string().into();
        let stream = TcpStream::connect((&*host.name, host.port)).await;
        let stream = stream.map_err(|e| broken(&address, "cannot be reached", e))?;
        // Batches are written whole; waiting for more would only delay a lone one.
        stream
            .set_nodelay(true)
            .map_err(|e| broken(&address, "cannot be reached", e))?;
        Ok(Self {
            stream: security.secure(host, stream).await?,
            address,
            out: Vec::new(),
            written: 0,
            input: vec![0; INPUT],
            start: 0,
            end: 0,
            id: 0,
            run_id: "".into(),
            version: String::new(),
            replica: false,
            uptime: Duration::ZERO,
            shas: Vec::new(),
            epoch: None,
        })
    }

    async fn introduce(&mut self, security: &Security, config: &RedisConfig, role: &str) -> Result<()> {
        let name = format!("{}:{role}", config.client_id);
        let mut hello = Pipeline::new();
        hello.authenticate(security.user(), security.password().await?.as_ref());
        // Connections begin there, and not every user may choose.
        if config.database != 0 {
            hello.add(&[b"SELECT", config.database.to_string().as_bytes()]);
        }
        hello.add(&[b"CLIENT", b"SETNAME", name.as_bytes()]);
        hello.add(&[b"CLIENT", b"ID"]);
        hello.add(&[b"INFO", b"server"]);
        hello.add(promotion::ASK);
        let replies = self.call(&hello).await?;
        // The first error is the telling one: without AUTH all that follows is refused too.
        let replies: Vec<Value> = replies
            .into_iter()
            .map(|r| self.check(r))
            .collect::<Result<_>>()?;
        let [.., id, info, replication] = &replies[..] else {
            return Err(unexpected(&self.address, "INFO"));
        };
        self.replica = promotion::is_replica(replication.text().unwrap_or_default());
        self.id = id.int().unwrap_or(0) as u64;
        let info = info.text().unwrap_or_default();
        self.version = info_field(info, "redis_version").unwrap_or_default().into();
        let uptime = info_field(info, "uptime_in_seconds").and_then(|seconds| seconds.parse().ok());
        self.uptime = Duration::from_secs(uptime.unwrap_or(0));
        let run = info_field(info, "run_id").ok_or_else(|| unexpected(&self.address, "INFO server"))?;
        self.run_id = promotion::run_id(run, replication.text().unwrap_or_default()).into();
        Ok(())
    }

    /// Makes the scripts known to the server, again after a `SCRIPT FLUSH`.
    pub(crate) async fn load_scripts(&mut self) -> Result<()> {
        let mut load = Pipeline::new();
        for source in Script::sources() {
            load.add(&[b"SCRIPT", b"LOAD", source.as_bytes()]);
        }
        let replies = self.call(&load).await?;
        self.shas = replies
            .into_iter()
            .map(|reply| Ok(self.check(reply)?.text().unwrap_or_default().to_owned()))
            .collect::<Result<_>>()?;
        Ok(())
    }

    /// What the server calls a script.
    pub(crate) fn sha(&self, script: Script) -> &str {
        self.shas.get(script as usize).map_or("", |sha| sha)
    }
    /// Whether [`Conn::load_scripts`] has run.
    pub(crate) fn has_scripts(&self) -> bool {
        !self.shas.is_empty()
    }
    /// `host:port`.
    pub(crate) fn address(&self) -> &Arc<str> {
        &self.address
    }
    /// The server's number for this connection.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }
    /// The server's run and its last promotion: with another of either it may have another history.
    pub(crate) fn run_id(&self) -> &Arc<str> {
        &self.run_id
    }
    /// An error where the server says of its replication that it is a replica, or may have another history by now.
    pub(crate) fn check_history(&self, replication: &Value) -> Result<()> {
        promotion::check(
            &self.address,
            &self.run_id,
            replication.text().unwrap_or_default(),
        )
    }
    /// The server's version.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }
    /// Whether it was a replica when the connection was made: what it has may be behind what was confirmed.
    pub(crate) fn is_replica(&self) -> bool {
        self.replica
    }
    /// How long the server had been up when it was connected to, in whole seconds.
    pub(super) fn uptime(&self) -> Duration {
        self.uptime
    }
    /// Our end's address, which is where a member runs.
    pub(crate) fn local(&self) -> String {
        self.stream.local()
    }
    /// The reply, or the error that it is.
    pub(crate) fn check(&self, reply: Value) -> Result<Value> {
        match reply {
            Value::Error(text) => Err(classify(&self.address, &text)),
            reply => Ok(reply),
        }
    }

    /// Where commands are written to; they leave with the next [`Conn::exchange`].
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }
    /// Replies, or what is there of them.
    pub(crate) fn input(&self) -> &[u8] {
        &self.input[self.start..self.end]
    }
    /// Forgets the first `length` bytes of the input.
    pub(crate) fn consume(&mut self, length: usize) {
        self.start += length;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            // One huge record must not cost its size for ever.
            if self.input.len() > KEPT {
                self.input = vec![0; INPUT];
            }
        }
    }
    /// Makes room for replies that are expected to be large, so that they come in few pieces.
    pub(crate) fn expect_input(&mut self, bytes: usize) {
        if self.input.len() < bytes {
            self.input.resize(bytes, 0);
        }
    }

    /// Writes what waits and returns when something has come. Cancel-safe: what was written and read stays so.
    pub(crate) async fn exchange(&mut self) -> Result<()> {
        // Before anything is written, and before what has come is believed.
        self.check_epoch()?;
        let result = poll_fn(|cx| match self.poll_write(cx) {
            // Who closes a connection may have said why.
            Err(e) => match self.poll_read(cx) {
                Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
                Poll::Ready(Err(why)) if why.kind() == io::ErrorKind::InvalidData => Poll::Ready(Err(why)),
                _ => Poll::Ready(Err(e)),
            },
            Ok(()) => self.poll_read(cx),
        })
        .await;
        result.map_err(|e| security::explain(&self.address, e, "closed the connection"))?;
        self.check_epoch()
    }
    /// The primary that the sentinels of `topology` named under this epoch.
    pub(super) fn belongs_to(&mut self, topology: &Topology, epoch: u64) {
        self.epoch = Some((epoch, topology.latest()));
    }
    /// An error where there was a failover since: the server may live on and not know it yet.
    fn check_epoch(&self) -> Result<()> {
        match &self.epoch {
            Some((epoch, latest)) if latest.load(Ordering::Relaxed) != *epoch => {
                let address = &self.address;
                let sentence = format!("redis at {address} was replaced as the primary by a failover");
                Err(Error::unavailable(sentence))
            }
            _ => Ok(()),
        }
    }
    /// Writes as much as the socket takes now; the rest leaves with the next [`Conn::exchange`].
    pub(crate) fn flush_now(&mut self) {
        // An error shows itself at the next exchange.
        let _ = self.poll_write(&mut Context::from_waker(Waker::noop()));
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.written < self.out.len() {
            match self.stream.poll_write(cx, &self.out[self.written..]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(n)) => self.written += n,
                Poll::Ready(Err(e)) => return Err(e),
                Poll::Pending => return Ok(()),
            }
        }
        self.out.clear();
        self.out.shrink_to(KEPT);
        self.written = 0;
        self.stream.send_on(cx)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.end == self.input.len() {
            if self.start > 0 {
                self.input.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            } else {
                self.input.resize(self.input.len() * 2, 0);
            }
        }
        let mut free = ReadBuf::new(&mut self.input[self.end..]);
        match self.stream.poll_read(cx, &mut free) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
            Poll::Ready(Ok(())) => match free.filled().len() {
                0 => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                n => {
                    self.end += n;
                    Poll::Ready(Ok(()))
                }
            },
        }
    }

    /// Sends commands and reads their replies; those that are errors are among them. A failed or dropped call leaves
    /// the connection out of step: it must not be used again.
    pub(crate) async fn call(&mut self, pipeline: &Pipeline) -> Result<Vec<Value>> {
        self.write(pipeline);
        self.replies(pipeline.len()).await
    }
    /// [`Conn::call`], and an error where the server is a replica or has another history by now: the replies may come
    /// from that one.
    pub(crate) async fn call_here(&mut self, pipeline: &Pipeline) -> Result<Vec<Value>> {
        self.write(pipeline);
        encode::command(&mut self.out, promotion::ASK);
        let mut replies = self.replies(pipeline.len() + 1).await?;
        let told = replies.pop().unwrap_or(Value::Nil);
        let told = self.check(told)?;
        self.check_history(&told)?;
        Ok(replies)
    }
    fn write(&mut self, pipeline: &Pipeline) {
        let Self { out, shas, .. } = self;
        pipeline.write(out, |script| {
            shas.get(script as usize).cloned().unwrap_or_default()
        });
    }
    async fn replies(&mut self, count: usize) -> Result<Vec<Value>> {
        let mut replies = Vec::with_capacity(count);
        while replies.len() < count {
            match Value::parse(self.input())? {
                Some((value, length)) => {
                    self.consume(length);
                    replies.push(value);
                }
                None => self.exchange().await?,
            }
        }
        Ok(replies)
    }
}

/// The value of a line of `INFO`.
pub(crate) fn info_field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

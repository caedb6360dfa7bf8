//! Streams that one connection reads: plain `XREAD`, which changes nothing on the server. What was decoded waits at the
//! [`Reader`](super::reader::Reader) until there is room.

use super::{
    cursor::Cursor,
    decode::{Decoder, Step},
    reader::Chunk,
    state::{Open, Shared},
};
use crate::{
    Context,
    error::{broken, classify},
    id,
    wire::{Conn, Node, Value, encode, promotion},
};
use bus_core::{Batch, Error, ErrorKind, Event, Result, Shard};
use std::{
    collections::VecDeque,
    future::{Future, pending},
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::{sleep_until, timeout_at};

/// How long the server waits for news. Short enough that a shard that was gained is read soon even where the user may
/// not call `CLIENT UNBLOCK`; long enough to cost nothing.
const BLOCK: Duration = Duration::from_millis(1000);
/// Entries of one stream in one reply: beyond it the reply's own cost is gone anyway.
const COUNT: usize = 1000;
/// Bytes of one reply, over all streams.
const REPLY: usize = 4 * 1024 * 1024;
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

type Opening = Pin<Box<dyn Future<Output = Result<(Conn, Node)>> + Send>>;

/// What a feed waited for.
#[allow(clippy::large_enum_variant, reason = "it is handed over at once, never kept")]
pub(super) enum Ready {
    Opened(Result<(Conn, Node)>),
    Input(Result<()>),
    Elsewhere,
}

/// Streams that one command can read, and the connection that does.
pub(super) struct Feed {
    context: Arc<Context>,
    /// What its streams have in common, as [`Topology::reading`](crate::wire::Topology::reading) says.
    pub(super) number: u16,
    conn: Option<(Conn, Node)>,
    opening: Option<Opening>,
    pause: Duration,
    retry_at: Option<Instant>,
    decoder: Decoder,
    /// The shards of the request that is on its way, if any, and when its answer is overdue.
    request: Vec<(Shard, Arc<str>)>,
    answer_by: Option<Instant>,
    /// The records have come, and out of which history they are is still to be told.
    asking: bool,
    /// What has come until then.
    read_now: Vec<(Shard, Batch, u128)>,
    unblocked: bool,
    read: (usize, usize),
    average: usize,
    pub(super) cursors: Vec<Cursor>,
}

impl Feed {
    pub(super) fn new(context: Arc<Context>, number: u16) -> Self {
        Self {
            context,
            number,
            conn: None,
            opening: None,
            pause: Duration::ZERO,
            retry_at: None,
            decoder: Decoder::default(),
            request: Vec::new(),
            answer_by: None,
            asking: false,
            read_now: Vec::new(),
            unblocked: false,
            read: (0, 0),
            // A guess until the first reply: small replies first.
            average: 2048,
            cursors: Vec::new(),
        }
    }

    /// A shard is to be read from now on. Whether its end has been seen already.
    pub(super) fn open(&mut self, open: &Open) -> bool {
        let cursor = Cursor::at(open);
        let seen = cursor.end.is_none();
        self.cursors.push(cursor);
        seen
    }
    /// Whether a reply is on its way.
    pub(super) fn is_reading(&self) -> bool {
        self.answer_by.is_some()
    }
    /// Whether there is nothing to read, nor on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.cursors.is_empty() && !self.is_reading()
    }
    fn cursor(&mut self, shard: Shard) -> Option<&mut Cursor> {
        self.cursors.iter_mut().find(|c| c.shard == shard)
    }

    /// Sends the next request, unless one is on its way: while the caller works on what it has, the server reads.
    pub(super) fn ask(&mut self) {
        let Some((conn, node)) = &mut self.conn else {
            return;
        };
        let reads = |c: &&Cursor| !c.paused && !c.suspended && promotion::same(&c.run_id, conn.run_id());
        if self.answer_by.is_some() {
            let left_out =
                |c: &Cursor| c.waiting == 0 && !self.request.iter().any(|(shard, _)| *shard == c.shard);
            let late = !self.unblocked && self.cursors.iter().filter(reads).any(left_out);
            if late {
                self.unblocked = true;
                let (link, node) = (self.context.link.clone(), node.clone());
                let id = conn.id().to_string();
                // Where it is not allowed, the read ends by itself soon.
                tokio::spawn(async move {
                    let words = [&b"CLIENT"[..], b"UNBLOCK", id.as_bytes()];
                    link.ask_at(&node, &words).await
                });
            }
            return;
        }
        let wanted: Vec<&Cursor> = self.cursors.iter().filter(reads).collect();
        let open: Vec<&Cursor> = wanted
            .iter()
            .copied()
            .filter(|c| c.waiting < Batch::ARENA)
            .collect();
        if open.is_empty() {
            return;
        }
        let share = (REPLY / open.len()).min(Batch::ARENA);
        let count = (share / self.average.max(1)).clamp(1, COUNT);
        // With a full shard left out, blocking would let it wait for the others' news.
        let block = open.len() == wanted.len();
        let out = conn.out();
        encode::array(out, 4 + 2 * usize::from(block) + 2 * open.len());
        encode::bulk(out, b"XREAD");
        encode::bulk(out, b"COUNT");
        encode::number(out, count as i64);
        if block {
            encode::bulk(out, b"BLOCK");
            encode::number(out, BLOCK.as_millis() as i64);
        }
        encode::bulk(out, b"STREAMS");
        for cursor in &open {
            encode::bulk(out, cursor.stream.as_bytes());
        }
        for cursor in &open {
            encode::bulk(out, id::before(cursor.next).as_bytes());
        }
        // Behind, not before: however late the request arrives, what it brings is older than the answer to this.
        encode::command(out, promotion::ASK);
        let request: Vec<_> = open.iter().map(|c| (c.shard, c.stream.clone())).collect();
        conn.expect_input((count * self.average * open.len()).min(REPLY / 4));
        self.answer_by = Some(Instant::now() + BLOCK + self.context.config.connect_timeout);
        self.unblocked = false;
        conn.flush_now();
        for (shard, _) in &request {
            if let Some(cursor) = self.cursor(*shard) {
                cursor.asked = cursor.next;
            }
        }
        self.request = request;
    }

    /// Waits for a piece of the reply, or for the connection. Cancel-safe.
    pub(super) async fn wait(&mut self) -> Ready {
        if self.conn.is_none() {
            return Ready::Opened(self.connect().await);
        }
        let Some(by) = self.answer_by else {
            if self.is_elsewhere() {
                return Ready::Elsewhere;
            }
            return pending().await;
        };
        let Some((conn, _)) = &mut self.conn else {
            return pending().await;
        };
        let result = timeout_at(by.into(), conn.exchange()).await;
        Ready::Input(result.unwrap_or_else(|_| Err(crate::error::silent(conn.address()))))
    }

    /// Goes on with what there was.
    pub(super) fn advance(
        &mut self,
        ready: Ready,
        shared: &Shared,
        chunks: &mut VecDeque<Chunk>,
        events: &mut Vec<Event>,
    ) -> Result<()> {
        match ready {
            Ready::Opened(Ok((conn, node))) => {
                self.context.health.connected(&node);
                self.conn = Some((conn, node));
            }
            Ready::Opened(Err(error)) if error.is_transient() => self.disconnect(&error),
            Ready::Opened(Err(error)) => return Err(error),
            Ready::Input(Ok(())) => self.decode(shared, chunks, events)?,
            Ready::Input(Err(error)) => self.disconnect(&error),
            Ready::Elsewhere => {
                let address = self.context.config.address();
                let sentence = format!(
                    "the reading connection to redis at {address} leads to another run of it than the leases"
                );
                self.disconnect(&Error::unavailable(sentence));
                shared.kick.notify_one();
            }
        }
        Ok(())
    }

    /// Whether there is something to read, but not where this connection leads: after a failover.
    fn is_elsewhere(&self) -> bool {
        let Some((conn, _)) = &self.conn else { return false };
        self.cursors
            .iter()
            .any(|c| !promotion::same(&c.run_id, conn.run_id()))
    }

    async fn connect(&mut self) -> Result<(Conn, Node)> {
        let Some(cursor) = self.cursors.first() else {
            return pending().await;
        };
        let stream = cursor.stream.clone();
        if let Some(at) = self.retry_at {
            sleep_until(at.into()).await;
            self.retry_at = None;
        }
        let context = self.context.clone();
        let opening = self.opening.get_or_insert_with(|| {
            Box::pin(async move {
                context.topology.settle().await;
                let node = context.topology.node_of(stream.as_bytes());
                let conn = Conn::open(&context.topology, &node, "read").await;
                let conn = conn.and_then(|conn| match conn.is_replica() {
                    // It answers reads, out of a history that may be another's.
                    true => Err(promotion::replica(conn.address())),
                    false => Ok(conn),
                });
                if let Err(error) = &conn {
                    context.health.down(&node, error);
                }
                Ok((conn?, node))
            })
        });
        let result = opening.as_mut().await;
        self.opening = None;
        result
    }

    fn disconnect(&mut self, error: &Error) {
        match self.conn.take() {
            Some((_, node)) => self.context.health.down(&node, error),
            None => tracing::debug!(%error, "not connected"),
        }
        self.context.topology.doubt();
        self.answer_by = None;
        self.asking = false;
        self.read_now.clear();
        // Half a batch is read again: a place moves only with what is complete.
        self.decoder = Decoder::default();
        self.pause = (self.pause * 2).clamp(Duration::from_millis(20), LONGEST_PAUSE);
        self.retry_at = Some(Instant::now() + self.pause);
    }

    fn decode(
        &mut self,
        shared: &Shared,
        chunks: &mut VecDeque<Chunk>,
        events: &mut Vec<Event>,
    ) -> Result<()> {
        let keys: Vec<&str> = self.request.iter().map(|(_, stream)| &**stream).collect();
        let mut failed = None;
        let Some((conn, node)) = &mut self.conn else {
            return Ok(());
        };
        while !self.asking {
            let (used, step) = match self.decoder.step(conn.input(), &keys) {
                Ok(step) => step,
                Err(_) => {
                    let source = std::io::Error::other("the reply to XREAD is malformed");
                    failed = Some(broken(conn.address(), "sent what is not RESP2", source));
                    break;
                }
            };
            conn.consume(used);
            self.read.0 += used;
            match step {
                Step::Wait => break,
                Step::Batch(stream, batch, last) => {
                    self.read.1 += batch.records().len();
                    self.read_now.push((self.request[stream].0, batch, last));
                }
                Step::End => {
                    self.asking = true;
                    if self.read.1 > 0 {
                        self.average = self.read.0.div_ceil(self.read.1);
                    }
                    self.read = (0, 0);
                }
                Step::Refused(text) => {
                    let text = self.context.topology.explained(text, node);
                    failed = Some(classify(conn.address(), &text));
                    break;
                }
            }
        }
        match failed {
            // A key that is no stream any more is the keeper's to tell: the topic is lost, not the subscription.
            Some(error) if error.is_transient() || error == ErrorKind::Conflict => self.disconnect(&error),
            Some(error) => return Err(error),
            None if self.asking => self.take(shared, chunks, events),
            None => {}
        }
        Ok(())
    }

    /// Takes what has come, when it was told that it is of the history that was read before.
    fn take(&mut self, shared: &Shared, chunks: &mut VecDeque<Chunk>, events: &mut Vec<Event>) {
        match self.is_same_history() {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                shared.kick.notify_one();
                return self.disconnect(&error);
            }
        }
        self.asking = false;
        self.answer_by = None;
        // Not when it was made: one that only brings errors is replaced ever later.
        self.pause = Duration::ZERO;
        for (shard, batch, last) in std::mem::take(&mut self.read_now) {
            self.accept(shared, chunks, shard, batch, last);
        }
        self.ended(chunks, events);
    }

    /// The answer that comes behind the records: an error where they are not to be taken, `false` where it is not there
    /// yet.
    fn is_same_history(&mut self) -> Result<bool> {
        let Some((conn, _)) = &mut self.conn else {
            return Ok(false);
        };
        let Some((told, used)) = Value::parse(conn.input())? else {
            return Ok(false);
        };
        conn.consume(used);
        let told = conn.check(told)?;
        conn.check_history(&told)?;
        Ok(true)
    }

    fn accept(
        &mut self,
        shared: &Shared,
        chunks: &mut VecDeque<Chunk>,
        shard: Shard,
        batch: Batch,
        last: u128,
    ) {
        let Some(cursor) = self.cursor(shard) else { return };
        cursor.next = last.saturating_add(1);
        cursor.waiting += batch.records().iter().map(bus_core::Entry::size).sum::<usize>();
        if let Some(held) = shared.lock().get(shard) {
            held.read = Some(last);
            if held.counting {
                let positions = batch.records().iter().map(|r| r.position);
                held.ordinals.read(positions.collect());
            }
        }
        chunks.push_back(Chunk {
            shard,
            batch: Arc::new(batch),
            from: 0,
        });
    }

    /// A reply is complete: a shard of which nothing came is at its end, also where that end was removed meanwhile.
    fn ended(&mut self, chunks: &VecDeque<Chunk>, events: &mut Vec<Event>) {
        for (shard, _) in &self.request {
            let cursor = self.cursors.iter_mut().find(|c| c.shard == *shard);
            // What came may have been handed out already, piece by piece, and more of it may be left at the server.
            if let Some(cursor) = cursor.filter(|c| c.end.is_some() && c.next == c.asked)
                && !chunks.iter().any(|c| c.shard == *shard)
            {
                cursor.end = None;
                events.push(Event::CaughtUp(*shard));
            }
        }
    }
}

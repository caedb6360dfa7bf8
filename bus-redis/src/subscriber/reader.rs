//! Reads what is owned: plain `XREAD` on a connection of its own. Reading changes nothing on the server, so that a call
//! can be dropped anywhere; what was decoded waits here until there is room.

use super::{
    decode::{Decoder, Step},
    state::{Open, Shared},
};
use crate::{
    Context,
    error::{broken, classify},
    id,
    wire::{Conn, Value, encode, promotion},
};
use bus_core::{Batch, Error, ErrorKind, Event, Result, Room, Shard};
use std::{
    collections::VecDeque,
    fmt,
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

/// One shard's place.
#[derive(Debug)]
struct Cursor {
    shard: Shard,
    stream: Arc<str>,
    run_id: Arc<str>,
    next: u128,
    /// The end that was seen when it was gained, until it was handed out.
    end: Option<u128>,
    paused: bool,
    suspended: bool,
    /// Bytes that wait here.
    waiting: usize,
    /// From where the last request asked.
    asked: u128,
}

/// Records that wait for room.
#[derive(Debug)]
struct Chunk {
    shard: Shard,
    batch: Arc<Batch>,
    from: u32,
}

type Opening = Pin<Box<dyn Future<Output = Result<Conn>> + Send>>;

/// The reading half of a subscriber.
pub(crate) struct Reader {
    context: Arc<Context>,
    conn: Option<Conn>,
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
    cursors: Vec<Cursor>,
    chunks: VecDeque<Chunk>,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("cursors", &self.cursors)
            .field("waiting", &self.chunks.len())
            .finish_non_exhaustive()
    }
}

impl Reader {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self {
            context,
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
            chunks: VecDeque::new(),
        }
    }

    /// A shard is to be read from now on. Whether its end has been seen already.
    pub(crate) fn open(&mut self, open: &Open) -> bool {
        let end = open.end.filter(|end| *end >= open.next);
        self.cursors.push(Cursor {
            shard: open.shard,
            stream: open.stream.clone(),
            run_id: open.run_id.clone(),
            next: open.next,
            end,
            paused: false,
            suspended: false,
            waiting: 0,
            asked: open.next,
        });
        end.is_none()
    }
    /// A shard is not to be read any more; what waits of it is dropped.
    pub(crate) fn shut(&mut self, shard: Shard) {
        self.cursors.retain(|c| c.shard != shard);
        self.chunks.retain(|c| c.shard != shard);
    }
    pub(crate) fn pause(&mut self, shard: Shard, paused: bool) {
        if let Some(cursor) = self.cursor(shard) {
            cursor.paused = paused;
        }
    }
    pub(crate) fn suspend(&mut self, shard: Shard, suspended: bool) {
        if let Some(cursor) = self.cursor(shard) {
            cursor.suspended = suspended;
        }
    }
    /// The first position of a shard that was not read.
    pub(crate) fn next(&self, shard: Shard) -> Option<u128> {
        self.cursors.iter().find(|c| c.shard == shard).map(|c| c.next)
    }
    /// The first position of a shard that was not handed out.
    pub(crate) fn handed_out(&self, shard: Shard) -> Option<u128> {
        let waiting = self.chunks.iter().find(|chunk| chunk.shard == shard);
        match waiting {
            Some(chunk) => Some(chunk.batch.records()[chunk.from as usize].position),
            None => self.next(shard),
        }
    }
    /// Whether a reply is on its way.
    pub(crate) fn is_reading(&self) -> bool {
        self.answer_by.is_some()
    }
    fn cursor(&mut self, shard: Shard) -> Option<&mut Cursor> {
        self.cursors.iter_mut().find(|c| c.shard == shard)
    }

    /// Hands out what waits, as far as `room` goes.
    pub(crate) fn hand_out(&mut self, room: Room, events: &mut Vec<Event>) {
        let (mut messages, mut bytes) = (room.messages, room.bytes);
        let mut first = true;
        let mut index = 0;
        while messages > 0 && index < self.chunks.len() {
            let chunk = &mut self.chunks[index];
            let Some(cursor) = self.cursors.iter_mut().find(|c| c.shard == chunk.shard) else {
                self.chunks.remove(index);
                continue;
            };
            if cursor.paused || cursor.suspended {
                index += 1;
                continue;
            }
            let records = chunk.batch.records();
            let mut to = chunk.from as usize;
            let mut size = 0;
            while let Some(record) = records.get(to).filter(|_| to - (chunk.from as usize) < messages) {
                if size + record.size() > bytes && !(first && to == chunk.from as usize) {
                    break;
                }
                size += record.size();
                to += 1;
            }
            let range = chunk.from..to as u32;
            if range.is_empty() {
                break;
            }
            first = false;
            messages -= range.len();
            bytes = bytes.saturating_sub(size);
            cursor.waiting = cursor.waiting.saturating_sub(size);
            chunk.from = range.end;
            let last = records[to - 1].position;
            let shard = chunk.shard;
            events.push(Event::Records {
                shard,
                batch: chunk.batch.clone(),
                range,
            });
            if cursor.end.is_some_and(|end| last >= end) {
                cursor.end = None;
                events.push(Event::CaughtUp(shard));
            }
            if to == records.len() {
                self.chunks.remove(index);
            }
        }
    }

    /// Sends the next request, unless one is on its way: while the caller works on what it has, the server reads.
    pub(crate) fn ask(&mut self) {
        let Some(conn) = &mut self.conn else { return };
        let reads = |c: &&Cursor| !c.paused && !c.suspended && promotion::same(&c.run_id, conn.run_id());
        if self.answer_by.is_some() {
            let left_out =
                |c: &Cursor| c.waiting == 0 && !self.request.iter().any(|(shard, _)| *shard == c.shard);
            let late = !self.unblocked && self.cursors.iter().filter(reads).any(left_out);
            if late {
                self.unblocked = true;
                let (link, id) = (self.context.link.clone(), conn.id().to_string());
                // Where it is not allowed, the read ends by itself soon.
                tokio::spawn(async move { link.ask(&[b"CLIENT", b"UNBLOCK", id.as_bytes()]).await });
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

    /// Waits for a piece of the reply, or for the connection. Returns after progress; cancel-safe.
    pub(crate) async fn advance(&mut self, shared: &Shared, events: &mut Vec<Event>) -> Result<()> {
        if self.conn.is_none() {
            return self.connect().await;
        }
        let Some(by) = self.answer_by else {
            if self.is_elsewhere() {
                let address = self.context.config.address();
                let sentence = format!(
                    "the reading connection to redis at {address} leads to another run of it than the leases"
                );
                self.disconnect(&Error::unavailable(sentence));
                shared.kick.notify_one();
                return Ok(());
            }
            return pending().await;
        };
        let Some(conn) = &mut self.conn else { return Ok(()) };
        let result = timeout_at(by.into(), conn.exchange()).await;
        let result = result.unwrap_or_else(|_| Err(crate::error::silent(conn.address())));
        match result {
            Ok(()) => self.decode(shared, events),
            Err(error) => {
                self.disconnect(&error);
                Ok(())
            }
        }
    }

    /// Whether there is something to read, but not where this connection leads: after a failover.
    fn is_elsewhere(&self) -> bool {
        let Some(conn) = &self.conn else { return false };
        self.cursors
            .iter()
            .any(|c| !promotion::same(&c.run_id, conn.run_id()))
    }

    async fn connect(&mut self) -> Result<()> {
        if self.cursors.is_empty() {
            return pending().await;
        }
        if let Some(at) = self.retry_at {
            sleep_until(at.into()).await;
            self.retry_at = None;
        }
        let context = self.context.clone();
        let opening = self
            .opening
            .get_or_insert_with(|| Box::pin(async move { Conn::open(&context.topology, "read").await }));
        let result = opening.as_mut().await;
        self.opening = None;
        match result {
            // It answers reads, out of a history that may be another's.
            Ok(conn) if conn.is_replica() => self.disconnect(&promotion::replica(conn.address())),
            Ok(conn) => {
                self.context.health.connected();
                self.conn = Some(conn);
            }
            Err(error) if error.is_transient() => self.disconnect(&error),
            Err(error) => {
                self.context.health.down(&error);
                return Err(error);
            }
        }
        Ok(())
    }

    fn disconnect(&mut self, error: &Error) {
        self.context.health.down(error);
        self.conn = None;
        self.answer_by = None;
        self.asking = false;
        self.read_now.clear();
        // Half a batch is read again: a place moves only with what is complete.
        self.decoder = Decoder::default();
        self.pause = (self.pause * 2).clamp(Duration::from_millis(20), LONGEST_PAUSE);
        self.retry_at = Some(Instant::now() + self.pause);
    }

    fn decode(&mut self, shared: &Shared, events: &mut Vec<Event>) -> Result<()> {
        let keys: Vec<&str> = self.request.iter().map(|(_, stream)| &**stream).collect();
        let mut failed = None;
        let Some(conn) = &mut self.conn else { return Ok(()) };
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
                    failed = Some(classify(conn.address(), &text));
                    break;
                }
            }
        }
        match failed {
            // A key that is no stream any more is the keeper's to tell: the topic is lost, not the subscription.
            Some(error) if error.is_transient() || error == ErrorKind::Conflict => self.disconnect(&error),
            Some(error) => return Err(error),
            None if self.asking => self.take(shared, events),
            None => {}
        }
        Ok(())
    }

    /// Takes what has come, when it was told that it is of the history that was read before.
    fn take(&mut self, shared: &Shared, events: &mut Vec<Event>) {
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
            self.accept(shared, shard, batch, last);
        }
        self.ended(events);
    }

    /// The answer that comes behind the records: an error where they are not to be taken, `false` where it is not there
    /// yet.
    fn is_same_history(&mut self) -> Result<bool> {
        let Some(conn) = &mut self.conn else {
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

    fn accept(&mut self, shared: &Shared, shard: Shard, batch: Batch, last: u128) {
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
        self.chunks.push_back(Chunk {
            shard,
            batch: Arc::new(batch),
            from: 0,
        });
    }

    /// A reply is complete: a shard of which nothing came is at its end, also where that end was removed meanwhile.
    fn ended(&mut self, events: &mut Vec<Event>) {
        for (shard, _) in &self.request {
            let cursor = self.cursors.iter_mut().find(|c| c.shard == *shard);
            // What came may have been handed out already, piece by piece, and more of it may be left at the server.
            if let Some(cursor) = cursor.filter(|c| c.end.is_some() && c.next == c.asked)
                && !self.chunks.iter().any(|c| c.shard == *shard)
            {
                cursor.end = None;
                events.push(Event::CaughtUp(*shard));
            }
        }
    }
}

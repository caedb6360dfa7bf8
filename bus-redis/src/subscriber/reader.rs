//! Reads what is owned, over a connection for each number of streams that one command can read. Reading changes nothing
//! on the server, so that a call can be dropped anywhere; what was decoded waits here until there is room.

use super::{
    cursor::Cursor,
    feed::{Feed, Ready},
    state::{Open, Shared},
};
use crate::Context;
use bus_core::{Batch, Event, Result, Room, Shard};
use std::{
    collections::VecDeque,
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::Poll,
};

/// Records that wait for room.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) shard: Shard,
    pub(super) batch: Arc<Batch>,
    pub(super) from: u32,
}

/// The reading half of a subscriber.
pub(crate) struct Reader {
    context: Arc<Context>,
    feeds: Vec<Feed>,
    chunks: VecDeque<Chunk>,
    /// Which feed is looked at first: none may keep the others waiting.
    turn: usize,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("feeds", &self.feeds.len())
            .field("waiting", &self.chunks.len())
            .finish_non_exhaustive()
    }
}

impl Reader {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            feeds: Vec::new(),
            chunks: VecDeque::new(),
            turn: 0,
        }
    }

    /// A shard is to be read from now on. Whether its end has been seen already.
    pub(crate) fn open(&mut self, open: &Open) -> bool {
        let number = self.context.topology.reading(&open.stream);
        self.feeds.retain(|feed| feed.number == number || !feed.is_idle());
        let known = self.feeds.iter().position(|feed| feed.number == number);
        let feed = known.unwrap_or_else(|| {
            self.feeds.push(Feed::new(self.context.clone(), number));
            self.feeds.len() - 1
        });
        self.feeds[feed].open(open)
    }
    /// A shard is not to be read any more; what waits of it is dropped.
    pub(crate) fn shut(&mut self, shard: Shard) {
        for feed in &mut self.feeds {
            feed.cursors.retain(|c| c.shard != shard);
        }
        self.chunks.retain(|c| c.shard != shard);
    }
    pub(crate) fn pause(&mut self, shard: Shard, paused: bool) {
        if let Some(cursor) = cursor(&mut self.feeds, shard) {
            cursor.paused = paused;
        }
    }
    pub(crate) fn suspend(&mut self, shard: Shard, suspended: bool) {
        if let Some(cursor) = cursor(&mut self.feeds, shard) {
            cursor.suspended = suspended;
        }
    }
    /// The first position of a shard that was not read.
    pub(crate) fn next(&self, shard: Shard) -> Option<u128> {
        let mut cursors = self.feeds.iter().flat_map(|feed| &feed.cursors);
        cursors.find(|c| c.shard == shard).map(|c| c.next)
    }
    /// The first position of a shard that was not handed out.
    pub(crate) fn handed_out(&self, shard: Shard) -> Option<u128> {
        let waiting = self.chunks.iter().find(|chunk| chunk.shard == shard);
        match waiting {
            Some(chunk) => Some(chunk.batch.records()[chunk.from as usize].position),
            None => self.next(shard),
        }
    }
    /// Whether a reply is on its way that may bring something of a shard.
    pub(crate) fn is_reading(&self, shard: Shard) -> bool {
        let feed = self
            .feeds
            .iter()
            .find(|feed| feed.cursors.iter().any(|c| c.shard == shard));
        feed.is_some_and(Feed::is_reading)
    }

    /// Sends the next requests, where none is on its way: while the caller works on what it has, the server reads.
    pub(crate) fn ask(&mut self) {
        self.feeds.iter_mut().for_each(Feed::ask);
    }

    /// Waits for a piece of a reply, or for a connection. Returns after progress; cancel-safe.
    pub(crate) async fn advance(&mut self, shared: &Shared, events: &mut Vec<Event>) -> Result<()> {
        let (index, ready) = match &mut self.feeds[..] {
            [] => return std::future::pending().await,
            [only] => (0, only.wait().await),
            several => first(several, self.turn).await,
        };
        self.turn = index + 1;
        self.feeds[index].advance(ready, shared, &mut self.chunks, events)
    }

    /// Hands out what waits, as far as `room` goes.
    pub(crate) fn hand_out(&mut self, room: Room, events: &mut Vec<Event>) {
        let (mut messages, mut bytes) = (room.messages, room.bytes);
        let mut first = true;
        let mut index = 0;
        while messages > 0 && index < self.chunks.len() {
            let chunk = &mut self.chunks[index];
            let Some(cursor) = cursor(&mut self.feeds, chunk.shard) else {
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
}

fn cursor(feeds: &mut [Feed], shard: Shard) -> Option<&mut Cursor> {
    let mut cursors = feeds.iter_mut().flat_map(|feed| &mut feed.cursors);
    cursors.find(|c| c.shard == shard)
}

/// The first feed that is ready, from the one whose turn it is on.
async fn first(feeds: &mut [Feed], turn: usize) -> (usize, Ready) {
    let turn = turn % feeds.len();
    type Waiting<'a> = Pin<Box<dyn Future<Output = Ready> + Send + 'a>>;
    let waiting = feeds.iter_mut().enumerate();
    let mut waiting: Vec<(usize, Waiting<'_>)> = waiting
        .map(|(index, feed)| (index, Box::pin(feed.wait()) as Waiting<'_>))
        .collect();
    waiting.rotate_left(turn);
    poll_fn(|cx| {
        for (index, future) in &mut waiting {
            if let Poll::Ready(ready) = future.as_mut().poll(cx) {
                return Poll::Ready((*index, ready));
            }
        }
        Poll::Pending
    })
    .await
}

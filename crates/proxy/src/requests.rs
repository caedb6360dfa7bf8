//! What a connection reads: requests, which may be held, and replies, which may be swallowed.

use crate::{
    faults::{Late, Link},
    frame::{Frame, Framing},
    lane::{End, Item},
    shared::{Shared, Verdict},
    strike::Struck,
};
use bytes::BytesMut;
use parking_lot::Mutex;
use std::{collections::HashMap, time::Duration};
use tokio::{
    io::AsyncReadExt,
    net::tcp::ReadHalf,
    sync::{Notify, mpsc},
    time::{Instant, timeout},
};

/// How long a client that is about to be hung up on must have been quiet: what it is writing just now, such as the
/// rest of a transaction, belongs to the late request.
const QUIET: Duration = Duration::from_millis(20);
/// How much is read at once.
const CHUNK: usize = 64 * 1024;

/// What the two directions of a connection tell each other.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// Requests whose replies are to be swallowed.
    swallow: Mutex<HashMap<u64, Option<Struck>>>,
    /// The client is not to be talked to any more.
    pub(crate) hang_up: Notify,
}

/// When what is read now arrives; never before what was read earlier.
struct Clock {
    last: Instant,
}

impl Clock {
    fn due(&mut self, shared: &Shared, link: &Link) -> Instant {
        let jitter = shared.rng.lock().time(&(Duration::ZERO..=link.jitter));
        self.last = self.last.max(Instant::now() + link.delay + jitter);
        self.last
    }
}

pub(crate) async fn requests(mut from: ReadHalf<'_>, to: mpsc::Sender<Item>, shared: &Shared, marks: &Marks) {
    let mut framing = Framing::requests(shared.protocol);
    let mut buffer = BytesMut::with_capacity(CHUNK);
    let mut clock = Clock { last: Instant::now() };
    loop {
        let end = read(&mut from, &mut buffer).await;
        let mut hang_up = false;
        while let Some(frame) = framing.split(&mut buffer) {
            let mut due = clock.due(shared, &shared.faults.borrow().to_server);
            let mut struck = None;
            match judge(shared, &frame) {
                Verdict::Pass => {}
                Verdict::DropReply(strike) => {
                    if let Some(id) = frame.id {
                        marks.swallow.lock().insert(id, strike);
                    }
                }
                Verdict::Hold {
                    time,
                    late,
                    struck: strike,
                } => {
                    due += time;
                    clock.last = due;
                    hang_up |= late == Late::HungUp;
                    struck = Some(strike);
                }
            }
            if to
                .send(Item::Bytes {
                    bytes: frame.bytes,
                    due,
                    held: struck,
                })
                .await
                .is_err()
            {
                return;
            }
        }
        if hang_up && end.is_none() {
            while matches!(timeout(QUIET, read(&mut from, &mut buffer)).await, Ok(None)) {}
            let rest = std::iter::from_fn(|| framing.split(&mut buffer));
            for frame in rest {
                let _ = to
                    .send(Item::Bytes {
                        bytes: frame.bytes,
                        due: clock.last,
                        held: None,
                    })
                    .await;
            }
            marks.hang_up.notify_one();
            let _ = to.send(Item::End(End::HungUp)).await;
            return;
        }
        if let Some(end) = end {
            let _ = to
                .send(Item::Bytes {
                    bytes: buffer,
                    due: clock.last,
                    held: None,
                })
                .await;
            let _ = to.send(Item::End(end)).await;
            return;
        }
    }
}

fn judge(shared: &Shared, frame: &Frame) -> Verdict {
    match &frame.call {
        Some(call) => shared.judge(call, &frame.bytes),
        None => Verdict::Pass,
    }
}

pub(crate) async fn replies(mut from: ReadHalf<'_>, to: mpsc::Sender<Item>, shared: &Shared, marks: &Marks) {
    let mut framing = Framing::replies(shared.protocol);
    let mut buffer = BytesMut::with_capacity(CHUNK);
    let mut clock = Clock { last: Instant::now() };
    loop {
        let end = read(&mut from, &mut buffer).await;
        while let Some(frame) = framing.split(&mut buffer) {
            let swallowed = frame.id.and_then(|id| marks.swallow.lock().remove(&id));
            let due = clock.due(shared, &shared.faults.borrow().to_client);
            let item = match swallowed {
                Some(struck) => Item::End(End::Swallowed(struck)),
                None => Item::Bytes {
                    bytes: frame.bytes,
                    due,
                    held: None,
                },
            };
            let ends = matches!(item, Item::End(_));
            if to.send(item).await.is_err() || ends {
                return;
            }
        }
        if let Some(end) = end {
            let _ = to
                .send(Item::Bytes {
                    bytes: buffer,
                    due: clock.last,
                    held: None,
                })
                .await;
            let _ = to.send(Item::End(end)).await;
            return;
        }
    }
}

/// Reads once; how it ended, if it did.
async fn read(from: &mut ReadHalf<'_>, buffer: &mut BytesMut) -> Option<End> {
    buffer.reserve(CHUNK);
    match from.read_buf(buffer).await {
        Ok(0) => Some(End::Finished),
        Ok(_) => None,
        Err(_) => Some(End::Reset),
    }
}

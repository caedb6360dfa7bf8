//! What a connection writes: bytes in order, each when it is due, as the link allows.

use crate::{
    Counters, Faults, Link,
    shared::Shared,
    strike::{Stage, Struck},
};
use bytes::BytesMut;
use std::time::Duration;
use tokio::{
    io::AsyncWriteExt,
    net::tcp::WriteHalf,
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};

/// How long the server has to carry out a request whose client was hung up on, before its connection ends too.
const LINGER: Duration = Duration::from_secs(1);
/// A slow link writes this often.
const SLICE: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(crate) enum Item {
    Bytes {
        bytes: BytesMut,
        due: Instant,
        /// These bytes were held back, by this strike if it was one that strikes once.
        held: Option<Option<Struck>>,
    },
    End(End),
}

/// How a direction, or the whole connection, ends.
#[derive(Debug)]
pub(crate) enum End {
    /// One side will send no more.
    Finished,
    /// One side is gone.
    Reset,
    /// The client was hung up on; the server got everything.
    HungUp,
    /// An answer was swallowed.
    Swallowed(Option<Struck>),
    /// The cut was reached.
    Cut,
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToServer,
    ToClient,
}

impl Way {
    fn link(self, faults: &Faults) -> &Link {
        match self {
            Self::ToServer => &faults.to_server,
            Self::ToClient => &faults.to_client,
        }
    }
    fn count(self, counters: &mut Counters, bytes: u64) {
        match self {
            Self::ToServer => counters.bytes_to_server += bytes,
            Self::ToClient => counters.bytes_to_client += bytes,
        }
    }
}

/// The writing end of one direction.
pub(crate) struct Lane<'a> {
    pub(crate) to: WriteHalf<'a>,
    pub(crate) way: Way,
    pub(crate) shared: &'a Shared,
    faults: watch::Receiver<Faults>,
    /// The connection's number, from 1.
    number: u64,
    /// The range that the cut was drawn from, and how many bytes are left until it.
    cut: Option<(std::ops::RangeInclusive<u64>, u64)>,
}

impl<'a> Lane<'a> {
    pub(crate) fn new(to: WriteHalf<'a>, way: Way, shared: &'a Shared, number: u64) -> Self {
        Self {
            to,
            way,
            shared,
            faults: shared.faults.subscribe(),
            number,
            cut: None,
        }
    }
    /// Writes what comes; `Some` ends the whole connection, `None` this direction.
    pub(crate) async fn run(&mut self, mut from: mpsc::Receiver<Item>) -> Option<End> {
        while let Some(item) = from.recv().await {
            match item {
                Item::Bytes { bytes, due, held } => {
                    sleep_until(due).await;
                    if let Err(end) = self.write(&bytes).await {
                        // What the client sent before it went still has to reach the server.
                        return (self.way == Way::ToServer || !matches!(end, End::Reset)).then_some(end);
                    }
                    if let Some(struck) = held {
                        self.shared.count(|c| c.held_requests += 1);
                        if let Some(struck) = struck {
                            struck.at(Stage::Happened);
                        }
                    }
                }
                Item::End(end) => {
                    self.link_is_up().await;
                    match end {
                        End::Finished => {
                            let _ = self.to.shutdown().await;
                            return None;
                        }
                        End::HungUp => {
                            sleep(LINGER).await;
                            return Some(End::HungUp);
                        }
                        end => return Some(end),
                    }
                }
            }
        }
        None
    }
    async fn write(&mut self, mut bytes: &[u8]) -> Result<(), End> {
        while !bytes.is_empty() {
            let link = self.link_is_up().await;
            let mut length = bytes.len();
            let slice = link
                .rate
                .map(|rate| (rate as f64 * SLICE.as_secs_f64()).max(1.0) as usize);
            length = length.min(slice.unwrap_or(usize::MAX));
            let left = self.until_cut(&link);
            length = length.min(usize::try_from(left).unwrap_or(usize::MAX));
            let started = Instant::now();
            self.to
                .write_all(&bytes[..length])
                .await
                .map_err(|_| End::Reset)?;
            bytes = &bytes[length..];
            self.shared.count(|c| self.way.count(c, length as u64));
            if let Some((_, left)) = &mut self.cut {
                *left -= length as u64;
                if *left == 0 {
                    return Err(End::Cut);
                }
            }
            if let Some(rate) = link.rate {
                sleep_until(started + Duration::from_secs_f64(length as f64 / rate.max(1) as f64)).await;
            }
        }
        Ok(())
    }
    /// Draws anew when the cut was set or changed.
    fn until_cut(&mut self, link: &Link) -> u64 {
        self.cut = match (&link.cut, self.cut.take()) {
            (None, _) => None,
            (Some(range), Some((drawn, left))) if *range == drawn => Some((drawn, left)),
            (Some(range), _) => Some((range.clone(), self.shared.rng.lock().within(range).max(1))),
        };
        self.cut.as_ref().map_or(u64::MAX, |(_, left)| *left)
    }
    /// Waits while the link is held; returns how it is now.
    async fn link_is_up(&mut self) -> Link {
        // The sender lives as long as `shared`.
        match self
            .faults
            .wait_for(|faults| !self.way.link(faults).hold && self.number > faults.frozen)
            .await
        {
            Ok(faults) => self.way.link(&faults).clone(),
            Err(_) => Link::default(),
        }
    }
}

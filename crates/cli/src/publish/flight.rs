//! Batches on their way: several at once, confirmed in their order.

use super::{
    Args,
    input::{Chunk, Input},
    pace::Pace,
    receipts::Receipts,
};
use crate::{failure::Done, progress::Progress, session::Session, stop::Stop};
use bus::{Message, Outcome, Unsent};
use futures_util::{StreamExt, stream::FuturesOrdered};
use std::{collections::VecDeque, future::pending, pin::Pin, time::Duration};
use tokio::time::{Instant, sleep_until};

/// The most messages that go out as one batch.
const BATCH: usize = 1_000;
/// Messages on their way, at most: several full batches, so that the broker never waits for the next.
const WINDOW: usize = 16_000;

type Sent = Pin<Box<dyn Future<Output = (Vec<u64>, Vec<Result<Outcome, Unsent>>)> + Send>>;

/// One run of publishing.
pub(crate) struct Flight<'a> {
    session: &'a Session,
    topic: &'a str,
    receipts: Receipts<'a>,
    pace: Option<Pace>,
    delay: Option<Duration>,
    waiting: VecDeque<(u64, Message)>,
    sent: FuturesOrdered<Sent>,
    under_way: usize,
    /// The last line that was sent.
    last: u64,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) published: u64,
    pub(crate) failed: u64,
    /// Why it ended before the input did.
    pub(crate) stopped: Option<String>,
}

impl<'a> Flight<'a> {
    pub(crate) fn new(session: &'a Session, args: &'a Args, print: bool) -> Self {
        let (topic, rate) = (&*args.topic, args.rate);
        let stored_in = match args.delay {
            Some(_) => format!("{topic}.delay").into(),
            None => topic.into(),
        };
        Self {
            session,
            topic,
            receipts: Receipts::new(stored_in, session.form(), print),
            delay: args.delay,
            pace: rate.map(|rate| Pace::new(rate, Instant::now())),
            waiting: VecDeque::new(),
            sent: FuturesOrdered::new(),
            under_way: 0,
            last: 0,
        }
    }

    /// Until the input ends, somebody asks to stop, or there is no point in going on; everything that was sent has its
    /// outcome then.
    pub(crate) async fn run(mut self, mut input: Input, mut stop: Stop) -> Done<Report> {
        let mut progress = Progress::new(input.total);
        let mut reading = true;
        let mut stopped: Option<String> = None;
        while reading || !self.waiting.is_empty() || !self.sent.is_empty() {
            self.send();
            let due = self
                .pace
                .as_ref()
                .filter(|_| !self.waiting.is_empty())
                .map(Pace::next);
            let room = self.under_way < WINDOW;
            let mut end = None;
            tokio::select! {
                biased;
                () = stop.asked(), if stopped.is_none() => end = Some("interrupted".to_owned()),
                Some((lines, outcomes)) = self.sent.next() => {
                    self.under_way -= lines.len();
                    let hopeless = progress.aside(|| self.receipts.take(&lines, outcomes))?;
                    end = hopeless.then(|| "the broker takes nothing more".to_owned());
                    progress.stored(self.receipts.published);
                }
                chunk = input.next(), if reading && room && self.waiting.len() < BATCH => match chunk {
                    Some(Ok(chunk)) => {
                        progress.read(chunk.bytes);
                        progress.aside(|| self.take(chunk));
                    }
                    Some(Err(error)) => end = Some(format!("reading standard input: {error}")),
                    None => reading = false,
                },
                () = async { match due { Some(due) => sleep_until(due).await, None => pending().await } }, if room => {}
            }
            if let Some(why) = end.filter(|_| stopped.is_none()) {
                let unread = reading || !self.waiting.is_empty();
                reading = false;
                self.waiting.clear();
                stopped = unread.then(|| format!("{why}; nothing after line {} was published", self.last));
            }
        }
        progress.end();
        Ok(Report {
            published: self.receipts.published,
            failed: self.receipts.failed,
            stopped,
        })
    }

    fn take(&mut self, chunk: Chunk) {
        for (number, line) in chunk.lines {
            match line {
                Ok(message) => self.waiting.push_back((number, message)),
                Err(why) => self.receipts.failed(number, &why),
            }
        }
    }

    /// Sends what may go now. A batch is taken during the call, so the order of the calls is the order of the lines.
    fn send(&mut self) {
        while self.under_way < WINDOW && !self.waiting.is_empty() {
            let most = self.waiting.len().min(BATCH);
            let count = self
                .pace
                .as_mut()
                .map_or(most, |pace| pace.due(Instant::now(), most));
            if count == 0 {
                return;
            }
            let delayed = |message: Message| match self.delay {
                Some(wait) => message.delay(wait),
                None => message,
            };
            let sent = self
                .waiting
                .drain(..count)
                .map(|(line, message)| (line, delayed(message)));
            let (lines, batch): (Vec<_>, Vec<_>) = sent.unzip();
            self.last = lines.last().copied().unwrap_or(self.last);
            self.under_way += count;
            let outcomes = self.session.bus.publish_batch(self.topic, batch);
            self.sent
                .push_back(Box::pin(async move { (lines, outcomes.await) }));
        }
    }
}

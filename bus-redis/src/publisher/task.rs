//! The task that owns the publishing connection: sends packs, reads answers, and after a lost connection finds out what
//! is stored before it sends anything again.

use super::{
    Shared,
    answer::{Answer, Reading},
};
use crate::{
    Context,
    error::{broken, classify, silent},
    janitor::Janitor,
    scripts::Script,
    wire::{Conn, Node, Value},
};
use bus_core::{Error, ErrorKind, Name, Result};
use std::{
    collections::VecDeque,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::Notify,
    time::{sleep_until, timeout},
};

const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often packs that the server refused for now are looked at.
const REFUSED: Duration = Duration::from_millis(50);
/// How often overdue packs are looked for, while there are any packs.
const LOOK: Duration = Duration::from_millis(100);

/// An answer that is on its way.
enum Flight {
    /// To the pack of a lane.
    Pack(usize, Reading),
    /// To the question whether what these lanes had stored is durable.
    Confirm(Vec<usize>),
}

/// One publisher's task.
pub(crate) struct Task {
    pub(crate) context: Arc<Context>,
    pub(crate) shared: Arc<Shared>,
    /// Which of the routes it serves, and where that leads.
    pub(super) route: usize,
    pub(super) node: Node,
    wake: Arc<Notify>,
    /// Whether another task may have its place already.
    left: bool,
    /// The connection before this one, and the server's run it talked to.
    pub(super) previous: Option<(u64, Arc<str>)>,
    /// What is on its way, in order.
    flights: VecDeque<Flight>,
    sent: Instant,
    refused: Vec<(Instant, usize)>,
    /// This connection has answered something.
    worked: bool,
}

impl Task {
    pub(crate) fn new(
        context: Arc<Context>,
        shared: Arc<Shared>,
        route: usize,
        node: Node,
        wake: Arc<Notify>,
    ) -> Self {
        Self {
            context,
            shared,
            route,
            node,
            wake,
            left: false,
            previous: None,
            flights: VecDeque::new(),
            sent: Instant::now(),
            refused: Vec::new(),
            worked: false,
        }
    }

    /// Runs until the publisher is closed and everything it took has an outcome.
    pub(crate) async fn run(mut self, mut next: Option<Conn>) {
        let mut pause = Duration::ZERO;
        loop {
            let conn = match next.take() {
                Some(conn) => Ok(conn),
                None => self.reconnect().await,
            };
            let error = match conn {
                Ok(mut conn) => match self.serve(&mut conn).await {
                    Ok(()) => {
                        self.clean_up(&mut conn).await;
                        return;
                    }
                    Err(error) => {
                        // A connection that worked is replaced at once; one after the other that does not, ever later.
                        if std::mem::take(&mut self.worked) {
                            pause = Duration::ZERO;
                        }
                        self.previous = Some((conn.id(), conn.run_id().clone()));
                        error
                    }
                },
                Err(error) => error,
            };
            self.flights.clear();
            self.refused.clear();
            self.context.health.down(&self.node, &error);
            self.context.topology.doubt();
            if !error.is_transient() {
                self.fail_all(&error);
            }
            self.while_expiring(tokio::time::sleep(pause)).await;
            pause = (pause * 2).clamp(Duration::from_millis(20), LONGEST_PAUSE);
            self.context.topology.settle().await;
            {
                let mut state = self.shared.state.lock();
                state.hand_over_moved(&self.context, self.route);
                self.left = state.abandons(&self.context, self.route);
            }
            self.shared.start(&self.context);
            if self.left || self.is_done() {
                return;
            }
        }
    }

    fn is_done(&self) -> bool {
        let state = self.shared.state.lock();
        state.closing && state.is_idle()
    }

    fn fail_all(&mut self, error: &Error) {
        let mut state = self.shared.state.lock();
        for lane in state.lanes.iter_mut().filter(|lane| lane.route == self.route) {
            let unclear = lane.flying.is_some() && lane.refused.is_none();
            lane.failed(error, unclear);
        }
    }

    /// Runs `future`, and fails what is overdue meanwhile.
    pub(super) async fn while_expiring<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        loop {
            match timeout(LOOK, &mut future).await {
                Ok(done) => return done,
                Err(_) => self.expire(false),
            };
        }
    }

    /// Fails what is overdue; whether something that flies is.
    fn expire(&self, connected: bool) -> bool {
        let limit = self.context.config.publish_timeout;
        let now = Instant::now();
        let mut state = self.shared.state.lock();
        let mut flying = false;
        for number in 0..state.lanes.len() {
            let lane = &mut state.lanes[number];
            if lane.route != self.route || lane.since().is_none_or(|since| now.duration_since(since) < limit)
            {
                continue;
            }
            let unclear = lane.flying.is_some() && lane.refused.is_none();
            if unclear && connected {
                // What is stored and waits for its confirmation is answered soon.
                flying |= lane.unconfirmed.is_none();
                continue;
            }
            let error = lane
                .refused
                .take()
                .map(|e| e.transient(false))
                .unwrap_or_else(|| self.timed_out(&lane.topic));
            lane.failed(&error, unclear);
        }
        flying
    }

    fn timed_out(&self, topic: &str) -> Error {
        let config = &self.context.config;
        let sentence = format!(
            "publish to topic `{topic}` was not confirmed by redis at {} within {:?}; look at the server, or raise `publish.timeout`",
            config.address(),
            config.publish_timeout
        );
        Error::new(ErrorKind::Timeout, sentence)
    }

    /// Sends and reads until the connection fails (`Err`), or the publisher is closed and idle.
    async fn serve(&mut self, conn: &mut Conn) -> Result<()> {
        self.resend(conn);
        loop {
            if self.flights.is_empty() && self.shared.state.lock().routes[self.route].adopted {
                self.recover(conn, false).await?;
                self.resend(conn);
            }
            if self.launch(conn) {
                return Ok(());
            }
            let busy = !self.flights.is_empty();
            let wake = self.wake.clone();
            let look = Instant::now() + if self.refused.is_empty() { LOOK } else { REFUSED };
            tokio::select! {
                biased;
                result = conn.exchange() => {
                    result?;
                    self.read(conn).await?;
                }
                () = wake.notified() => {}
                () = sleep_until(look.into()), if busy || !self.refused.is_empty() => {
                    if busy && self.sent.elapsed() > self.context.config.connect_timeout {
                        return Err(silent(conn.address()));
                    }
                    if self.expire(true) {
                        return Err(self.timed_out("?").transient(true));
                    }
                }
            }
        }
    }

    /// What flew when the last connection was lost flies again, under the same sequence.
    fn resend(&mut self, conn: &mut Conn) {
        let sha = conn.sha(Script::Produce).to_owned();
        let shared = self.shared.clone();
        let mut state = shared.state.lock();
        let (form, mut written) = (state.form, Vec::new());
        let lanes = state.lanes.iter_mut().enumerate();
        for (number, lane) in lanes.filter(|(_, lane)| lane.route == self.route) {
            if let Some(messages) = lane.flying.as_ref().map(|p| p.messages) {
                lane.write(&sha, conn.out());
                self.flights
                    .push_back(Flight::Pack(number, Reading::new(form, messages)));
                written.push(number);
            }
        }
        drop(state);
        self.confirm(conn, written);
        self.sent = Instant::now();
    }

    /// Asks, behind what these lanes have sent, whether it is durable: one question for all of them.
    fn confirm(&mut self, conn: &mut Conn, lanes: Vec<usize>) {
        let config = &self.context.config;
        if config.durability.waits() && !lanes.is_empty() {
            config.durability.write(config.confirm_timeout(), conn.out());
            self.flights.push_back(Flight::Confirm(lanes));
        }
    }

    /// Puts what is ready onto the connection; whether there is nothing left to do, ever.
    fn launch(&mut self, conn: &mut Conn) -> bool {
        let now = Instant::now();
        let shared = self.shared.clone();
        let mut state = shared.state.lock();
        if state.routes[self.route].adopted {
            // First what flies, then their markers, and then the rest.
            return false;
        }
        let mut again = Vec::new();
        self.refused.retain(|(at, number)| {
            let due = now >= *at;
            if due {
                again.push(*number);
            }
            !due
        });
        let (form, mut written) = (state.form, Vec::new());
        if self.flights.is_empty() {
            self.sent = now;
        }
        let sha = conn.sha(Script::Produce).to_owned();
        // What was refused keeps its place: nothing of its lane went past it.
        for number in again {
            let lane = &mut state.lanes[number];
            if let Some(messages) = lane
                .flying
                .as_ref()
                .filter(|_| lane.route == self.route && lane.refused.is_some())
                .map(|p| p.messages)
            {
                lane.write(&sha, conn.out());
                self.flights
                    .push_back(Flight::Pack(number, Reading::new(form, messages)));
                written.push(number);
            }
        }
        while let Some(number) = state.next_ready(self.route) {
            let lane = &mut state.lanes[number];
            if let Some(messages) = lane.launch().map(|pack| pack.messages) {
                lane.write(&sha, conn.out());
                self.flights
                    .push_back(Flight::Pack(number, Reading::new(form, messages)));
                written.push(number);
            }
        }
        drop(state);
        self.confirm(conn, written);
        let state = self.shared.state.lock();
        state.closing && self.flights.is_empty() && state.is_idle()
    }

    async fn read(&mut self, conn: &mut Conn) -> Result<()> {
        let mut flushed = false;
        let malformed = |address: &str| {
            let source = std::io::Error::other("malformed reply");
            broken(address, "sent what is not RESP2", source)
        };
        while let Some(flight) = self.flights.front_mut() {
            let (number, reading) = match flight {
                Flight::Pack(number, reading) => (*number, reading),
                Flight::Confirm(lanes) => {
                    let reply = Value::parse(conn.input()).map_err(|_| malformed(conn.address()))?;
                    let Some((reply, used)) = reply else { break };
                    let lanes = std::mem::take(lanes);
                    conn.consume(used);
                    self.flights.pop_front();
                    self.sent = Instant::now();
                    let again = self.confirmed(conn.address(), lanes, &reply);
                    self.confirm(conn, again);
                    continue;
                }
            };
            let (used, answer) = reading
                .step(conn.input())
                .map_err(|_| malformed(conn.address()))?;
            conn.consume(used);
            let Some(answer) = answer else { break };
            self.flights.pop_front();
            self.sent = Instant::now();
            self.worked = true;
            flushed |= answer.error.as_deref().is_some_and(|e| e.starts_with("NOSCRIPT"));
            self.landed(conn.address(), number, answer)?;
        }
        if flushed {
            // What flies is refused for the same reason and sent again afterwards; a new connection sorts it out.
            return Err(Error::unavailable(format!(
                "scripts of redis at {} were flushed",
                conn.address()
            )));
        }
        Ok(())
    }

    /// What is durable is confirmed; what is not, and still has time, is asked for again.
    pub(super) fn confirmed(&self, address: &str, lanes: Vec<usize>, reply: &Value) -> Vec<usize> {
        let config = &self.context.config;
        let enough = config.durability.is_enough(reply);
        let mut state = self.shared.state.lock();
        let mut again = Vec::new();
        for number in lanes {
            let lane = &mut state.lanes[number];
            if lane.route != self.route {
                continue;
            }
            let overdue = lane
                .since()
                .is_some_and(|since| since.elapsed() >= config.publish_timeout);
            match lane.unconfirmed.take() {
                Some(positions) if enough => lane.stored(&positions),
                Some(positions) => {
                    lane.unconfirmed = Some(positions);
                    if !overdue {
                        again.push(number);
                        continue;
                    }
                    let error = config.durability.unconfirmed(&lane.topic, address);
                    lane.failed(&error, true);
                }
                // It was refused, and is told or sent again already.
                None => continue,
            }
            state.landed(number);
        }
        again
    }

    fn landed(&mut self, address: &str, number: usize, answer: Answer) -> Result<()> {
        let mut state = self.shared.state.lock();
        let lane = &mut state.lanes[number];
        let missing = answer.missing > 0 || answer.status.as_deref() == Some("MISSING");
        let mut gone: Option<Name> = None;
        if let Some(text) = &answer.error {
            let to = self.context.topology.redirected(text, &self.node);
            let text = &match &to {
                // As another node is asked, or this one again.
                Some(_) => format!("TRYAGAIN {text}"),
                None => text.clone(),
            };
            let moved = to.filter(|_| text.starts_with("TRYAGAIN MOVED"));
            let error = classify(address, text).context(format!("topic `{}`", lane.topic));
            if text.starts_with("READONLY") {
                // Another server's history may take the place of this one's, on the same connection.
                lane.refuse(error.duplicate());
                return Err(error);
            }
            if let Some(node) = moved {
                // Not stored, and certainly so.
                tracing::debug!(%error, "publish is sent to another node");
                lane.refuse(error);
                state.hand_over(number, node);
                drop(state);
                self.shared.start(&self.context);
                return Ok(());
            }
            if error.is_transient() {
                // Refused as a whole, so that it may be sent again as it is.
                tracing::debug!(%error, "publish is sent again");
                if text.starts_with("OOM") {
                    self.context.janitor.full(&lane.topic);
                }
                let wait = lane.refuse(error);
                self.refused.push((Instant::now() + wait, number));
                return Ok(());
            }
            lane.failed(&error, false);
        } else if missing {
            gone = Some(lane.topic.clone());
            lane.failed(&Error::topic_missing(&lane.topic), false);
        } else {
            if let (Some("OK"), Some(before)) = (answer.status.as_deref(), answer.number)
                && (before as u64) < lane.low
            {
                lane.lost_before(super::loss::before(address, lane));
            }
            match (answer.status.as_deref(), answer.number) {
                (Some("OK" | "DUP"), _) if self.context.config.durability.waits() => {
                    lane.unconfirmed = Some(answer.positions);
                    return Ok(());
                }
                (Some("OK"), _) => lane.stored(&answer.positions),
                (Some("DUP"), _) => lane.stored(&[]),
                // The markers are read anew, and what was lost is told, behind a new connection.
                (Some("GAP"), _) => {
                    return Err(Error::unavailable(format!(
                        "the history of redis at {address} went back"
                    )));
                }
                _ => {
                    return Err(Error::unavailable(format!(
                        "redis at {address} gave an unknown answer to a publish"
                    )));
                }
            }
        }
        if let Some(name) = gone {
            self.context.topics.forget(&name);
            state.forget(&name);
        }
        state.landed(number);
        Ok(())
    }
}

impl Drop for Task {
    /// Also where the runtime goes away.
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        if !self.left {
            state.ended(self.route);
        }
        // What was the last message for this one may be what another waits for.
        let wakes = state.all_wakes();
        drop(state);
        wakes.wake();
        self.shared.ended.notify_waiters();
    }
}

/// Asks for a topic until there is an answer or the time is up.
pub(super) async fn look_up(context: Arc<Context>, shared: Arc<Shared>, name: Name) {
    let deadline = Instant::now() + context.config.publish_timeout;
    let mut pause = Duration::from_millis(20);
    let result = loop {
        match context.topics.look_up(&name).await {
            Ok(info) => {
                // A topic may have no reader who trims it.
                Janitor::uses(&context, &info);
                break Ok(info);
            }
            Err(error) if error.is_transient() && Instant::now() + pause < deadline => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            result => break result,
        }
    };
    context.topology.settle().await;
    shared.state.lock().resolved(&context, &name, result);
    shared.start(&context);
}

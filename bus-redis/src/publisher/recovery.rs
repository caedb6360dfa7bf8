//! After a lost connection: what is stored of what was sent is found out before anything is sent again.

use super::{
    lane::{Form, MARKER_LIFE},
    task::Task,
};
use crate::{
    error::silent,
    id,
    wire::{Conn, Pipeline, Value, promotion},
};
use bus_core::{Error, Result, mutant};
use tokio::time::timeout;

/// Seconds after which no request of a connection that is gone arrives any more.
const LATE: &[u8] = b"60";

impl Task {
    pub(super) async fn reconnect(&mut self) -> Result<Conn> {
        let (context, node) = (self.context.clone(), self.node.clone());
        let open = async {
            let mut conn = Conn::open(&context.topology, &node, "publish").await?;
            timeout(context.config.connect_timeout, conn.load_scripts())
                .await
                .unwrap_or_else(|_| Err(silent(conn.address())))?;
            Ok::<_, Error>(conn)
        };
        let mut conn = self.while_expiring(open).await?;
        if conn.is_replica() {
            return Err(promotion::replica(conn.address()));
        }
        self.context.health.connected(&self.node);
        self.recover(&mut conn, true).await?;
        Ok(conn)
    }

    /// Finds out what is stored of what was sent, and lets the rest fly again. Markers of lanes at rest are looked at
    /// too: one that went back means that confirmed records are gone. Lanes that came over from another node need it on a
    /// connection that is not `new`, and has nothing under way.
    pub(super) async fn recover(&mut self, conn: &mut Conn, new: bool) -> Result<()> {
        let (lanes, form) = {
            let mut state = self.shared.state.lock();
            state.routes[self.route].adopted = false;
            let used = state.lanes.iter_mut().enumerate();
            let used = used.filter(|(_, lane)| lane.route == self.route);
            let used = used.filter_map(|(number, lane)| {
                let asked = lane.flying.is_some() || lane.unclear || lane.floor() > 0;
                asked.then(|| (number, lane.marker.clone()))
            });
            (used.collect::<Vec<_>>(), state.form)
        };
        let mut pipeline = Pipeline::new();
        let killed = match &self.previous {
            // First, and before the markers are read: a request that is still on its way over the old connection must
            // not be carried out any more. 0 or 1 killed, both say so.
            Some((id, run_id))
                if new
                    && form == Form::Transaction
                    && promotion::run_of(run_id) == promotion::run_of(conn.run_id())
                    && !mutant("resend-unfenced") =>
            {
                pipeline.add(&[b"CLIENT", b"KILL", b"ID", id.to_string().as_bytes()]);
                1
            }
            _ => 0,
        };
        for (_, marker) in &lanes {
            pipeline.add(&[b"GET", marker.as_bytes()]);
        }
        if pipeline.is_empty() {
            return Ok(());
        }
        let replies = self.ask(conn, &pipeline).await?;
        let mut found = Vec::new();
        for ((number, _), reply) in lanes.iter().zip(&replies[killed..]) {
            let low = self.shared.state.lock().lanes[*number].low;
            let marker = match mutant("publish-twice") {
                true => low,
                false => reply.int().unwrap_or(0) as u64,
            };
            let lost = match marker < low {
                true => Some(self.loss(conn, *number).await?),
                false => None,
            };
            let mut state = self.shared.state.lock();
            let lane = &mut state.lanes[*number];
            lane.unclear = false;
            lane.unconfirmed = None;
            if let Some(error) = lost {
                lane.lose(marker, error);
            } else {
                lane.low = marker;
                if lane.flying.as_ref().is_some_and(|pack| pack.sequence <= marker) {
                    if self.context.config.durability.waits() {
                        lane.unconfirmed = Some(Vec::new());
                        found.push((*number, lane.marker.clone()));
                        continue;
                    }
                    lane.stored(&[]);
                }
                if lane.flying.is_none() {
                    lane.sequence = lane.sequence.max(marker);
                }
            }
            state.landed(*number);
        }
        self.confirm_found(conn, found).await
    }

    /// What was found stored is durable only when this connection has seen it be: it writes, and waits for that.
    async fn confirm_found(&self, conn: &mut Conn, found: Vec<(usize, String)>) -> Result<()> {
        if found.is_empty() {
            return Ok(());
        }
        let config = &self.context.config;
        let mut pipeline = Pipeline::new();
        for (_, marker) in &found {
            pipeline.add(&[b"EXPIRE", marker.as_bytes(), MARKER_LIFE]);
        }
        config.durability.add(config.confirm_timeout(), &mut pipeline);
        let reply = self.ask(conn, &pipeline).await?.pop().unwrap_or(Value::Nil);
        let lanes = found.into_iter().map(|(number, _)| number).collect();
        match self.confirmed(conn.address(), lanes, &reply).is_empty() {
            true => Ok(()),
            // Asked again on the next connection, until the time is up.
            false => Err(silent(conn.address())),
        }
    }

    /// Which confirmed records of a lane are gone, as far as that can be told.
    async fn loss(&self, conn: &mut Conn, number: usize) -> Result<Error> {
        let (topic, partition, stream, last) = {
            let state = self.shared.state.lock();
            let lane = &state.lanes[number];
            let last = lane.confirmed.and_then(|confirmed| confirmed.position);
            (lane.topic.clone(), lane.partition, lane.stream.clone(), last)
        };
        let mut range = "the last ones that it confirmed".to_owned();
        if let Some(last) = last.map(id::id) {
            let mut pipeline = Pipeline::new();
            let words = [
                &b"XREVRANGE"[..],
                stream.as_bytes(),
                last.as_bytes(),
                b"-",
                b"COUNT",
                b"1",
            ];
            pipeline.add(&words);
            let reply = self.ask(conn, &pipeline).await?.remove(0);
            let kept = reply.at(0).at(0).text().unwrap_or("the beginning");
            range = format!("those behind {kept}, up to {last}");
        }
        Ok(super::loss::of(conn.address(), &topic, partition, &range))
    }

    async fn ask(&self, conn: &mut Conn, pipeline: &Pipeline) -> Result<Vec<Value>> {
        let call = timeout(self.context.config.connect_timeout, conn.call(pipeline)).await;
        let replies = call.unwrap_or_else(|_| Err(silent(conn.address())))?;
        let told = replies.into_iter().map(|reply| match reply {
            Value::Error(text) => Value::Error(self.context.topology.explained(text, &self.node)),
            reply => reply,
        });
        told.map(|r| conn.check(r)).collect()
    }

    /// Takes the markers away that nobody will look at again: a thousand short-lived publishers must not leave a day's
    /// worth behind. Through scripts a request may still be on its way that only its marker can recognise.
    pub(super) async fn clean_up(&self, conn: &mut Conn) {
        let mut pipeline = Pipeline::new();
        {
            let state = self.shared.state.lock();
            for lane in state
                .lanes
                .iter()
                .filter(|lane| lane.route == self.route && lane.sequence > 0 && !lane.unclear)
            {
                match state.form {
                    Form::Transaction => pipeline.add(&[b"UNLINK", lane.marker.as_bytes()]),
                    Form::Script => pipeline.add(&[b"EXPIRE", lane.marker.as_bytes(), LATE]),
                };
            }
        }
        if !pipeline.is_empty() {
            // Nothing depends on it: they expire by themselves.
            let _ = timeout(self.context.config.connect_timeout, conn.call(&pipeline)).await;
        }
    }
}

//! After a lost connection: what is stored of what was sent is found out before anything is sent again.

use super::{lane::Form, task::Task};
use crate::{
    error::silent,
    wire::{Conn, Pipeline},
};
use bus_core::{Error, Result};
use tokio::time::timeout;

/// Seconds after which no request of a connection that is gone arrives any more.
const LATE: &[u8] = b"60";

impl Task {
    pub(super) async fn reconnect(&mut self) -> Result<Conn> {
        let config = self.context.config.clone();
        let context = self.context.clone();
        let open = async {
            let mut conn = Conn::open(&config, "publish").await?;
            timeout(context.config.connect_timeout, conn.load_scripts())
                .await
                .unwrap_or_else(|_| Err(silent(conn.address())))?;
            Ok::<_, Error>(conn)
        };
        let mut conn = self.while_expiring(open).await?;
        self.recover(&mut conn).await?;
        self.context.health.up();
        Ok(conn)
    }

    /// Finds out what is stored of what was sent, and lets the rest fly again.
    async fn recover(&mut self, conn: &mut Conn) -> Result<()> {
        let (lanes, form) = {
            let state = self.shared.state.lock();
            let lanes: Vec<(usize, String)> = state
                .lanes
                .iter()
                .enumerate()
                .filter(|(_, lane)| lane.flying.is_some() || lane.unclear)
                .map(|(number, lane)| (number, lane.marker.clone()))
                .collect();
            (lanes, state.form)
        };
        let mut pipeline = Pipeline::new();
        let killed = match &self.previous {
            // First, and before the markers are read: a request that is still on its way over the old connection must
            // not be carried out any more. 0 or 1 killed, both say so.
            Some((id, run_id)) if form == Form::Transaction && run_id == conn.run_id() => {
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
        let call = timeout(self.context.config.connect_timeout, conn.call(&pipeline)).await;
        let replies = call.unwrap_or_else(|_| Err(silent(conn.address())))?;
        let replies: Vec<_> = replies
            .into_iter()
            .map(|r| conn.check(r))
            .collect::<Result<_>>()?;
        let mut state = self.shared.state.lock();
        for ((number, _), reply) in lanes.iter().zip(&replies[killed..]) {
            let marker = reply.int().unwrap_or(0) as u64;
            let lane = &mut state.lanes[*number];
            if marker < lane.low {
                tracing::error!(
                    topic = %lane.topic, partition = lane.partition, address = %conn.address(),
                    "redis lost records that it had confirmed: its history went back"
                );
            }
            lane.unclear = false;
            lane.low = marker;
            if lane.flying.as_ref().is_some_and(|pack| pack.sequence <= marker) {
                lane.stored(&[]);
            }
            if lane.flying.is_none() {
                lane.sequence = lane.sequence.max(marker);
            }
            state.landed(*number);
        }
        Ok(())
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
                .filter(|lane| lane.sequence > 0 && !lane.unclear)
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

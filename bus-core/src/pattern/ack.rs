//! The settling half: a shard of a subscriber that is gone is fenced.

use super::shards::Shards;
use crate::{Ack, Done, Error, Result, Shard};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct RoamingAck(pub(super) Arc<Mutex<Shards>>);

impl RoamingAck {
    fn inner(&self, shard: Shard) -> Result<Shard> {
        let gone = || Error::fenced(format_args!("partition {}", shard.partition));
        self.0.lock().inner(shard).ok_or_else(gone)
    }
    fn ack(&self) -> Result<Arc<dyn Ack>> {
        let gone = || Error::fenced("the partition");
        self.0.lock().ack.clone().ok_or_else(gone)
    }
}

#[async_trait]
impl Ack for RoamingAck {
    async fn commit(&self, done: Vec<Done>) -> Vec<Result<()>> {
        let mut results: Vec<Result<()>> = Vec::with_capacity(done.len());
        let mut ours = Vec::with_capacity(done.len());
        for done in done {
            let inner = self.inner(done.shard);
            results.push(inner.map(|shard| ours.push(Done { shard, ..done })));
        }
        let answers = match self.ack() {
            Ok(ack) if !ours.is_empty() => ack.commit(ours).await,
            Ok(_) => Vec::new(),
            Err(error) => ours.iter().map(|_| Err(error.duplicate())).collect(),
        };
        let mut answers = answers.into_iter();
        let silent = || Err(Error::fenced("the partition"));
        for result in results.iter_mut().filter(|result| result.is_ok()) {
            *result = answers.next().unwrap_or_else(silent);
        }
        results
    }
    async fn release(&self, shard: Shard) -> Result<()> {
        let inner = self.inner(shard)?;
        self.ack()?.release(inner).await
    }
}

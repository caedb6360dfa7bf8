//! What was fetched, and what is being fetched: one question a key at a time, whoever asks.

use bus_core::{BoxFuture, Error, Result};
use futures_util::{FutureExt, future::Shared};
use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, Instant},
};

/// Answers that are kept. Nobody has so many schemas; a stranger who writes ids at random gets no answers.
const MOST: usize = 10_000;
/// How long a failure is everybody's: what fails in a loop asks five times a second at most.
const FAILED: Duration = Duration::from_millis(200);

type Flight<V> = Shared<BoxFuture<'static, Result<V, Arc<Error>>>>;
/// What is asked for, and since when it has failed.
type Flights<K, V> = HashMap<K, (Flight<V>, Option<Instant>)>;

pub(super) struct Cache<K, V> {
    there: RwLock<HashMap<K, V>>,
    flights: Mutex<Flights<K, V>>,
}

impl<K, V> Cache<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(super) fn get(&self, key: &K) -> Option<V> {
        self.there
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .cloned()
    }
    pub(super) fn set(&self, key: K, value: V) {
        let mut there = self.there.write().unwrap_or_else(PoisonError::into_inner);
        if there.len() >= MOST
            && let Some(some) = there.keys().next().cloned()
        {
            there.remove(&some);
        }
        there.insert(key, value);
    }
    /// The value, fetched where it is not there, by one of those who ask at the same time.
    pub(super) fn fetch(
        self: &Arc<Self>,
        key: K,
        fetch: impl FnOnce() -> BoxFuture<'static, Result<V>>,
    ) -> BoxFuture<'static, Result<V>> {
        if let Some(value) = self.get(&key) {
            return std::future::ready(Ok(value)).boxed();
        }
        let mut flights = self.flights();
        flights.retain(|_, (_, failed)| failed.is_none_or(|at| at.elapsed() < FAILED));
        // It may have landed in between.
        if let Some(value) = self.get(&key) {
            return std::future::ready(Ok(value)).boxed();
        }
        let flight = flights.entry(key.clone()).or_insert_with(|| {
            let flight = self.clone().land(key, fetch()).boxed().shared();
            (flight, None)
        });
        let flight = flight.0.clone();
        async move { flight.await.map_err(|error| error.duplicate()) }.boxed()
    }
    async fn land(self: Arc<Self>, key: K, fetch: BoxFuture<'static, Result<V>>) -> Result<V, Arc<Error>> {
        match fetch.await {
            Ok(value) => {
                self.set(key.clone(), value.clone());
                self.flights().remove(&key);
                Ok(value)
            }
            Err(error) => {
                if let Some((_, failed)) = self.flights().get_mut(&key) {
                    *failed = Some(Instant::now());
                }
                Err(Arc::new(error))
            }
        }
    }
    fn flights(&self) -> MutexGuard<'_, Flights<K, V>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self {
            there: RwLock::default(),
            flights: Mutex::default(),
        }
    }
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let there = self.there.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Cache")
            .field("there", &there.len())
            .finish_non_exhaustive()
    }
}

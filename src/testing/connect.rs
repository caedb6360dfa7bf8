//! A bus for one test.

use super::{
    namespace::{Namespaced, Prefix},
    sweep,
};
use crate::{
    Bus,
    layer::{Faults, Plan},
};
use bus_core::{Backend, Error, Result};
use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// The environment variable that names the broker on which tests run: a bus URL. Unset or empty: memory.
pub const URL: &str = "BUS_TEST_URL";

/// A bus for one test: memory of its own, or the broker that [`BUS_TEST_URL`](URL) names. There its topics and groups bear a
/// prefix of their own, unseen by the test, so that tests and runs do not meet; what runs have left there is deleted
/// after an hour, by a later one. Inside a tokio runtime only.
///
/// ```
/// # #[cfg(feature = "memory")]
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let bus = bus::testing::bus().await?;
/// bus.ensure_topics([bus::TopicSpec::new("orders")]).await?;
/// bus.publish_bytes("orders", "bread").await?;
/// # Ok::<_, bus::Error>(()) }).unwrap();
/// ```
/// # Errors
/// As [`Bus::connect`], with the variable's name.
pub async fn bus() -> Result<Bus> {
    Bus::new(backend().await?).await
}

/// As [`bus`], with faults: lost replies, a broker that is down, slow answers. [`Plan::none`] has none but those that are asked
/// for one by one.
///
/// ```
/// # #[cfg(feature = "memory")]
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use bus::{layer::{Fault, Plan}, testing};
/// let (bus, faults) = testing::faulty_bus(Plan::none()).await?;
/// bus.ensure_topics([bus::TopicSpec::new("orders")]).await?;
/// faults.next(Fault::LostReply);
/// assert!(bus.publish_bytes("orders", "bread").await.unwrap_err().is_unknown());
/// # Ok::<_, bus::Error>(()) }).unwrap();
/// ```
/// # Errors
/// As [`bus`].
pub async fn faulty_bus(plan: Plan) -> Result<(Bus, Faults)> {
    let faults = Faults::new(backend().await?, plan);
    Ok((Bus::new(Arc::new(faults.clone())).await?, faults))
}

async fn backend() -> Result<Arc<dyn Backend>> {
    let url = std::env::var(URL).unwrap_or_default();
    let url = if url.is_empty() { "memory://" } else { &url };
    let context = |error: Error| error.context(format!("the bus for tests (`{URL}`)"));
    let inner = crate::connect::backend(url).await.map_err(context)?;
    if url == "memory://" {
        return Ok(inner);
    }
    sweep::once(&inner.admin()).await;
    let seconds = seconds();
    let chance = RandomState::new().hash_one(seconds);
    let prefix = format!("{}{seconds:08x}-{chance:016x}.", sweep::OURS);
    Ok(Arc::new(Namespaced::new(inner, Prefix::new(prefix))))
}

/// Since 1970.
pub(super) fn seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

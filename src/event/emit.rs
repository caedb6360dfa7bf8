//! Publishing what a function has made, once it has made it.

use bus_core::{Outcome, Publish, Publisher};
use std::future::Future;

/// Runs `work`, and publishes its result if it succeeded. A publish that fails is a line in the log, and not a failure of
/// `work`: its result is returned either way, and after the publish was answered.
///
/// What must not be lost when the broker is down belongs to an [`ack_with`](crate::Delivery::ack_with), or to the
/// transaction of a data base, not here.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use bus::{Bus, event::{EventExt, emit_on_ok}};
/// # async fn create_user(name: &str) -> Result<String, std::io::Error> { Ok(name.to_owned()) }
/// let bus = Bus::connect("memory://").await?.create_topics(true);
/// let user = emit_on_ok(create_user("Ada"), |user| bus.publish("users", user).event("user.created")).await;
/// # assert!(user.is_ok());
/// # Ok::<_, bus::Error>(()) }).unwrap();
/// ```
pub async fn emit_on_ok<'a, T, E, P>(
    work: impl Future<Output = Result<T, E>>,
    publish: impl FnOnce(&T) -> Publish<'a, P>,
) -> Result<T, E>
where
    P: Publisher + ?Sized + 'a,
{
    let made = work.await?;
    let publish = publish(&made);
    let topic = publish.topic();
    match publish.await {
        Ok(Outcome::Disabled) => {
            tracing::debug!(topic, "the bus is switched off; the result was not published")
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(topic, %error, "what succeeded was not published"),
    }
    Ok(made)
}

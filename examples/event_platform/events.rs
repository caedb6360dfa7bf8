//! Events: where a key goes, a batch and its outcomes, and many that nobody waits for.

use crate::names::{name, stored, topic};
use bus::{
    Bus, Message, Outcome,
    handler::{Payload, consumer},
};
use serde::{Deserialize, Serialize};
use std::{error::Error, time::Duration};

#[derive(Serialize, Deserialize)]
pub(crate) struct UserEvent {
    pub(crate) user_id: u64,
    pub(crate) action: String,
    /// How long it takes to handle it.
    #[serde(default)]
    pub(crate) seconds: u64,
}

impl UserEvent {
    fn new(user_id: u64, action: &str) -> Self {
        let action = action.to_owned();
        Self {
            user_id,
            action,
            seconds: 0,
        }
    }
}

pub(crate) async fn performed(Payload(event): Payload<UserEvent>) {
    println!("User {} performed {}", event.user_id, event.action);
    tokio::time::sleep(Duration::from_secs(event.seconds)).await;
}

pub(crate) async fn run(bus: &Bus, url: &str) -> Result<(), Box<dyn Error>> {
    println!("== events");
    let users = topic::<UserEvent>("user-events").partitions(3);
    bus.ensure_topics([users.spec()]).await?;
    for user in [1, 4] {
        let login = UserEvent::new(user, "login");
        let outcome = bus.publish(&users, &login).key(format!("user-{user}")).await?;
        if let Outcome::Stored(receipt) = outcome {
            println!("key user-{user}: partition {}", receipt.partition);
        }
        if user == 1 {
            let running = consumer(&users, name("platform"), performed).start(bus).await?;
            running.control().caught_up().await?;
            running.drain(Duration::from_secs(5)).await?;
        }
    }
    let mut batch = Vec::new();
    for action in ["view", "click"] {
        batch.push(users.message(&UserEvent::new(1, action))?.keyed("user-1"));
    }
    for outcome in bus.publish_batch(users.name(), batch).await {
        let stored = matches!(outcome?, Outcome::Stored(_));
        println!(
            "an outcome of the batch: {}",
            if stored { "stored" } else { "not stored" }
        );
    }

    let clicks = topic::<u32>("clicks");
    bus.ensure_topics([clicks.spec()]).await?;
    let other = Bus::connect(url).await?;
    for click in 0..1_000 {
        other
            .enqueue(clicks.name(), Message::new(click.to_string()))
            .await?;
    }
    other.close().await?;
    println!(
        "{} enqueued, then closed: {} stored",
        1_000,
        stored(bus, clicks.name()).await?.len()
    );
    Ok(())
}

//! A bus that may come later than the shop opens.

use bus::{Bus, Error, ErrorKind, Message, Pending, Publisher, Result, Settings, Unsent};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

/// The bus, or why it is not there yet. Without it nothing is published, and that is said to whoever publishes.
#[derive(Debug)]
pub(crate) struct Late {
    bus: OnceLock<Bus>,
    why: Option<Error>,
}

impl Late {
    /// Connects, and if nobody answers tries on.
    pub(crate) async fn connect(settings: &Settings) -> Result<Arc<Self>> {
        let bus = OnceLock::new();
        let why = match connect(settings).await {
            Ok(there) => bus.set(there).err().and(None),
            Err(error) if error.kind() == ErrorKind::Unavailable => Some(error),
            Err(error) => return Err(error),
        };
        let late = Arc::new(Self { bus, why });
        if late.why.is_some() {
            let (late, settings) = (late.clone(), settings.clone());
            tokio::spawn(async move {
                while late.bus.get().is_none() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    if let Ok(there) = connect(&settings).await {
                        tracing::info!("connected");
                        let _ = late.bus.set(there);
                    }
                }
            });
        }
        Ok(late)
    }
    pub(crate) fn bus(&self) -> Result<&Bus> {
        self.bus.get().ok_or_else(|| self.why())
    }
    fn why(&self) -> Error {
        self.why
            .as_ref()
            .map_or_else(|| Error::unavailable("not connected yet"), Error::duplicate)
    }
}

async fn connect(settings: &Settings) -> Result<Bus> {
    Ok(Bus::from_settings(settings).await?.create_topics(true))
}

#[async_trait::async_trait]
impl Publisher for Late {
    fn publish_batch(&self, topic: &str, batch: Vec<Message>) -> Pending {
        match self.bus.get() {
            Some(bus) => Publisher::publish_batch(bus, topic, batch),
            None => Pending::ready(
                batch
                    .iter()
                    .map(|_| Err(Unsent::not_stored(self.why())))
                    .collect(),
            ),
        }
    }
    async fn close(&self) -> Result<()> {
        match self.bus.get() {
            Some(bus) => bus.close().await,
            None => Ok(()),
        }
    }
}

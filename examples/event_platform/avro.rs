//! Events in Avro: the schema of a Rust type, its bytes alone, and behind the id that a registry gives its schema.

use crate::names::name;
use bus::{
    Avro, AvroSchema, Bus, Bytes, Codec, Raw, RegistryAvro, Settings, Start, Topic, registry::Registry,
};
use serde::{Deserialize, Serialize};
use std::error::Error;

#[derive(Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "com.mycompany.users")]
struct UserEvent {
    user_id: u64,
    action: String,
    timestamp: String,
}

/// It does not say where it belongs.
#[derive(AvroSchema)]
#[allow(dead_code, reason = "only its schema is shown")]
struct Note {
    text: String,
}

/// Publishes an event, shows its bytes, and reads it.
async fn exchange(bus: &Bus, topic: Topic<UserEvent, impl Codec<UserEvent>>) -> Result<(), Box<dyn Error>> {
    bus.ensure_topics([topic.spec()]).await?;
    let login = UserEvent {
        user_id: 1,
        action: "login".into(),
        timestamp: "2024-01-01T00:00:00Z".into(),
    };
    bus.publish(&topic, &login).key("user-1").await?;
    let raw: Topic<Bytes, Raw> = Topic::named(topic.name());
    let mut stored = bus.observe(&raw).start(Start::Earliest).await?;
    if let Some(bytes) = stored.next().await.transpose()? {
        let hex: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        println!("{}", hex.concat());
    }
    let mut events = bus.observe(&topic).start(Start::Earliest).await?;
    if let Some(event) = events.next().await.transpose()? {
        println!(
            "User {} performed {} at {}",
            event.user_id, event.action, event.timestamp
        );
    }
    Ok(())
}

pub(crate) async fn run(bus: &Bus, registry: Option<&str>) -> Result<(), Box<dyn Error>> {
    println!("== avro");
    let settings = Settings::new();
    for schema in [
        UserEvent::avro_schema_in(settings.avro_namespace())?,
        Note::avro_schema_in(settings.avro_namespace())?,
        Note::avro_schema_in(settings.avro_default_namespace("com.shop").avro_namespace())?,
    ] {
        println!(
            "{}: {}",
            schema.name().unwrap_or_default(),
            schema.json()["fields"]
        );
    }
    exchange(bus, Topic::with_codec(name("user-events-plain"), Avro::new())).await?;
    if let Some(url) = registry {
        let codec = RegistryAvro::of::<UserEvent>(&Registry::new(url)?)?;
        exchange(bus, Topic::with_codec(name("user-events-avro"), codec)).await?;
    }
    Ok(())
}

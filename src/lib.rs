#![doc = include_str!("../README.md")]

#[cfg(feature = "app")]
pub mod app;
mod bus;
mod codec;
mod connect;
mod create;
#[cfg(feature = "app")]
mod ensure;
#[cfg(feature = "app")]
pub mod event;
#[cfg(feature = "app")]
pub mod handler;

/// The examples of the guide are compiled and run.
#[cfg(all(doctest, feature = "memory", feature = "json"))]
#[doc = include_str!("../docs/subscriptions.md")]
struct Guide;
#[cfg(all(doctest, feature = "memory", feature = "json"))]
#[doc = include_str!("../docs/serialization.md")]
struct SerializationGuide;
#[cfg(all(doctest, feature = "memory", feature = "app"))]
#[doc = include_str!("../docs/workers.md")]
struct WorkersGuide;
#[cfg(all(doctest, feature = "memory", feature = "app"))]
#[doc = include_str!("../docs/apps.md")]
struct AppsGuide;
#[cfg(all(doctest, feature = "memory", feature = "app"))]
#[doc = include_str!("../docs/publish-and-consume.md")]
struct PublishAndConsumeGuide;
#[cfg(all(doctest, feature = "memory", feature = "app"))]
#[doc = include_str!("../docs/order-and-concurrency.md")]
struct OrderAndConcurrencyGuide;
#[cfg(all(doctest, feature = "memory", feature = "app"))]
#[doc = include_str!("../docs/router.md")]
struct RouterGuide;
#[cfg(all(doctest, feature = "memory", feature = "app"))]
#[doc = include_str!("../docs/requests.md")]
struct RequestsGuide;
#[cfg(all(doctest, feature = "memory", feature = "json"))]
#[doc = include_str!("../docs/topics.md")]
struct TopicsGuide;
#[cfg(all(doctest, feature = "memory"))]
#[doc = include_str!("../docs/from-rdkafka.md")]
struct FromRdkafkaGuide;
#[cfg(all(doctest, feature = "memory"))]
#[doc = include_str!("../docs/from-redis-streams.md")]
struct FromRedisStreamsGuide;
#[cfg(all(doctest, feature = "memory", feature = "app", feature = "testing"))]
#[doc = include_str!("../docs/testing.md")]
struct TestingGuide;
pub mod layer;
#[cfg(feature = "registry")]
pub mod registry;
#[cfg(feature = "app")]
pub mod router;
#[cfg(feature = "app")]
pub mod service;
#[cfg(feature = "settings")]
pub mod settings;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "app")]
pub mod worker;

#[cfg(feature = "app")]
pub use app::App;
pub use bus::{Bus, Destination};
pub use bus_core::{
    Ack, Admin, Awaited, Backend, Backoff, Batch, BoxFuture, Bytes, Chunks, Codec, Control, Defaults,
    Delivery, Difference, Done, Draft, Encoded, Ensured, Entry, Error, ErrorKind, Event, Expired, Failed,
    GroupSpec, Headers, HeadersView, Health, Limits, LossPolicy, Member, MemberSpec, Message, Name, Need,
    Notice, Order, Outcome, Pending, Prepared, Publish, Published, Publisher, PublisherExt, Raw, Receipt,
    Record, Result, Retry, Room, Scope, Seen, Shard, Source, Stamp, Start, Stateless, Stats, Subscribe,
    Subscriber, Subscription, Token, TopicLag, TopicSpec, Unconfirmed, Unsent, check_name, dead_letter_topic,
    decode_when_ready, partition, position,
};
pub use bus_core::{
    DeadLetter, DeadLetters, OpenLetters, Origin, Refused, Replay, ReplayProgress, Replayed, is_derived,
};
#[cfg(feature = "avro")]
pub use bus_macros::AvroSchema;
/// ```
/// use bus::{App, Bus, Delivery, Topic, consumer, handler::{Failure, Payload}, worker};
/// # use std::time::Duration;
/// static ORDERS: Topic<String> = Topic::new("orders").partitions(4);
/// static INVOICES: Topic<String> = Topic::new("invoices").partitions(4);
///
/// #[worker(topic = ORDERS, output = INVOICES, concurrency = 8, max_retries = 5, backoff = linear, initial = "500ms")]
/// async fn bill(order: &Delivery<String>) -> Result<String, Failure> {
///     Ok(format!("1 × {}", **order))
/// }
///
/// #[consumer(topic = INVOICES, group = "mail")]
/// async fn send(Payload(invoice): Payload<String>) {
///     println!("sending {invoice}");
/// }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let bus = Bus::connect("memory://").await?;
/// let app = App::builder("shop").bus(&bus).register(bill()).register(send()).build()?;
/// # app.start().await?.stop(Duration::from_secs(1)).await?;
/// # Ok::<_, bus::Error>(()) }).unwrap();
/// ```
#[cfg(feature = "macros")]
pub use bus_macros::{consumer, worker};
#[cfg(feature = "json")]
pub use codec::Json;
#[cfg(feature = "msgpack")]
pub use codec::MessagePack;
#[cfg(feature = "protobuf")]
pub use codec::Protobuf;
#[cfg(feature = "registry")]
pub use codec::RegistryJson;
#[cfg(all(feature = "registry", feature = "protobuf"))]
pub use codec::RegistryProtobuf;
#[cfg(all(feature = "avro", feature = "registry"))]
pub use codec::avro::RegistryAvro;
#[cfg(feature = "avro")]
pub use codec::avro::{self, Avro, AvroSchema};
/// What messages of the codec [`Protobuf`] are written with.
#[cfg(feature = "protobuf")]
pub use prost;
#[cfg(feature = "settings")]
pub use settings::Settings;

/// A topic with its payload type and codec in one constant; the codec is JSON unless another is named.
#[cfg(feature = "json")]
pub type Topic<T, C = Json> = bus_core::Topic<T, C>;
#[cfg(not(feature = "json"))]
pub use bus_core::Topic;

/// The backends that are compiled in, for settings that a URL cannot carry.
pub mod backend {
    #[cfg(feature = "kafka")]
    pub use bus_kafka::{Kafka, KafkaConfig, rdkafka};
    #[cfg(feature = "memory")]
    pub use bus_memory::{Full, Memory, MemoryConfig};
    #[cfg(feature = "redis")]
    pub use bus_redis::{Password, Redis, RedisConfig, Tls};
}

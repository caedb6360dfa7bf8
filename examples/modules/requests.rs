//! One module asks another one, and awaits the answer.

use crate::GRACE;
use bus::{
    Bus, TopicSpec,
    event::EventExt,
    handler::Reply,
    router::Router,
    service::{RequestError, Service},
};
use serde_json::{Value, json};
use std::{error::Error, time::Duration};

async fn answer() -> Reply<Value> {
    Reply(json!({"answer": 42}))
}

async fn fail() -> Result<(), &'static str> {
    Err("boom")
}

pub(crate) async fn run(bus: &Bus, some: &str, requester: &str, nobody: &str) -> Result<(), Box<dyn Error>> {
    println!("== requests");
    let test = Router::new("test").route("return", answer).route("fail", fail);
    let routes = Router::new("module").nest(test).build()?;
    let some_module = Service::new(some).router(routes).start(bus).await?;
    let me = Service::new(requester).start(bus).await?;

    let reply = me
        .request(some, "test.return", &())
        .correlation_id("question-1")
        .await?;
    let text = String::from_utf8(reply.bytes().to_vec())?;
    let envelope = reply.envelope();
    println!("{} {text}", envelope.event.unwrap_or_default());
    println!("correlation id {}", envelope.correlation_id.unwrap_or_default());

    match me.request(some, "test.fail", &()).await {
        Err(RequestError::Refused(error)) => println!("{error}"),
        other => println!("unexpected: {other:?}"),
    }
    // Its inbox is there, and nobody reads it.
    bus.ensure_topics([TopicSpec::new(nobody)]).await?;
    let second = Duration::from_secs(1);
    match me.request(nobody, "test.return", &()).timeout(second).await {
        Err(error) => println!("{error}"),
        Ok(reply) => println!("unexpected: {reply:?}"),
    }
    me.stop(GRACE).await?;
    Ok(some_module.stop(GRACE).await?)
}

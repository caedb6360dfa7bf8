//! Which event reaches which handler, and what is said of those that reach none.

use crate::GRACE;
use bus::{Bus, TopicSpec, event::EventExt, handler::Event, router::Router, service::Service};
use std::error::Error;

async fn test_return(event: Event<()>) {
    println!("{} reached its handler", event.name);
}

async fn another() {}

pub(crate) async fn run(bus: &Bus, module: &str) -> Result<(), Box<dyn Error>> {
    println!("== router");
    // The root's name is part of no event, and an event matches as a whole.
    let test = Router::new("test").route("return", test_return);
    let routes = Router::new("module").nest(test).build()?;

    bus.ensure_topics([TopicSpec::new(module)]).await?;
    for event in [
        "test.return",
        "test",
        "module.test.return",
        "test.return.extra",
        "nope",
    ] {
        for _ in 0..2 {
            bus.publish(module, &()).event(event).await?;
        }
    }
    let service = Service::new(module).router(routes.clone()).start(bus).await?;
    service.control().caught_up().await?;
    for (event, times) in routes.unrouted() {
        println!("{event} reached no handler, {times} times");
    }
    service.stop(GRACE).await?;

    let twice = Router::new("test")
        .route("return", test_return)
        .route("return", another)
        .build();
    match twice {
        Err(error) => println!("{error}"),
        Ok(routes) => println!("unexpected: {routes:?}"),
    }
    Ok(())
}

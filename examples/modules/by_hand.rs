//! A service that takes its letters by hand answers them in whatever order it likes: each answer finds its own request.

use crate::GRACE;
use bus::{
    Bus,
    handler::{Payload, Reply},
    router::Router,
    service::Service,
};
use std::{error::Error, time::Duration};

async fn foretell(Payload(question): Payload<String>) -> Reply<String> {
    Reply(format!("the answer to {question}"))
}

pub(crate) async fn run(bus: &Bus, oracle: &str, pilgrim: &str) -> Result<(), Box<dyn Error>> {
    println!("== by hand");
    let routes = Router::new("oracle").route("ask", foretell).build()?;
    let seer = Service::new(oracle).router(routes).by_hand().start(bus).await?;
    let me = Service::new(pilgrim).start(bus).await?;

    let first = me.send(oracle, "ask", "the first question").await?;
    let other = me.send(oracle, "ask", "the second question").await?;
    let letters = [seer.receive().await, seer.receive().await];
    for letter in letters.into_iter().rev() {
        println!("answering {}", letter.json::<String>()?);
        let _ = seer.dispatch(letter).await?;
    }
    let second = Duration::from_secs(1);
    println!(
        "take(id1): {}",
        me.take(&first, second * 10).await?.json::<String>()?
    );
    println!(
        "take(id2): {}",
        me.take(&other, second * 10).await?.json::<String>()?
    );
    match me.take("an id that nobody has", second).await {
        Err(error) => println!("take(unknown): {error}"),
        Ok(letter) => println!("unexpected: {letter:?}"),
    }
    me.stop(GRACE).await?;
    Ok(seer.stop(GRACE).await?)
}

//! Members end at any moment of their life, in order: nothing that was acknowledged comes again. A server that forgot
//! its scripts, and a key that is no stream.

use crate::{
    server::Server,
    stage::Stage,
    test::{Numbers, On, Test},
};
use bus_core::conformance::Failure;
use std::time::Duration;

pub(crate) async fn run(test: &Test) -> Result<Numbers, Failure> {
    let server = Server::start(test).await?;
    let mut stage = Stage::open(test, &server).await?;
    stage.cast(500).await?;
    let mut turns = test.turns(100..=1_500);
    let mut ends = 0;
    while turns.next().await {
        stage.look()?;
        if let Some(redis) = server.as_redis() {
            redis.ask(&["SCRIPT", "FLUSH"]).map_err(Failure::new)?;
        }
        // It may not have joined yet, or be in the middle of anything.
        let newest = stage.consume()?;
        tokio::time::sleep(Duration::from_millis(test.random(0..=2_000))).await;
        let members = stage.members();
        let any = members[test.random(0..=members.len() as u64 - 1) as usize];
        stage
            .end(vec![if members.len() > 4 { any } else { newest }])
            .await?;
        ends += 1;
    }
    let mut numbers = stage.finish().await?;
    numbers.add("ends", ends);
    let again = stage.evidence()?.repeats();
    if again > 0 {
        return Err(Failure::new(format_args!(
            "{again} messages came again although nobody was killed"
        )));
    }
    if test.on == On::Redis {
        wrong_type(&server).await?;
    }
    Ok(numbers)
}

/// A key of another kind in a stream's place is a typed error, and stays as it is.
async fn wrong_type(server: &Server) -> Result<(), Failure> {
    let Some(redis) = server.as_redis() else {
        return Ok(());
    };
    redis.ask(&["SET", "taken", "text"]).map_err(Failure::new)?;
    let bus = server.observer().await?;
    match bus.publish_message("taken", bus::Message::new("x")).await {
        Err(unsent) if !unsent.is_unknown() => {}
        other => {
            return Err(Failure::new(format_args!(
                "a publish to a key that is text came to {other:?}"
            )));
        }
    }
    match redis.ask(&["GET", "taken"]).map_err(Failure::new)?.as_str() {
        "text" => Ok(()),
        other => Err(Failure::new(format_args!(
            "the key that is text became {other:?}"
        ))),
    }
}

//! A server that ends and comes back: what it confirmed is there, and everybody goes on by himself.

use super::network::{Load, log_of};
use crate::conformance::{
    Failure, History, Lab, Proof, checkers,
    member::Act,
    work::{keyed, stored},
};
use std::{sync::Arc, time::Duration};

/// Long enough for every connection to have noticed, and for a few attempts to come back in vain.
const DOWN: Duration = Duration::from_secs(3);
/// What a server may need to come up again on a busy machine counts beside everything else.
fn patient(lab: &Lab) -> Lab {
    lab.patient(lab.patience() * 2)
}

pub(crate) async fn a_restart_of_the_broker_loses_nothing(lab: &Lab) -> Proof {
    const COUNT: usize = 10_000;
    let lab = &patient(lab);
    let (publisher, reader) = (lab.bus().await?, lab.bus().await?);
    let topic = lab.topic(&publisher, "t", 4).await?;
    let (history, group) = (Arc::new(History::default()), lab.group("g"));
    let mut members = Vec::new();
    for number in 0..2 {
        let ack = |_| async { Act::Ack };
        let subscribe = lab.subscribe(&reader, &topic, &group);
        members.push(lab.member(subscribe, (number, 8), &history, ack).await?);
    }
    for n in 0..COUNT / 100 {
        let batch = (0..100).map(|key| keyed(format_args!("k{key}"), n)).collect();
        let publishing = lab.publish(&publisher, topic.name(), &history, batch);
        if n * 100 != COUNT / 2 && n != COUNT / 300 {
            publishing.await?;
            continue;
        }
        // Under way when the server ends.
        let restarting = async {
            lab.server()?.stop().await?;
            Proof::Ok(lab.server()?.start().await?)
        };
        let (published, restarted) = tokio::join!(biased; publishing, restarting);
        restarted?;
        published?;
    }
    let all = |h: &History| h.tally().acked == COUNT;
    lab.until_for(lab.takeover(), &history, "10000 messages are acknowledged", all)
        .await?;
    for member in members {
        member.close(lab).await?;
    }
    checkers::after_crashes(&history.happenings())?;
    let log = log_of(lab, &topic).await?;
    ensure_eq!(log.len(), COUNT, "messages in the log, sent again or not");
    Ok(())
}

pub(crate) async fn a_stopped_broker_is_waited_for(lab: &Lab) -> Proof {
    let lab = &patient(lab);
    let load = Load::start(lab).await?;
    lab.server()?.stop().await?;
    // Nothing is confirmed that has no place to be.
    let nowhere = load.bus.publish_batch(load.topic.name(), vec![keyed("late", 0)]);
    let nowhere = tokio::spawn(nowhere);
    lab.poll("the bus says that it cannot be reached", || async {
        Ok(load.bus.health().is_err())
    })
    .await?;
    tokio::time::sleep(DOWN).await;
    ensure!(
        !nowhere.is_finished(),
        "a publish has an outcome although the server is down: {:?}",
        nowhere.await
    );
    lab.server()?.start().await?;
    let outcomes = lab.within("the publish that waited", nowhere).await??;
    for outcome in outcomes {
        stored(outcome).map_err(|f: Failure| f.context("the publish that waited"))?;
    }
    lab.poll("the bus says that it can be reached again", || async {
        Ok(load.bus.health().is_ok())
    })
    .await?;
    load.history.add(
        &"late:0".into(),
        &Some("late".into()),
        crate::conformance::What::Published,
    );
    load.finish(lab).await
}

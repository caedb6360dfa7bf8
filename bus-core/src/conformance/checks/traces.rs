//! What a process that has finished leaves behind: nothing.

use crate::{
    ErrorKind,
    conformance::{Failure, Lab, Proof, work::unkeyed},
};
use std::time::Duration;
use tokio::runtime::{Builder, Handle};

pub(crate) async fn nothing_is_left_after_a_close(lab: &Lab) -> Proof {
    // In a runtime of its own, where every task is one of the bus.
    let lab = lab.clone();
    let alone = move || {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|e| Failure::new(format_args!("making a runtime: {e}")))?;
        let proof = runtime.block_on(async {
            for turn in 0..3 {
                let context = |f: Failure| f.context(format_args!("turn {turn}"));
                life(&lab, turn).await.map_err(context)?;
                gone(&lab).await.map_err(context)?;
            }
            Ok(())
        });
        runtime.shutdown_timeout(Duration::from_secs(1));
        proof
    };
    tokio::task::spawn_blocking(alone).await?
}

/// Everything that a process does, and then its end; at the last turn it forgets to close.
async fn life(lab: &Lab, turn: usize) -> Proof {
    let (bus, other) = (lab.bus().await?, lab.bus().await?);
    let topic = lab.topic(&bus, &format!("t{turn}"), 4).await?;
    let group = lab.group(&format!("g{turn}"));
    let observer = lab.join(other.observe(&topic)).await?;
    let mut reader = lab.join(lab.subscribe(&bus, &topic, &group)).await?;
    let second = lab.join(lab.subscribe(&other, &topic, &group)).await?;
    lab.store(&bus, topic.name(), unkeyed("m", 4, 40)).await?;
    lab.within("closing", second.close()).await??;
    lab.each(&mut reader, 40, |_| Ok(())).await?;
    lab.within("the lag", bus.admin().lag(&group)).await??;
    if turn == 2 {
        // Dropped in the middle of it.
        lab.store(&bus, topic.name(), unkeyed("n", 4, 40)).await?;
        return Ok(());
    }
    lab.within("closing", reader.close()).await??;
    lab.within("closing", observer.close()).await??;
    for bus in [&bus, &other] {
        lab.within("closing a bus", bus.close()).await??;
    }
    let admin = lab.backend().await?.admin();
    match lab.within("the group", admin.group(&group)).await? {
        Ok(spec) => ensure!(
            spec.members.is_empty(),
            "members are left after they closed: {:?}",
            spec.members
        ),
        Err(error) if error.kind() == ErrorKind::GroupMissing => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Nobody is left.
async fn gone(lab: &Lab) -> Proof {
    let metrics = Handle::current().metrics();
    let server = lab.server()?;
    let left = || (metrics.num_alive_tasks(), server.connections());
    let polled = lab
        .poll("nothing is left", || async { Ok(left() == (0, 0)) })
        .await;
    polled.map_err(|f| {
        let (tasks, connections) = left();
        f.context(format_args!(
            "{tasks} tasks and {connections} connections are left"
        ))
    })
}

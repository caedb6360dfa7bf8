//! A cluster is one bus: partitions on different nodes, slots that move, nodes that fail.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_brokers::{Redis as Server, RedisCluster, RedisOptions};
use bus_core::{Backend, ErrorKind, Message, Name, Scope, Start, TopicSpec};
use bus_redis::Redis;
use common::{
    member::{Member, losses},
    *,
};
use std::{collections::BTreeSet, time::Duration};

/// Partitions: enough that each of three nodes has some.
const PARTITIONS: u32 = 6;

async fn start(replicas: usize) -> RedisCluster {
    let start = move || RedisCluster::start(RedisOptions::new().appendonly(true), replicas).unwrap();
    tokio::task::spawn_blocking(start).await.unwrap()
}

async fn connect(cluster: &RedisCluster, options: &str) -> Redis {
    let url = format!("redis-cluster://{}?ttl=3s{options}", cluster.hosts());
    Redis::connect_url(&url).await.unwrap()
}

/// The slot of a partition of a topic with more than one.
fn slot(cluster: &RedisCluster, partition: u32) -> u16 {
    let key = format!("x:{{{partition}}}");
    let slot = cluster.primaries[1].ask(&["CLUSTER", "KEYSLOT", &key]).unwrap();
    slot.parse().unwrap()
}

fn everything(topic: &Name) -> bus_core::Source {
    source(topic, Scope::Everyone { partitions: None }, Start::Earliest)
}

/// The payloads of one partition, in the order in which they came.
fn of(member: &Member, partition: u32) -> Vec<String> {
    let records = member
        .records
        .iter()
        .filter(|(shard, _)| shard.partition == partition);
    records
        .map(|(_, r)| String::from_utf8_lossy(r.payload().unwrap_or_default()).into_owned())
        .collect()
}

fn expected(count: usize, partition: u32) -> Vec<String> {
    let mine = (0..count).filter(|i| *i as u32 % PARTITIONS == partition);
    mine.map(|i| i.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_on_several_nodes_are_one_topic() {
    let cluster = start(0).await;
    let backend = connect(&cluster, "").await;
    let owners: BTreeSet<usize> = (0..PARTITIONS)
        .map(|p| cluster.owner(slot(&cluster, p)).unwrap())
        .collect();
    assert_eq!(owners.len(), 3, "each node has a part");
    let topic = new_topic(&backend, PARTITIONS).await;
    let publisher = backend.publisher().await.unwrap();
    let (name, admin) = (unique("g"), backend.admin());
    let mut first = Member::join(&backend, group(&topic, &name)).await;
    first.until(|m| m.owned.len() == PARTITIONS as usize).await;
    let mut second = Member::join(&backend, group(&topic, &name)).await;
    let half = PARTITIONS as usize / 2;
    first
        .until(|m| {
            m.events
                .iter()
                .filter(|e| matches!(e, bus_core::Event::Losing { .. }))
                .count()
                == half
        })
        .await;
    let losing: Vec<_> = first
        .events
        .iter()
        .filter_map(|e| match e {
            bus_core::Event::Losing { shard, .. } => Some(*shard),
            _ => None,
        })
        .collect();
    for shard in losing {
        first.ack.release(shard).await.unwrap();
    }
    second.until(|m| m.owned.len() == half).await;
    publish(&publisher, &topic, numbered(600, PARTITIONS)).await;
    first.until(|m| m.records.len() == 300).await;
    second.until(|m| m.records.len() == 300).await;
    for member in [&mut first, &mut second] {
        member.commit_all().await;
        for partition in member.owned.keys() {
            assert_eq!(of(member, *partition), expected(600, *partition));
        }
    }
    let lags = admin.lag(&name).await.unwrap();
    assert_eq!(lags.len(), PARTITIONS as usize);
    assert!(lags.iter().all(|lag| lag.behind == 0), "{lags:?}");
    assert_eq!(admin.groups().await.unwrap(), vec![name.clone()]);
    assert_eq!(admin.topics().await.unwrap().len(), 1);
    assert_eq!(admin.group(&name).await.unwrap().members.len(), 2);
    first.subscriber.close().await.unwrap();
    second.subscriber.close().await.unwrap();
    admin.delete_group(&name).await.unwrap();
    admin.delete(&topic).await.unwrap();
    assert_eq!(admin.topics().await.unwrap(), []);
    publisher.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_in_another_slot_comes_before_the_position_or_is_refused() {
    let cluster = start(0).await;
    let backend = connect(&cluster, "").await;
    let topic = new_topic(&backend, PARTITIONS).await;
    let other = unique("invoices");
    let spec = TopicSpec::new(other.clone()).partitions(1);
    backend.admin().create(&[spec]).await.unwrap();
    let publisher = backend.publisher().await.unwrap();
    publish(&publisher, &topic, numbered(6, PARTITIONS)).await;
    let mut tail = Member::join(&backend, everything(&other)).await;
    for exactly_once in [true, false] {
        let source = bus_core::Source {
            exactly_once,
            ..group(&topic, &unique("g"))
        };
        let mut member = Member::join(&backend, source).await;
        member.until(|m| m.records.len() == 6).await;
        let mut done = member.done(0);
        done.outputs = vec![(other.clone(), Message::new("invoice"))];
        let result = in_time(member.ack.commit(vec![done])).await.remove(0);
        if exactly_once {
            let error = result.unwrap_err();
            assert_eq!(error, ErrorKind::Unsupported);
            assert!(error.message().contains("same number of partitions"), "{error}");
        } else {
            result.unwrap();
        }
        member.subscriber.close().await.unwrap();
    }
    tail.until(|m| m.records.len() == 1).await;
    let stored: Vec<String> = tail.payloads();
    assert_eq!(stored, ["invoice"], "nothing of what was refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_moves_under_load_loses_and_repeats_nothing() {
    let cluster = start(0).await;
    let backend = connect(&cluster, "").await;
    let topic = new_topic(&backend, PARTITIONS).await;
    let publisher = backend.publisher().await.unwrap();
    let mut member = Member::join(&backend, group(&topic, &unique("g"))).await;
    let mut tail = Member::join(&backend, everything(&topic)).await;
    let slot = slot(&cluster, 0);
    let from = cluster.owner(slot).unwrap();
    let to = (from + 1) % 3;
    let all = numbered(1200, PARTITIONS);
    let mut flying = Vec::new();
    let mut sent = 0;
    let mut send = |count: usize| {
        for message in &all[sent..sent + count] {
            flying.push(publisher.publish_batch(&topic, vec![message.clone()]));
        }
        sent += count;
    };
    send(300);
    member.until(|m| m.records.len() >= 100).await;
    member.commit_all().await;
    cluster.begin_move(slot, from, to).unwrap();
    send(300);
    // Stream, lease and markers one after the other, while everybody goes on.
    while cluster.move_keys(slot, from, to, 1).unwrap() > 0 {
        let pause = tokio::time::sleep(Duration::from_millis(300));
        member.during(pause).await;
    }
    send(300);
    // Keys are asked for where they have gone.
    member.during(seen(&cluster.primaries[from], "ASK")).await;
    cluster.end_move(slot, from, to).unwrap();
    send(300);
    for outcome in flying {
        receipt(member.during(in_time(outcome)).await.remove(0));
    }
    tail.until(|m| m.records.len() >= 1200).await;
    for partition in 0..PARTITIONS {
        assert_eq!(of(&tail, partition), expected(1200, partition));
        let last = expected(1200, partition).pop();
        member.until(|m| of(m, partition).last() == last.as_ref()).await;
        let seen: BTreeSet<String> = of(&member, partition).into_iter().collect();
        assert_eq!(seen.len(), 200);
    }
    member.commit_all().await;
    assert_eq!((losses(&member), losses(&tail)), (vec![], vec![]));
    assert_eq!(cluster.owner(slot).unwrap(), to);
    // And were looked for where they had been.
    seen(&cluster.primaries[from], "MOVED").await;
}

/// Waits until a server has given an answer of this kind.
async fn seen(server: &Server, code: &str) {
    let name = format!("errorstat_{code}");
    in_time(async {
        while server.info(&name).is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// Waits until the replica has what its primary has.
async fn in_sync(primary: &Server, replica: &Server) {
    in_time(async {
        let offset = |server: &Server, name| server.info(name).unwrap();
        while offset(primary, "master_repl_offset") != offset(replica, "slave_repl_offset") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_fails_over_stops_and_loses_only_what_it_had() {
    let cluster = start(1).await;
    let backend = connect(&cluster, "").await;
    let topic = new_topic(&backend, PARTITIONS).await;
    let publisher = backend.publisher().await.unwrap();
    let mut member = Member::join(&backend, group(&topic, &unique("g"))).await;
    member.until(|m| m.owned.len() == PARTITIONS as usize).await;
    publish(&publisher, &topic, numbered(600, PARTITIONS)).await;
    member.until(|m| m.records.len() == 600).await;
    member.commit_all().await;
    let (primary, replica) = (&cluster.primaries[0], &cluster.replicas[0]);
    in_sync(primary, replica).await;
    let before: Vec<_> = (0..PARTITIONS).map(|p| member.shard(p)).collect();
    let theirs: Vec<u32> = (0..PARTITIONS)
        .filter(|p| cluster.owner(slot(&cluster, *p)).unwrap() == 0)
        .collect();
    assert!(!theirs.is_empty() && theirs.len() < PARTITIONS as usize);
    primary.kill9().unwrap();
    let flying: Vec<_> = numbered(1200, PARTITIONS)
        .split_off(600)
        .into_iter()
        .map(|message| publisher.publish_batch(&topic, vec![message]))
        .collect();
    for outcome in flying {
        receipt(member.during(in_time(outcome)).await.remove(0));
    }
    assert_eq!(replica.info("role").unwrap(), "master");
    for partition in 0..PARTITIONS {
        let last = expected(1200, partition).pop();
        member.until(|m| of(m, partition).last() == last.as_ref()).await;
        let (shard, failed) = (member.shard(partition), theirs.contains(&partition));
        assert_eq!(shard != before[partition as usize], failed, "{shard:?}");
    }
    member.commit_all().await;
    let mut tail = Member::join(&backend, everything(&topic)).await;
    tail.until(|m| m.records.len() >= 1200).await;
    for partition in 0..PARTITIONS {
        assert_eq!(of(&tail, partition), expected(1200, partition));
    }
    assert_eq!((losses(&member), losses(&tail)), (vec![], vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_loses_by_a_failover_is_told_of_its_partitions_alone() {
    let cluster = start(1).await;
    let backend = connect(&cluster, "").await;
    let topic = new_topic(&backend, PARTITIONS).await;
    let publisher = backend.publisher().await.unwrap();
    let mut member = Member::join(&backend, group(&topic, &unique("g"))).await;
    member.until(|m| m.owned.len() == PARTITIONS as usize).await;
    let kept = publish(&publisher, &topic, numbered(PARTITIONS as usize, PARTITIONS)).await;
    member.until(|m| m.records.len() == 6).await;
    member.commit_all().await;
    let (primary, replica) = (&cluster.primaries[0], &cluster.replicas[0]);
    in_sync(primary, replica).await;
    replica.ask(&["CONFIG", "SET", "masteruser", "nobody"]).unwrap();
    replica.ask(&["CONFIG", "SET", "masterauth", "wrong"]).unwrap();
    primary.ask(&["CLIENT", "KILL", "TYPE", "replica"]).unwrap();
    let lost = publish(&publisher, &topic, numbered(PARTITIONS as usize, PARTITIONS)).await;
    member.until(|m| m.records.len() == 12).await;
    let theirs: Vec<u32> = (0..PARTITIONS)
        .filter(|p| cluster.owner(slot(&cluster, *p)).unwrap() == 0)
        .collect();
    primary.kill9().unwrap();
    member.until(|m| losses(m).len() == theirs.len()).await;
    let mut told = losses(&member);
    let mut ranges: Vec<_> = theirs
        .iter()
        .map(|p| {
            let range = [&kept, &lost].map(|all| all[*p as usize].position.unwrap() + 1);
            (range[0], range[1])
        })
        .collect();
    told.sort_unstable();
    ranges.sort_unstable();
    assert_eq!(told, ranges);
    // The next publish to each of them hears of it, and the one after it is stored; the others hear of nothing.
    for partition in 0..PARTITIONS {
        let publish = || {
            let message = Message::new("next").to_partition(partition);
            in_time(publisher.publish_batch(&topic, vec![message]))
        };
        let first = publish().await.remove(0);
        let told = match first {
            Err(told) => Err(told),
            Ok(_) => publish().await.remove(0),
        };
        match theirs.contains(&partition) {
            true => assert_eq!(told.unwrap_err().error(), &ErrorKind::DataLoss),
            false => assert!(told.is_ok(), "{told:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_cluster_and_what_is_one_are_told_apart() {
    let cluster = start(0).await;
    let error = Redis::connect_url("redis-cluster://127.0.0.1:1")
        .await
        .unwrap_err();
    assert_eq!(error, ErrorKind::Unavailable);
    assert!(error.message().contains("cluster nodes"), "{error}");
    let alone = common::server::Server::start(&[]);
    let url = alone.url().replace("redis://", "redis-cluster://");
    let error = Redis::connect_url(&url).await.unwrap_err();
    assert_eq!(error, ErrorKind::Unsupported);
    assert!(error.message().contains("use `redis://"), "{error}");
    let url = format!("redis-cluster://{}/1", cluster.hosts());
    assert_eq!(Redis::connect_url(&url).await.unwrap_err(), ErrorKind::Invalid);
    // One node is enough, also behind one that is down.
    let url = format!("redis-cluster://127.0.0.1:1,{}", cluster.primaries[2].socket());
    let backend = Redis::connect_url(&url).await.unwrap();
    new_topic(&backend, PARTITIONS).await;
}

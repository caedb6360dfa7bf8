//! Kafka: a Metadata request, version 1.
//!
//! ApiVersions would be answered as soon as the listener is open; only metadata says whether the controller has
//! let the broker in, before which no topic can be created.

use std::io::{Read, Write};

use super::wire::Wire;
use crate::native::KafkaPartition;
use crate::probe::connect;

const METADATA: i16 = 3;
const VERSION: i16 = 1;
const CORRELATION: i32 = 7;
/// Far more than the metadata of a test's topics.
const LARGEST: usize = 1 << 20;
pub(super) const NO_SENSE: &str = "not a Kafka answer";

/// How many brokers the cluster behind `host:port` has, or why it does not answer.
pub(crate) fn kafka_brokers(address: &str) -> Result<usize, String> {
    brokers(&mut Wire(&ask(address, None)?))
}

/// The partitions of a topic, by number.
pub(crate) fn kafka_partitions(address: &str, topic: &str) -> Result<Vec<KafkaPartition>, String> {
    let body = ask(address, Some(topic))?;
    let mut wire = Wire(&body);
    brokers(&mut wire)?;
    let mut found = partitions(&mut wire).ok_or(NO_SENSE)??;
    found.sort_by_key(|p| p.partition);
    Ok(found)
}

fn ask(address: &str, topic: Option<&str>) -> Result<Vec<u8>, String> {
    exchange(address, &request(topic))
}

/// Sends a request and reads its answer, correlation id first.
pub(super) fn exchange(address: &str, request: &[u8]) -> Result<Vec<u8>, String> {
    // "host:port,host:port" is what clients take; the first one speaks for the cluster.
    let first = address.split(',').next().unwrap_or(address);
    let mut stream = connect(first)?;
    stream.write_all(request).map_err(|e| e.to_string())?;
    let mut size = [0; 4];
    stream.read_exact(&mut size).map_err(|e| e.to_string())?;
    let size = usize::try_from(i32::from_be_bytes(size))
        .ok()
        .filter(|size| *size < LARGEST);
    let mut body = vec![0; size.ok_or(NO_SENSE)?];
    stream.read_exact(&mut body).map_err(|e| e.to_string())?;
    Ok(body)
}

fn request(topic: Option<&str>) -> Vec<u8> {
    let mut body = Vec::new();
    // A list of topics; an empty one asks for none.
    body.extend(i32::from(topic.is_some()).to_be_bytes());
    if let Some(topic) = topic {
        text(&mut body, topic);
    }
    frame(METADATA, VERSION, &body)
}

/// A request with its head, which says its length first.
pub(super) fn frame(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut head = Vec::new();
    head.extend(key.to_be_bytes());
    head.extend(version.to_be_bytes());
    head.extend(CORRELATION.to_be_bytes());
    text(&mut head, "bus-brokers");
    let mut frame = ((head.len() + body.len()) as i32).to_be_bytes().to_vec();
    frame.extend(head);
    frame.extend(body);
    frame
}

pub(super) fn text(body: &mut Vec<u8>, text: &str) {
    body.extend((text.len() as i16).to_be_bytes());
    body.extend(text.as_bytes());
}

/// The answer starts with the correlation id and the brokers.
fn brokers(wire: &mut Wire<'_>) -> Result<usize, String> {
    if wire.int() != Some(CORRELATION) {
        return Err(NO_SENSE.into());
    }
    let list = wire.list(|wire| {
        wire.int()?; // node id
        wire.text()?; // host
        wire.int()?; // port
        wire.text() // rack
    });
    match list.ok_or(NO_SENSE)?.len() {
        0 => Err("no broker has been let into the cluster yet".into()),
        count => Ok(count),
    }
}

fn partitions(wire: &mut Wire<'_>) -> Option<Result<Vec<KafkaPartition>, String>> {
    wire.int()?; // the controller's id
    let topics = wire.list(|wire| {
        let error = wire.short()?;
        wire.text()?; // name
        wire.byte()?; // internal?
        Some((error, wire.list(partition)?))
    })?;
    Some(match topics.into_iter().next()? {
        (0, partitions) => Ok(partitions),
        (3, _) => Err("there is no such topic".into()),
        (error, _) => Err(format!("error {error}")),
    })
}

fn partition(wire: &mut Wire<'_>) -> Option<KafkaPartition> {
    wire.short()?; // an error such as "no leader", which the fields tell too
    let node = |id: i32| u32::try_from(id).ok();
    let nodes = |wire: &mut Wire<'_>| wire.list(|wire| node(wire.int()?));
    Some(KafkaPartition {
        partition: node(wire.int()?)?,
        leader: node(wire.int()?),
        replicas: nodes(wire)?,
        in_sync: nodes(wire)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_says_its_own_length() {
        for topic in [None, Some("orders")] {
            let frame = request(topic);
            assert_eq!(frame[..4], ((frame.len() - 4) as i32).to_be_bytes());
            assert_eq!(frame[4..8], [0, 3, 0, 1]);
        }
    }

    #[test]
    fn answers_are_read() {
        let one = [
            0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, b'h', 0, 0, 0, 9, 0xff, 0xff,
        ];
        assert_eq!(brokers(&mut Wire(&one)), Ok(1));
        assert!(brokers(&mut Wire(&one[..20])).is_err());
        let none = [0, 0, 0, 7, 0, 0, 0, 0];
        assert!(brokers(&mut Wire(&none)).unwrap_err().contains("no broker"));
        assert!(brokers(&mut Wire(&[0, 0, 0, 8, 0, 0, 0, 0])).is_err());

        let head = [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, b't', 0, 0, 0, 0, 1];
        let lists = [0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
        let leaderless = [0, 5, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
        let answer = [&head[..], &leaderless, &lists].concat();
        let found = partitions(&mut Wire(&answer)).unwrap().unwrap();
        let expected = KafkaPartition {
            partition: 0,
            leader: None,
            replicas: vec![1, 2],
            in_sync: vec![2],
        };
        assert_eq!(found, [expected]);
    }
}

//! Kafka: a Metadata request, version 1, about no topic.
//!
//! ApiVersions would be answered as soon as the listener is open; only metadata says whether the controller has
//! let the broker in, before which no topic can be created.

use std::io::{Read, Write};

use crate::probe::connect;

const METADATA: i16 = 3;
const VERSION: i16 = 1;

/// How many brokers the cluster behind `host:port` has, or why it does not answer.
pub(crate) fn kafka_brokers(address: &str) -> Result<usize, String> {
    // "host:port,host:port" is what clients take; the first one speaks for the cluster.
    let first = address.split(',').next().unwrap_or(address);
    let mut stream = connect(first)?;
    stream.write_all(&request()).map_err(|e| e.to_string())?;
    let mut size = [0; 4];
    stream.read_exact(&mut size).map_err(|e| e.to_string())?;
    let size = i32::from_be_bytes(size);
    let mut body = vec![
        0;
        usize::try_from(size)
            .ok()
            .filter(|s| *s < 1 << 20)
            .ok_or("not a Kafka answer")?
    ];
    stream.read_exact(&mut body).map_err(|e| e.to_string())?;
    brokers(&body)
}

fn request() -> Vec<u8> {
    let client = b"bus-brokers";
    let mut body = Vec::new();
    body.extend(METADATA.to_be_bytes());
    body.extend(VERSION.to_be_bytes());
    body.extend(7_i32.to_be_bytes()); // correlation id
    body.extend((client.len() as i16).to_be_bytes());
    body.extend(client);
    body.extend(0_i32.to_be_bytes()); // an empty list of topics
    let mut frame = (body.len() as i32).to_be_bytes().to_vec();
    frame.extend(body);
    frame
}

/// The answer starts with the correlation id and the number of brokers.
fn brokers(body: &[u8]) -> Result<usize, String> {
    let number = |at: usize| {
        body.get(at..at + 4)
            .and_then(|b| b.try_into().ok())
            .map(i32::from_be_bytes)
    };
    match (number(0), number(4)) {
        (Some(7), Some(0)) => Err("no broker has been let into the cluster yet".into()),
        (Some(7), Some(count)) => usize::try_from(count).map_err(|_| "not a Kafka answer".into()),
        _ => Err("not a Kafka answer".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_says_its_own_length() {
        let frame = request();
        assert_eq!(frame[..4], ((frame.len() - 4) as i32).to_be_bytes());
        assert_eq!(frame[4..8], [0, 3, 0, 1]);
    }

    #[test]
    fn answers_are_read() {
        assert_eq!(brokers(&[0, 0, 0, 7, 0, 0, 0, 3, 9, 9]), Ok(3));
        assert!(
            brokers(&[0, 0, 0, 7, 0, 0, 0, 0])
                .unwrap_err()
                .contains("no broker")
        );
        assert!(brokers(&[0, 0, 0, 8, 0, 0, 0, 1]).is_err());
        assert!(brokers(&[1]).is_err());
    }
}

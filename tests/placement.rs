//! Another language's client would have chosen the same partition for every key.

use bus::partition::Partitioner;
use std::{io::Write, process::Command, process::Stdio};

/// Asks aiokafka's default partitioner for each key, given as hex.
const ASK: &str = "
import sys
from aiokafka.partitioner import DefaultPartitioner
choose = DefaultPartitioner()
for line in sys.stdin:
    key, count = line.split(' ')
    partitions = list(range(int(count)))
    print(choose(bytes.fromhex(key), partitions, partitions))
";

#[test]
fn aiokafka_chooses_the_same_partitions() {
    let flights = include_str!("data/flights-1000.ndjson");
    let tails = flights.lines().filter_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        line["key"].as_str().map(|key| key.as_bytes().to_vec())
    });
    let lengths = (0..64).map(|length| (0..length).map(|i: u8| i.wrapping_mul(151) ^ 0x80).collect());
    let keys: Vec<Vec<u8>> = tails.chain(lengths).collect();
    assert!(keys.len() > 900, "{} keys", keys.len());

    for partitions in [1, 3, 4, 12, 1000] {
        let python = bus_brokers::python(&["aiokafka"]).expect("python with aiokafka");
        let mut child = Command::new(python)
            .args(["-c", ASK])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let hex = |key: &[u8]| key.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let input: String = keys
            .iter()
            .map(|key| format!("{} {partitions}\n", hex(key)))
            .collect();
        let mut stdin = child.stdin.take().expect("a pipe");
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let output = child.wait_with_output().expect("python ends");
        writer.join().expect("no panic").expect("python reads everything");
        assert!(output.status.success());
        let theirs: Vec<u32> = String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(|l| l.parse().expect("a number"))
            .collect();
        let ours: Vec<u32> = keys
            .iter()
            .map(|key| Partitioner::Murmur2.partition(key, partitions))
            .collect();
        assert_eq!(ours, theirs, "{partitions} partitions");
    }
}

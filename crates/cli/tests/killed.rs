//! Three members of a group append to one file; one is killed in the middle and started again: nothing is lost, every
//! key stays in order, and what was acknowledged does not come again.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use common::{Running, Server, feed, flights, on, run, scratch, unique, until};
use rustix::process::Signal;
use serde_json::Value;
use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

#[test]
fn kafka() {
    killed_in_the_middle(&Server::kafka());
}

#[test]
fn redis() {
    killed_in_the_middle(&Server::redis());
}

#[test]
fn redis_8() {
    killed_in_the_middle(&Server::redis_8());
}

/// Where a message is.
type Place = (u64, String);

fn place(line: &Value) -> Place {
    (line["partition"].as_u64().unwrap(), line["position"].to_string())
}

fn killed_in_the_middle(server: &Server) {
    let url = &server.url;
    let (topic, group, file) = (unique("killed"), unique("group"), scratch("killed.ndjson"));
    run(on(url, &["topics", "create", &topic, "--partitions", "4"])).exits(0);
    let member = || Running::append(on(url, &["consume", &topic, "--group", &group, "--json"]), &file);
    let mut members = [member(), member(), member()];
    until("three members own four partitions", || {
        owners(url, &group).filter(|owners| *owners == [1, 1, 2])
    });

    let publisher = {
        let (url, topic) = (url.clone(), topic.clone());
        std::thread::spawn(move || {
            feed(
                on(&url, &["publish", &topic, "--json", "--rate", "100"]),
                &flights(),
            )
        })
    };
    until("the first has printed something, in the middle", || {
        (lines(&file) > 300 && has_written(&members[0])).then_some(())
    });
    members[0].signal(Signal::KILL);
    members[0].ended("the killed one");
    assert!(lines(&file) < 900, "it was killed too late to prove anything");
    members[0] = member();

    let published = publisher.join().unwrap().exits(0).lines();
    assert_eq!(published.len(), 1_000);
    let order: HashMap<Place, usize> = published
        .iter()
        .enumerate()
        .map(|(i, line)| (place(line), i))
        .collect();
    let printed = until("every message is in the file", || {
        let printed = read(&file);
        let seen: HashSet<_> = printed.iter().map(place).collect();
        order.keys().all(|place| seen.contains(place)).then_some(printed)
    });
    in_order(&printed, &order);

    for member in &members {
        member.signal(Signal::TERM);
    }
    for member in &mut members {
        assert_eq!(member.ended("a member after SIGTERM").code(), Some(0));
    }
    let described = run(on(url, &["groups", "describe", &group, "--json"]))
        .exits(0)
        .lines();
    assert_eq!(described[0]["lag"], 0, "{described:?}");
    assert_eq!(
        described[0]["positions"].as_array().unwrap().len(),
        4,
        "{described:?}"
    );
    let again = run(on(
        url,
        &["consume", &topic, "--group", &group, "--json", "--idle", "3s"],
    ));
    assert_eq!(again.exits(3).out, "", "what was acknowledged came again");
    let _ = std::fs::remove_file(&file);
    server.passed("cli: a member killed in the middle loses nothing");
}

/// How many partitions each member owns, sorted.
fn owners(url: &str, group: &str) -> Option<Vec<usize>> {
    let ran = run(on(url, &["groups", "describe", group]));
    let described = (ran.status == 0).then(|| ran.lines())?;
    let members = described[0]["members"].as_array()?;
    let mut owned: Vec<_> = members
        .iter()
        .map(|m| m["partitions"].as_array().map_or(0, Vec::len))
        .collect();
    owned.sort_unstable();
    Some(owned)
}

fn lines(file: &Path) -> usize {
    std::fs::read(file)
        .unwrap_or_default()
        .iter()
        .filter(|b| **b == b'\n')
        .count()
}

/// Whether this very process has printed: all append to one file, so the system is asked.
fn has_written(member: &Running) -> bool {
    let Ok(io) = std::fs::read_to_string(format!("/proc/{}/io", member.0.id())) else {
        return true;
    };
    let written = io
        .lines()
        .find_map(|line| line.strip_prefix("wchar: "))
        .and_then(|n| n.parse::<u64>().ok());
    // What a connection takes is counted too, but no request is as long as the messages of half a second.
    written.is_none_or(|bytes| bytes > 10_000)
}

/// The lines of the file. Several processes wrote it, one of them was killed: each line must be whole all the same.
fn read(file: &PathBuf) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    // The last line may be on its way just now.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect()
}

/// The first appearances of each key's messages are in the order in which they were published.
fn in_order(printed: &[Value], order: &HashMap<Place, usize>) {
    let (mut seen, mut last) = (HashSet::new(), HashMap::new());
    for line in printed {
        let place = place(line);
        let number = *order
            .get(&place)
            .unwrap_or_else(|| panic!("nobody published {line}"));
        if !seen.insert(place) {
            continue;
        }
        if let Some(key) = line["key"].as_str() {
            let before = last.insert(key.to_owned(), number);
            assert!(
                before.is_none_or(|before| before < number),
                "{key}: line {number} came after {before:?}"
            );
        }
    }
}

//! What is wrong with an application before anything of it runs.

use super::builder::{Item, find};
use crate::Bus;
use bus_core::{Error, Name, Result, TopicSpec};
use std::collections::HashMap;

/// Checks everything; the topics that are needed, by bus.
pub(super) fn all(buses: &[(Name, Bus)], items: &[Item]) -> Result<Vec<(Name, TopicSpec)>> {
    for (number, (name, _)) in buses.iter().enumerate() {
        if buses[..number].iter().any(|(other, _)| other == name) {
            return Err(Error::invalid(format!("bus `{name}` is given twice")));
        }
    }
    for item in items {
        if find(buses, &item.bus).is_none() {
            let context = format!("{} at {}", item.title(), item.place);
            return Err(unknown_bus(&item.bus, buses).context(context));
        }
        item.run.check()?;
    }
    names(items)?;
    readers(items)?;
    topics(items)
}

pub(super) fn unknown_bus(name: &str, buses: &[(Name, Bus)]) -> Error {
    let known: Vec<_> = buses.iter().map(|(name, _)| format!("`{name}`")).collect();
    Error::invalid(match known.is_empty() {
        true => format!("there is no bus `{name}`: give the application one by `bus` or `named_bus`"),
        false => format!("there is no bus `{name}`; known are {}", known.join(", ")),
    })
}

fn both(one: &Item, other: &Item) -> String {
    format!("{} and {}", one.run.place(), other.run.place())
}

fn names(items: &[Item]) -> Result<()> {
    let mut seen: HashMap<String, &Item> = HashMap::new();
    for item in items.iter().filter(|item| item.run.kind() != "consumer") {
        if let Some(other) = seen.insert(item.title(), item) {
            let text = format!(
                "two are called {}: at {}; give one another name",
                item.title(),
                both(other, item)
            );
            return Err(Error::invalid(text));
        }
    }
    Ok(())
}

/// Topic and group.
type Pair = (Name, Name);

fn readers(items: &[Item]) -> Result<()> {
    let mut groups: HashMap<(&Name, Name, Name), &Item> = HashMap::new();
    let mut letters: HashMap<(&Name, Name), (Pair, &Item)> = HashMap::new();
    for item in items {
        for reads in item.run.reads() {
            let pair = (reads.topic.clone(), reads.group.clone());
            if let Some(other) = groups.insert((&item.bus, pair.0.clone(), pair.1.clone()), item) {
                tracing::warn!(
                    topic = &*reads.topic,
                    group = &*reads.group,
                    "{} and {} (at {}) are members of one group: each gets some of the topic's messages; \
                     give each a group of its own if both are to see all of them",
                    other.title(),
                    item.title(),
                    both(other, item)
                );
            }
            let Some(name) = reads.dead_letters else { continue };
            let first = letters
                .entry((&item.bus, name.clone()))
                .or_insert((pair.clone(), item));
            let ((topic, group), other) = first;
            if (&*topic, &*group) != (&pair.0, &pair.1) {
                return Err(Error::invalid(format!(
                    "dead letters of `{topic}` in group `{group}` and of `{}` in group `{}` would both go to `{name}`: \
                     at {}; name their topics yourself",
                    pair.0,
                    pair.1,
                    both(other, item)
                )));
            }
        }
    }
    Ok(())
}

fn topics(items: &[Item]) -> Result<Vec<(Name, TopicSpec)>> {
    let mut all: Vec<((Name, TopicSpec), &Item)> = Vec::new();
    for item in items {
        for topic in item.run.topics() {
            topic
                .check()
                .map_err(|e| e.context(format!("{} at {}", item.title(), item.run.place())))?;
            // What is only named says nothing of how it is made.
            let is_bare = crate::ensure::is_bare(&topic);
            let known = all
                .iter_mut()
                .find(|((bus, other), _)| *bus == item.bus && other.name == topic.name);
            match known {
                None => all.push(((item.bus.clone(), topic), item)),
                Some(((_, other), _)) if is_bare || *other == topic => {}
                Some(((_, other), from)) if crate::ensure::is_bare(other) => {
                    (*other, *from) = (topic, item);
                }
                Some((_, other)) => {
                    let text = format!(
                        "topic `{}` is defined in two ways: at {}",
                        topic.name,
                        both(other, item)
                    );
                    return Err(Error::invalid(text));
                }
            }
        }
    }
    Ok(all.into_iter().map(|(topic, _)| topic).collect())
}

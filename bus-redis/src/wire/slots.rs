//! Who owns which slot of a cluster, as one of its nodes says.

use super::Value;
use crate::{cluster::SLOTS, servers::Host};
use std::sync::Arc;

/// Nobody, as far as is known.
const NOBODY: u16 = u16::MAX;

/// The primaries, and the slots of each.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    hosts: Vec<Arc<Host>>,
    owners: Vec<u16>,
}

impl Default for Slots {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            owners: vec![NOBODY; usize::from(SLOTS)],
        }
    }
}

impl Slots {
    /// Reads the reply to `CLUSTER SLOTS` of the node at `told_by`, whose own name may be left out of it.
    pub(super) fn read(reply: &Value, told_by: &Host) -> Self {
        let mut slots = Self::default();
        for range in reply.list() {
            let (first, last, primary) = (range.at(0).int(), range.at(1).int(), range.at(2));
            let port = primary.at(1).int().and_then(|port| u16::try_from(port).ok());
            let (Some(first), Some(last), Some(port)) = (first, last, port) else {
                continue;
            };
            let name = primary.at(0).text().filter(|name| !matches!(*name, "" | "?"));
            let host = Host::new(name.unwrap_or(&told_by.name), port);
            for slot in first.max(0)..=last.min(i64::from(SLOTS) - 1) {
                slots.give(slot as u16, &host);
            }
        }
        slots
    }
    /// The owner of a slot.
    pub(super) fn owner(&self, slot: u16) -> Option<&Arc<Host>> {
        self.hosts.get(usize::from(self.owners[usize::from(slot)]))
    }
    /// All owners.
    pub(super) fn hosts(&self) -> &[Arc<Host>] {
        &self.hosts
    }
    /// A slot has another owner.
    pub(super) fn give(&mut self, slot: u16, host: &Host) {
        let known = self.hosts.iter().position(|known| **known == *host);
        let number = known.unwrap_or_else(|| {
            self.hosts.push(Arc::new(host.clone()));
            self.hosts.len() - 1
        });
        if let Some(owner) = self.owners.get_mut(usize::from(slot)) {
            *owner = number as u16;
        }
    }
}

/// `MOVED 866 127.0.0.1:7001` or `ASK …`: the slot, and where it is. `told_by` stands for a name that is left out.
pub(super) fn redirection(text: &str, told_by: &Host) -> Option<(u16, Host)> {
    let mut words = text.split(' ').skip(1);
    let slot = words.next()?.parse().ok().filter(|slot| *slot < SLOTS)?;
    let (name, port) = words.next()?.rsplit_once(':')?;
    let name = if matches!(name, "" | "?") {
        &told_by.name
    } else {
        name
    };
    Some((slot, Host::new(name, port.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Host {
        Host::new("seed", 7000)
    }

    #[test]
    fn owners_are_read_and_changed() {
        let node = |name: &str, port| Value::List(vec![Value::Text(name.into()), Value::Int(port)]);
        let range = |first, last, node| Value::List(vec![Value::Int(first), Value::Int(last), node]);
        let reply = Value::List(vec![range(0, 99, node("a", 1)), range(101, 16_383, node("", 2))]);
        let mut slots = Slots::read(&reply, &host());
        let owner = |slots: &Slots, slot| slots.owner(slot).map(|host| host.to_string());
        assert_eq!(owner(&slots, 99).as_deref(), Some("a:1"));
        assert_eq!(owner(&slots, 100), None);
        assert_eq!(owner(&slots, 16_383).as_deref(), Some("seed:2"));
        slots.give(100, &Host::new("b", 3));
        assert_eq!(
            (owner(&slots, 100).as_deref(), slots.hosts().len()),
            (Some("b:3"), 3)
        );
    }

    #[test]
    fn redirections_are_read() {
        let read = |text| redirection(text, &host()).map(|(slot, host)| (slot, host.to_string()));
        assert_eq!(
            read("MOVED 866 127.0.0.1:7001"),
            Some((866, "127.0.0.1:7001".into()))
        );
        assert_eq!(read("ASK 866 ::1:7001"), Some((866, "[::1]:7001".into())));
        assert_eq!(read("MOVED 866 :7001"), Some((866, "seed:7001".into())));
        assert_eq!((read("MOVED x"), read("MOVED 16384 h:1")), (None, None));
    }
}

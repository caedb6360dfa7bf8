//! What a log holds, against what its publishers were told.

use super::Answer;
use crate::conformance::{Failure, Id, Place};
use std::collections::HashMap;

/// What a publisher was told about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Told {
    /// It is stored.
    Stored,
    /// It is not.
    NotStored,
    /// It may be, or the publisher died before it was told.
    Unknown,
}

/// A message that a publisher handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// What tells it from others.
    pub id: Id,
    /// Its key.
    pub key: Option<Id>,
    /// What the publisher was told.
    pub told: Told,
}

/// The log holds every message that was confirmed, none that was refused, none twice and none that nobody sent; and the
/// messages of a key lie in one partition, in the order in which they were sent. `sent` is in that order, key by key.
/// # Errors
/// The first message for which that is not so.
pub fn log_holds(sent: &[Sent], log: &[(Id, Place)]) -> Answer {
    let number: HashMap<&Id, usize> = sent.iter().enumerate().map(|(at, s)| (&s.id, at)).collect();
    let mut places: HashMap<&Id, Place> = HashMap::new();
    let mut last: HashMap<&Id, (usize, Place)> = HashMap::new();
    let mut sorted: Vec<_> = log.iter().collect();
    sorted.sort_by_key(|(_, place)| *place);
    for (id, place) in sorted {
        let Some(at) = number.get(id) else {
            return Err(Failure::new(format_args!("{id:?} at {place:?} was never sent")));
        };
        if let Some(first) = places.insert(id, *place) {
            return Err(Failure::new(format_args!(
                "{id:?} is stored twice, at {first:?} and at {place:?}"
            )));
        }
        let message = &sent[*at];
        ensure!(
            message.told != Told::NotStored,
            "{id:?} is stored at {place:?} although its publisher was told that it is not"
        );
        let Some(key) = &message.key else { continue };
        if let Some((before, there)) = last.insert(key, (*at, *place)) {
            ensure!(
                there.partition == place.partition,
                "key {key:?} lies in the partitions {} and {}",
                there.partition,
                place.partition
            );
            ensure!(
                before < *at,
                "{id:?} at {place:?} lies behind {:?}, which was sent after it",
                sent[before].id
            );
        }
    }
    let missing: Vec<_> = sent
        .iter()
        .filter(|s| s.told == Told::Stored && !places.contains_key(&s.id))
        .map(|s| &s.id)
        .collect();
    ensure!(
        missing.is_empty(),
        "{} messages were confirmed and are not stored, the first: {:?}",
        missing.len(),
        &missing[..missing.len().min(5)]
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use Told::{NotStored, Stored, Unknown};

    fn sent(told: [Told; 3]) -> Vec<Sent> {
        let message = |(id, told): (&str, Told)| Sent {
            id: id.into(),
            key: Some("k".into()),
            told,
        };
        ["a", "b", "c"].into_iter().zip(told).map(message).collect()
    }

    fn log(ids: &[&str]) -> Vec<(Id, Place)> {
        let place = |at| Place {
            partition: 0,
            position: at as u128,
        };
        ids.iter()
            .enumerate()
            .map(|(at, id)| ((*id).into(), place(at)))
            .collect()
    }

    fn wrong(told: [Told; 3], ids: &[&str]) -> String {
        log_holds(&sent(told), &log(ids)).unwrap_err().to_string()
    }

    #[test]
    fn a_log_holds_what_was_confirmed() {
        assert!(log_holds(&sent([Stored; 3]), &log(&["a", "b", "c"])).is_ok());
        assert!(log_holds(&sent([Stored, Unknown, Stored]), &log(&["a", "c"])).is_ok());
        assert!(log_holds(&sent([Stored, Unknown, NotStored]), &log(&["a", "b"])).is_ok());
        let missing = wrong([Stored; 3], &["a", "c"]);
        assert!(
            missing.contains(r#"1 messages were confirmed and are not stored, the first: ["b"]"#),
            "{missing}"
        );
    }

    #[test]
    fn a_log_holds_nothing_else() {
        assert!(wrong([Stored, NotStored, Stored], &["a", "b", "c"]).contains("was told that it is not"));
        assert!(wrong([Unknown; 3], &["a", "a"]).contains(r#""a" is stored twice"#));
        assert!(wrong([Stored; 3], &["a", "b", "c", "x"]).contains(r#""x" at"#));
    }

    #[test]
    fn a_key_keeps_its_order_and_its_partition() {
        assert!(wrong([Stored; 3], &["b", "a", "c"]).contains(r#""a" at"#));
        let mut split = log(&["a", "b", "c"]);
        split[2].1.partition = 1;
        let failure = log_holds(&sent([Stored; 3]), &split).unwrap_err().to_string();
        assert!(failure.contains("lies in the partitions 0 and 1"), "{failure}");
        let mut others = sent([Stored; 3]);
        others.iter_mut().for_each(|s| s.key = None);
        assert!(
            log_holds(&others, &log(&["c", "a", "b"])).is_ok(),
            "without a key there is no order"
        );
    }
}

//! Who may settle what.

use super::Answer;
use crate::conformance::{Failure, Happening, Id, What};
use std::collections::{HashMap, HashSet};

/// No message was settled by a member whose partition had gone to another one.
///
/// A message that was out when the next owner of its partition had its first delivery has to come again: it was not
/// settled then, and what its former owner says afterwards is void. One that never came again, although that owner
/// acknowledged it, was settled by somebody who had no right to. Needs the places of deliveries, in one topic.
/// # Errors
/// The first message of which that is true.
pub fn former_owner(happenings: &[Happening]) -> Answer {
    let mut owners: HashMap<u32, u32> = HashMap::new();
    // Who has it and in which partition: in the hands of an owner, and of a former one.
    let mut out: HashMap<&Id, (u32, u32)> = HashMap::new();
    let mut owed: Vec<(&Id, u32, u32)> = Vec::new();
    let mut late: HashSet<&Id> = HashSet::new();
    for h in happenings {
        match h.what {
            What::Delivered { member, .. } => {
                let Some(place) = h.place else { continue };
                let partition = place.partition;
                let before = owners.insert(partition, member);
                if before.is_some_and(|owner| owner != member) {
                    let left = out.extract_if(|_, (owner, of)| *of == partition && *owner != member);
                    owed.extend(left.map(|(id, (owner, of))| (id, owner, of)));
                }
                owed.retain(|(id, ..)| **id != h.id);
                late.remove(&h.id);
                out.insert(&h.id, (member, partition));
            }
            What::Acked { member } => match out.get(&h.id) {
                Some((owner, _)) if *owner == member => drop(out.remove(&h.id)),
                _ => drop(late.insert(&h.id)),
            },
            What::Nacked { .. } | What::Returned => drop(out.remove(&h.id)),
            What::DeadLettered => owed.retain(|(id, ..)| **id != h.id),
            What::Published => {}
        }
    }
    match owed.iter().filter(|(id, ..)| late.contains(id)).min() {
        None => Ok(()),
        Some((id, owner, partition)) => Err(Failure::new(format_args!(
            "{id:?} was settled by member {owner}, a former owner of partition {partition}, and never came to the next"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::checkers::stories::{acked, delivered, history, returned};

    #[test]
    fn an_ack_after_the_partition_went_is_void() {
        let taken = [delivered("x", 0), delivered("y", 1), acked("x", 0)];
        let failure = former_owner(&history(&taken)).unwrap_err().to_string();
        assert!(
            failure.contains(r#""x" was settled by member 0, a former owner"#),
            "{failure}"
        );
        let again = [&taken[..], &[delivered("x", 1), acked("x", 1)]].concat();
        assert!(
            former_owner(&history(&again)).is_ok(),
            "it came to the next owner"
        );
        let before = [delivered("x", 0), acked("x", 0), delivered("y", 1)];
        assert!(
            former_owner(&history(&before)).is_ok(),
            "settled while it was owned"
        );
        let given_back = [delivered("x", 0), returned("x"), delivered("y", 1)];
        assert!(former_owner(&history(&given_back)).is_ok());
    }
}

//! Names of keys. What must change together shares a hash tag, so that it shares a slot of a cluster.

/// A topic's descriptor.
pub(crate) fn descriptor(topic: &str) -> String {
    format!("bus:topic:{topic}")
}
/// The names of all topics with a descriptor.
pub(crate) const TOPICS: &[u8] = b"bus:topics";
/// The names of all groups.
pub(crate) const GROUPS: &[u8] = b"bus:groups";

/// A group's topics, each with the number of partitions whose start was fixed.
pub(crate) fn group(group: &str) -> String {
    format!("bus:group:{group}")
}
/// Who is alive in a group on a topic.
pub(crate) fn members(group: &str, topic: &str) -> String {
    format!("bus:members:{group}:{topic}")
}

/// The keys of a new topic's partitions: the first one's, and the others' with `%` for the number. A topic that is
/// derived from another (dead letters, delays) lives where that one lives.
pub(crate) fn patterns(topic: &str, partitions: u32, origin: Option<(&str, u32)>) -> (String, String) {
    let spread = format!("{topic}:{{%}}");
    match origin {
        Some((origin, 1)) => {
            let suffix = topic.strip_prefix(origin).unwrap_or(topic);
            let first = format!("{{{origin}}}{suffix}");
            match partitions {
                1 => (first.clone(), format!("{first}:%")),
                _ => (format!("{first}:0"), format!("{first}:%")),
            }
        }
        _ if partitions == 1 => (topic.to_owned(), spread),
        _ => (spread.replace('%', "0"), spread),
    }
}

/// What stands between the first `{` and the `}` behind it, which decides about the slot.
fn tag(key: &str) -> Option<&str> {
    let (_, rest) = key.split_once('{')?;
    let (tag, _) = rest.split_once('}')?;
    (!tag.is_empty()).then_some(tag)
}

/// `orders:{3}` in two: what is before `:{3}`, and the tag.
fn numbered(stream: &str) -> Option<(&str, &str)> {
    let (name, rest) = stream.rsplit_once(":{")?;
    let number = rest.strip_suffix('}')?;
    (tag(name).is_none() && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
        .then_some((name, number))
}

/// Owner, epoch, notes of a group in the partition that this stream is.
pub(crate) fn lease(stream: &str, group: &str) -> String {
    match (numbered(stream), tag(stream)) {
        (Some((name, number)), _) => format!("{name}:bus:{group}:{{{number}}}"),
        (None, Some(_)) => format!("{stream}:bus:{group}"),
        (None, None) => format!("{{{stream}}}:bus:{group}"),
    }
}

/// The last sequence that a publisher stored in the partition that this stream is.
pub(crate) fn marker(stream: &str, topic: &str, partition: u32, publisher: &str) -> String {
    match numbered(stream) {
        Some((_, number)) => format!("{{{number}}}:bus:pid:{topic}:{publisher}"),
        None => format!("{{{}}}:bus:pid:{topic}:{publisher}:{partition}", slot_of(stream)),
    }
}

/// When the partition that this stream is was trimmed last, by whomever.
pub(crate) fn gate(stream: &str, topic: &str, partition: u32) -> String {
    format!("{{{}}}:bus:trimmed:{topic}:{partition}", slot_of(stream))
}

/// What decides about the slot of a key.
pub(crate) fn slot_of(key: &str) -> &str {
    tag(key).unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_partition_share_its_slot() {
        let (first, rest) = patterns("orders", 1, None);
        assert_eq!((&*first, &*rest), ("orders", "orders:{%}"));
        assert_eq!(lease(&first, "billing"), "{orders}:bus:billing");
        assert_eq!(marker(&first, "orders", 0, "u"), "{orders}:bus:pid:orders:u:0");

        let (first, _) = patterns("orders", 8, None);
        assert_eq!(first, "orders:{0}");
        assert_eq!(lease("orders:{3}", "billing"), "orders:bus:billing:{3}");
        assert_eq!(marker("orders:{3}", "orders", 3, "u"), "{3}:bus:pid:orders:u");
        assert_eq!(gate("orders:{3}", "orders", 3), "{3}:bus:trimmed:orders:3");
        assert_eq!(gate("orders", "orders", 0), "{orders}:bus:trimmed:orders:0");

        let (first, rest) = patterns("orders.billing.dlq", 1, Some(("orders", 1)));
        assert_eq!(
            (&*first, &*rest),
            ("{orders}.billing.dlq", "{orders}.billing.dlq:%")
        );
        assert_eq!(lease(&first, "g"), "{orders}.billing.dlq:bus:g");
        assert_eq!(
            patterns("orders.delay", 18, Some(("orders", 1))).0,
            "{orders}.delay:0"
        );
        assert_eq!(
            patterns("orders.billing.dlq", 8, Some(("orders", 8))).1,
            "orders.billing.dlq:{%}"
        );
    }
}

//! What the topics of dead letters are called.

use crate::{Error, Name, Result, topic::check_name};

/// Where dead letters go unless it is said otherwise.
pub(crate) const DERIVED: &str = "{topic}.{group}.dlq";
/// The longest name made here: what a broker takes, less what is put behind it for parked letters and who replays them.
const LONGEST: usize = 249 - ".parked.replay".len();

/// Where the dead letters of a topic and group go unless it is said otherwise.
pub(crate) fn derived(topic: &str, group: &str) -> Name {
    legal(&DERIVED.replace("{topic}", topic).replace("{group}", group)).into()
}

/// The topic of the dead letters of a topic and group, by a template that may hold `{topic}` and `{group}`; the default is
/// `{topic}.{group}.dlq`. Characters that no topic may have become `_`. A name of more than 235 bytes is cut to that and told
/// from others by a hash; its last part, such as `.dlq`, stays.
/// # Errors
/// `Invalid`: another word in braces, or nothing is left that could be a name.
pub fn dead_letter_topic(template: &str, topic: &str, group: &str) -> Result<Name> {
    let mut name = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let wrong = || {
            let text =
                format!("dead-letter topic `{template}`: in braces can stand `{{topic}}` and `{{group}}`");
            Error::invalid(text)
        };
        let (word, behind) = after.split_once('}').ok_or_else(wrong)?;
        name.push_str(before);
        name.push_str(match word {
            "topic" => topic,
            "group" => group,
            _ => return Err(wrong()),
        });
        rest = behind;
    }
    name.push_str(rest);
    let legal = legal(&name);
    check_name(&legal).map_err(|e| e.context(format!("dead-letter topic `{template}`")))?;
    Ok(legal.into())
}

/// A name without illegal characters, and not too long.
fn legal(name: &str) -> String {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let mut legal: String = name.chars().map(|c| if legal(c) { c } else { '_' }).collect();
    if legal.len() > LONGEST {
        let end = legal
            .rfind('.')
            .filter(|at| legal.len() - at <= 32)
            .unwrap_or(legal.len());
        let end = legal.split_off(end);
        legal.truncate(LONGEST - end.len() - 9);
        legal = format!("{legal}-{:08x}{end}", fnv(name.as_bytes()));
    }
    legal
}

/// FNV-1a: the same in every version and process, because the name is stored.
fn fnv(bytes: &[u8]) -> u32 {
    let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    bytes.iter().fold(0x811c_9dc5, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(template: &str) -> String {
        dead_letter_topic(template, "orders", "billing")
            .unwrap()
            .to_string()
    }

    #[test]
    fn templates_are_filled_and_made_legal() {
        assert_eq!(named(DERIVED), "orders.billing.dlq");
        assert_eq!(named("errors"), "errors");
        assert_eq!(named("dead/{group} of {topic}"), "dead_billing_of_orders");
        assert_eq!(named("dé.{topic}"), "d_.orders");
        assert_eq!(&*derived("orders", "billing"), "orders.billing.dlq");
        for wrong in ["{tpic}", "{topic", "{}", "", "."] {
            let error = dead_letter_topic(wrong, "orders", "billing").unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Invalid, "{wrong}: {error}");
        }
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let topics = ["x".repeat(240) + "a", "x".repeat(240) + "b"];
        let [a, b] = topics.map(|topic| dead_letter_topic(DERIVED, &topic, "billing").unwrap());
        assert_ne!(a, b);
        for name in [a, b] {
            assert!(name.len() == LONGEST && name.ends_with(".dlq"), "{name}");
        }
        let unbroken = dead_letter_topic(&"y".repeat(400), "t", "g").unwrap();
        assert_eq!(unbroken.len(), LONGEST);
    }
}

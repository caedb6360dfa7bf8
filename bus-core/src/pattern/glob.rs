//! Matching of topic names.

use crate::{Error, Name, Result, is_derived};

/// A topic's name in which `*` stands for any run of characters and `?` for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(Name);

impl Pattern {
    /// # Errors
    /// `Invalid` for characters that no topic's name has.
    pub(crate) fn new(pattern: &str) -> Result<Self> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'*' | b'?');
        if pattern.is_empty() || !pattern.bytes().all(legal) {
            return Err(Error::invalid(format!(
                "illegal pattern `{}`: use the characters of topic names (A-Z a-z 0-9 . _ -), `*` for any run of them and `?` for one",
                pattern.escape_debug()
            )));
        }
        Ok(Self(pattern.into()))
    }
    /// Whether a topic belongs to it: its name matches, and it is no derived one.
    pub(crate) fn takes(&self, name: &str) -> bool {
        !is_derived(name) && matches(self.0.as_bytes(), name.as_bytes())
    }
}

/// Two pointers and one place to go back to, the last `*`: linear in practice, never worse than the product of both.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n, mut back) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                back = Some((p, n));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == name[n] => (p, n) = (p + 1, n + 1),
            _ => match back {
                Some((star, from)) => {
                    back = Some((star, from + 1));
                    (p, n) = (star + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, name, expected) in [
            ("orders", "orders", true),
            ("orders", "orders2", false),
            ("orders.*", "orders.eu", true),
            ("orders.*", "orders.", true),
            ("orders.*", "orders", false),
            ("*.eu", "orders.eu.eu", true),
            ("o*s.?u", "orders.eu", true),
            ("o*s.?u", "orders.u", false),
            ("*", "anything", true),
            ("*", "orders.billing.dlq", false),
            ("*", "orders.billing.dlq.parked", false),
            ("cars.*", "cars.parked", true),
            ("orders.*", "orders.delay", false),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbXb", false),
        ] {
            let pattern = Pattern::new(pattern).unwrap();
            assert_eq!(pattern.takes(name), expected, "{pattern:?} {name}");
        }
        assert!(Pattern::new("orders/*").is_err());
        assert!(Pattern::new("").is_err());
    }
}

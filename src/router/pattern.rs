//! What a route matches.

use bus_core::{Error, Result};

/// One segment of a route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Segment {
    /// Itself.
    Word(Box<str>),
    /// Any one that is not empty.
    One,
    /// Any number of segments, none included; at the end only.
    Tail,
}

/// The segments of a route.
/// # Errors
/// `Invalid`, with the rule.
pub(super) fn parse(route: &str) -> Result<Vec<Segment>> {
    let wrong = |why: &str| {
        Error::invalid(format!(
            "route `{}` {why}; write words with dots between, `*` for one segment, and `#` at the end for any tail",
            route.escape_debug()
        ))
    };
    let mut segments = Vec::new();
    for word in route.split('.') {
        if segments.last() == Some(&Segment::Tail) {
            return Err(wrong("goes on behind `#`"));
        }
        segments.push(match word {
            "" => return Err(wrong("has an empty segment")),
            "*" => Segment::One,
            "#" => Segment::Tail,
            word if word.contains(['*', '#']) => {
                return Err(wrong("has a segment that is partly a wildcard"));
            }
            word => Segment::Word(word.into()),
        });
    }
    Ok(segments)
}

/// A prefix: words only.
/// # Errors
/// `Invalid`, with the rule.
pub(super) fn check_prefix(prefix: &str) -> Result<()> {
    if parse(prefix)?
        .iter()
        .all(|segment| matches!(segment, Segment::Word(_)))
    {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "a router cannot be nested under `{prefix}`: a name or prefix has no wildcards"
    )))
}

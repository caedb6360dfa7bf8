//! Where reading begins, as the id before it.

use crate::id;
use bus_core::Start;
use std::time::UNIX_EPOCH;

/// The last settled id for `start` in `partition`: `$` is the end, an empty one is where the group is.
pub(crate) fn last_settled(start: &Start, partition: u32) -> String {
    match start {
        Start::Latest => "$".into(),
        Start::Stored => String::new(),
        // Ids carry the time of storing, which is the only time that can be searched for.
        Start::Time(at) => {
            let millis = at.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis());
            id::before(millis << 64)
        }
        Start::Positions(positions) => id::before(positions.get(&partition).copied().unwrap_or(0)),
        // `Earliest`, and what later versions of core may add begins at the oldest record, which loses nothing.
        _ => "0-0".into(),
    }
}
